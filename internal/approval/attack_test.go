package approval_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// The attacks of the list in docs/approval.md, by their ids.

func TestT01_ScannerFollowsTheLink(t *testing.T) {
	s := newStand(t)
	s.unchanged(t, func() {
		for range 20 {
			for _, extra := range []string{"", "&decision=approve", "&decision=reject&code=" + s.rec.Code() + "&name=x"} {
				assert.Equal(t, 200, s.get(t, s.query()+extra).Status)
			}
		}
	})
	assert.Equal(t, 303, s.do(t, s.form("approve")).Status, "the human's later click still works")
}

func TestT02_OtherMethods(t *testing.T) {
	s := newStand(t)
	s.unchanged(t, func() {
		for _, method := range []string{"HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "post",
			"Post", "", "BREW", "PROPFIND"} {
			for _, path := range []string{"/callback", "/operator", "/", "/other"} {
				r := s.form("approve")
				r.Method, r.Path, r.RawQuery, r.Caller = method, path, s.query(), fake.Operator
				res := s.do(t, r)
				assert.Contains(t, []int{404, 405}, res.Status)
				assert.NotContains(t, string(res.Body), s.rec.Digest)
			}
		}
		r := s.form("approve")
		r.Method, r.Path = "GET", "/operator"
		assert.Equal(t, 405, s.do(t, r).Status)
	})
}

func TestT03_NothingRunsByItself(t *testing.T) {
	s := newStand(t)
	page := strings.ToLower(string(s.get(t, s.query()).Body))
	for _, never := range []string{"<script", "http-equiv", "javascript:", " onload", " onclick", " onsubmit", "autofocus",
		"<img", "<link", "<iframe", "@import", "url("} {
		assert.NotContains(t, page, never)
	}
}

func TestT04_FormAsFound(t *testing.T) {
	s := newStand(t)
	page := string(s.get(t, s.query()).Body)
	assert.NotContains(t, page, `value="`+s.rec.Code(), "the code is nowhere in the form")
	s.unchanged(t, func() {
		for _, decision := range []string{"approve", "reject", ""} {
			assert.Equal(t, 422, s.do(t, s.form(decision, "code", "", "name", "", "reason", "")).Status)
			assert.Equal(t, 422, s.do(t, s.form(decision, "code", "test", "name", "test", "reason", "test")).Status)
		}
	})
}

func TestT05_BothButtons(t *testing.T) {
	s := newStand(t)
	r := s.form("reject")
	r.Header["user-agent"] = "ScannerBot/1.0"
	assert.Equal(t, 303, s.do(t, r).Status)
	assert.Equal(t, 409, s.do(t, s.form("approve")).Status)
	assert.Len(t, s.decisions(t), 1)
	assert.Contains(t, s.table.About(t, store.ApprovalSubject(s.rec.ID))[1].Detail, `from 198.51.100.7, agent "ScannerBot/1.0"`)
	r = s.form("approve", "decision", "approve")
	r.Body = append(r.Body, []byte("&decision=reject")...)
	s.unchanged(t, func() { assert.Equal(t, 400, s.do(t, r).Status) })
}

func TestT06_ForwardedMail(t *testing.T) {
	s := newStand(t)
	s.do(t, s.form("approve"))
	assert.Equal(t, "link", s.decisions(t)[0].Identity)
	assert.Contains(t, string(s.get(t, s.query()).Body), "whoever holds the link (not proven)")

	s = newStand(t)
	r := s.form("approve")
	r.Subject = "ann@example.com"
	s.do(t, r)
	assert.Equal(t, "ann@example.com", s.decisions(t)[0].Identity, "a login proves who it was")
}

func TestT07_Prefetch(t *testing.T) {
	s := newStand(t)
	for _, header := range [][2]string{
		{"sec-purpose", "prefetch"}, {"sec-purpose", "prefetch;prerender"}, {"purpose", "prefetch"}, {"x-moz", "prefetch"},
		{"x-purpose", "preview"}, {"purpose", "Prefetch"},
	} {
		s.unchanged(t, func() {
			res := s.do(t, approval.HTTPRequest{Method: "GET", Path: "/callback", RawQuery: s.query(),
				Header: map[string]string{"host": fake.StandHost, header[0]: header[1]}})
			assert.Equal(t, 403, res.Status, "a browser throws away a prefetch that failed")
			assert.NotContains(t, string(res.Body), "412")
		})
	}
}

func TestT08_RewrittenAddress(t *testing.T) {
	s := newStand(t)
	q := s.query()
	for _, good := range []string{q + "&utm_source=mail&fbclid=x%", "x=1&" + q, q + "&", q + "&b=%zz"} {
		assert.Equal(t, 200, s.get(t, good).Status, good)
	}
	for _, bad := range []string{
		strings.ToUpper(q), strings.Replace(q, "a=", "A=", 1), url.QueryEscape(q), strings.ReplaceAll(q, "=", "%3D"),
		q + ">", q + ".", q + "%3E", q[:len(q)-1], q[:40], "&amp;" + strings.Replace(q, "&", "&amp;", 1),
		q + strings.Repeat("&x=y", 2000), "",
	} {
		s.unchanged(t, func() {
			res := s.get(t, bad)
			assert.Equal(t, 404, res.Status, bad)
			assert.Contains(t, string(res.Body), "This link does not work")
		})
	}
}

func TestT09_Referer(t *testing.T) {
	s := newStand(t)
	res := s.get(t, s.query())
	assert.Equal(t, "same-origin", res.Header["Referrer-Policy"])
	assert.NotContains(t, string(res.Body), "http://")
	assert.NotContains(t, string(res.Body), "https://")
	assert.NotContains(t, string(res.Body), "src=")
}

func TestT10_NoSecretInLogs(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	s := newStand(t)
	s.links.Err = patch.ErrUnavailable
	s.get(t, s.query())
	s.links.Err, s.waiter.Err = nil, patch.ErrThrottled
	s.do(t, s.form("approve"))
	s.mail.Err = patch.ErrThrottled
	s.do(t, s.form("approve"))
	tampered := s.stored(t)
	tampered.Status = decision.ApprovalRejected
	s.table.Put(store.ApprovalKey(s.rec.ID), tampered)
	s.get(t, s.query())
	assert.Contains(t, log.String(), "approval page unavailable")
	assert.Contains(t, log.String(), "approval record refused")
	_, capability, _ := strings.Cut(s.query(), "&c=")
	for _, secret := range []string{capability, s.rec.Token} {
		assert.NotContains(t, log.String(), secret)
		assert.NotContains(t, fmt.Sprint(s.table.About(t, store.ApprovalSubject(s.rec.ID))), secret)
		assert.NotContains(t, strings.Join(s.mail.Sent, ""), secret)
	}
}

func TestT11_BackButton(t *testing.T) {
	s := newStand(t)
	assert.Equal(t, "no-store", s.get(t, s.query()).Header["Cache-Control"])
	assert.Equal(t, "no-store", s.do(t, s.form("approve")).Header["Cache-Control"])
	res := s.do(t, s.form("approve"))
	assert.Equal(t, 409, res.Status)
	assert.Contains(t, string(res.Body), "This was decided before. Your answer changed nothing.")
}

func TestT12_Frame(t *testing.T) {
	s := newStand(t)
	for _, res := range []approval.HTTPResponse{s.get(t, s.query()), s.get(t, ""),
		s.do(t, approval.HTTPRequest{Method: "GET", Path: "/"})} {
		policy := res.Header["Content-Security-Policy"]
		assert.Contains(t, policy, "default-src 'none'")
		assert.Contains(t, policy, "frame-ancestors 'none'")
		assert.Contains(t, policy, "base-uri 'none'")
		assert.NotContains(t, policy, "unsafe")
		assert.Equal(t, "DENY", res.Header["X-Frame-Options"])
	}
	res := s.get(t, s.query())
	_, rest, _ := strings.Cut(string(res.Body), "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	assert.Contains(t, res.Header["Content-Security-Policy"],
		"style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; form-action 'self'")
	assert.NotContains(t, string(res.Body), "style=")
}

func TestT13_Markup(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=y>` + "\x00\x1b[31m\u202e'`{{.}}"
	s := newStand(t, func(rec *decision.Approval, run *store.RunRow, x *plan.Index) {
		run.RequestedBy, run.Reason = evil, evil
		rec.RequestedBy = evil
		x.Waves[0].Name = evil
		x.Unreachable[0].Reason = evil
		x.Waves[1].Notable[0].Name = evil
		x.Waves[1].Notable[0].Region = evil
	})
	check := func(page string) {
		for _, never := range []string{"<script", "<img", "\x00", "\x1b", "\u202e"} {
			assert.NotContains(t, page, never)
		}
	}
	page := string(s.get(t, s.query()).Body)
	check(page)
	assert.Contains(t, page, "&lt;script&gt;alert(1)")
	check(string(s.do(t, s.form("approve", "name", evil, "reason", evil, "code", evil)).Body))
	assert.Equal(t, 303, s.do(t, s.form("approve", "name", evil, "reason", evil)).Status)
	check(string(s.get(t, s.query()).Body))
	s.table.Put(store.AbortKey(fake.StandRun), store.Abort{By: evil, Reason: evil})
	page = string(s.get(t, s.query()).Body)
	check(page)
	assert.Contains(t, page, "The run was aborted by &#34;&gt;&lt;script&gt;")
}

// A mail is plain text: what is hostile there is a line of its own, or a link.
func TestT13_Mail(t *testing.T) {
	const evil = "x\r\nhttps://evil.example/callback?a=1\r\n\x00\x1b[31m\u202e\u2028é"
	a := newAsker(t, func(rec *decision.Approval, run *store.RunRow, x *plan.Index) {
		run.RequestedBy, run.Reason = evil, evil
		x.Waves[1].Notable[0].Name = evil
		x.Waves[1].Notable[0].Region = evil
	})
	require.NoError(t, a.ask(t, "token"))
	subject, body, _ := strings.Cut(a.mails.Sent[0], "\n")
	assert.LessOrEqual(t, len(subject), 99)
	links := 0
	for line := range strings.Lines(body) {
		if strings.HasPrefix(strings.TrimSpace(line), "http") {
			links++
			assert.Less(t, len(strings.TrimSpace(line)), 200)
		}
		for _, c := range strings.TrimSuffix(line, "\n") {
			assert.True(t, c >= ' ' && c <= '~', "%q", line)
		}
	}
	assert.Equal(t, 1, links, "one link, on a line of its own:\n%s", body)
	assert.Equal(t, 1, strings.Count(body, "://"), "and no other that a mail program would make of a name")
}

func TestT14_ReturnAddress(t *testing.T) {
	s := newStand(t)
	r := s.form("approve", "return", "https://evil.example", "next", "//evil.example", "redirect_uri",
		"https://evil.example")
	r.RawQuery = "return=https://evil.example"
	res := s.do(t, r)
	assert.Equal(t, 303, res.Status)
	assert.Equal(t, "callback?"+s.query(), res.Header["Location"])
}

func TestT15_ForeignHost(t *testing.T) {
	s := newStand(t)
	r := approval.HTTPRequest{Method: "GET", Path: "/callback", RawQuery: s.query(), Header: map[string]string{
		"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example",
	}}
	res := s.do(t, r)
	assert.NotContains(t, string(res.Body)+fmt.Sprint(res.Header), "evil.example", "no address is made from a header")
}

func TestT18_FlippedBits(t *testing.T) {
	s := newStand(t)
	q := s.query()
	id, capability := q[2:34], q[37:]
	mac, ok := decision.ParseCapability(capability)
	require.True(t, ok)
	want := s.get(t, "").Body
	for i := range mac {
		for bit := range 8 {
			mac[i] ^= 1 << bit
			assert.Equal(t, want, s.get(t, "a="+id+"&c="+decision.Capability(mac)).Body)
			mac[i] ^= 1 << bit
		}
	}
	for i := range q {
		for bit := range 8 {
			damaged := []byte(q)
			damaged[i] ^= 1 << bit
			assert.Equal(t, 404, s.get(t, string(damaged)).Status, "%q", damaged)
		}
	}
	for i := range []byte(id) {
		assert.Equal(t, 404, s.get(t, "a="+id[:i]+"_"+id[i+1:]+"&c="+capability).Status)
	}
	for name, change := range map[string]func(*decision.Approval){
		"id": func(r *decision.Approval) {
			r.ID = strings.Repeat("0", 32)
		}, "run": func(r *decision.Approval) { r.Run += "x" },
		"digest": func(r *decision.Approval) {
			r.Digest = r.Digest[:63] + "x"
		}, "scope": func(r *decision.Approval) { r.Scope = "wave:canary" },
		"expiry": func(r *decision.Approval) {
			r.Expires = r.Expires.Add(time.Second)
		}, "hub": func(r *decision.Approval) { r.HubAccount = "999999999998" },
	} {
		rec := s.rec
		change(&rec)
		s.table.Put(store.ApprovalKey(s.rec.ID), rec)
		assert.Equal(t, 404, s.get(t, q).Status, name)
		assert.Equal(t, 404, s.do(t, s.form("approve")).Status, name)
		s.table.Put(store.ApprovalKey(s.rec.ID), s.rec)
	}
	assert.Equal(t, 200, s.get(t, q).Status)
}

func TestT19_FieldBoundaries(t *testing.T) {
	base := decision.Approval{ID: "ab", Run: "run", Digest: "digest", Scope: "wave:é", HubAccount: "999999999999"}
	moved := []decision.Approval{
		{ID: "a", Run: "brun", Digest: "digest", Scope: "wave:é", HubAccount: "999999999999"},
		{ID: "ab", Run: "ru", Digest: "ndigest", Scope: "wave:é", HubAccount: "999999999999"},
		{ID: "ab,3:run", Run: "", Digest: "digest", Scope: "wave:é", HubAccount: "999999999999"},
		{ID: "ab", Run: "run", Digest: "digest", Scope: "wave:e\u0301", HubAccount: "999999999999"},
		{ID: "ab", Run: "run", Digest: "digestwave:é", Scope: "", HubAccount: "999999999999"},
	}
	d := decision.Decision{Decision: decision.Approve, Identity: "link", Name: "Ann", Reason: "b"}
	for _, other := range moved {
		assert.NotEqual(t, base.LinkMessage(), other.LinkMessage())
		assert.NotEqual(t, base.DecisionMessage(d), other.DecisionMessage(d))
	}
	for _, other := range []decision.Decision{
		{Decision: decision.Approve, Identity: "linkA", Name: "nn", Reason: "b"},
		{Decision: decision.Approve, Identity: "link", Name: "Annb", Reason: ""},
		{Decision: decision.Approve + "4", Identity: "link", Name: "Ann", Reason: "b"},
	} {
		assert.NotEqual(t, base.DecisionMessage(d), base.DecisionMessage(other))
	}
	assert.NotEqual(t, base.LinkMessage(), base.DecisionMessage(decision.Decision{}))
}

func TestT20_RepeatedParameters(t *testing.T) {
	s := newStand(t)
	q := s.query()
	s.unchanged(t, func() {
		for _, bad := range []string{
			q + "&" + q, q + "&a=", q + "&c", "a&" + q, q + "&%61=1", q + "&%63=", strings.Replace(q, "a=", "%61=", 1),
			strings.Replace(q, "&c=", "&%63=", 1), strings.Replace(q, "a=", "a[]=", 1), strings.Replace(q, "a=", "a[0]=", 1),
			"a=&c=",
		} {
			assert.Equal(t, 404, s.get(t, bad).Status, bad)
		}
		for _, again := range []string{"a", "c", "decision", "name", "reason", "code", "%63ode"} {
			r := s.form("approve")
			r.Body = append(r.Body, []byte("&"+again+"=approve")...)
			assert.Equal(t, 400, s.do(t, r).Status, again)
		}
	})
}

func TestT21_OtherSpellings(t *testing.T) {
	s := newStand(t)
	q := s.query()
	id, capability := q[2:34], q[37:]
	std := strings.NewReplacer("-", "+", "_", "/").Replace(capability)
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", capability[42])
	sibling := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]
	s.unchanged(t, func() {
		for _, bad := range []string{
			"a=" + id + "&c=" + capability + "=", "a=" + id + "&c=" + capability[:42] + string(sibling),
			"a=" + id + "&c=" + capability + "%0A",
			"a=" + id + "&c=" + capability + "\n", "a=%" + fmt.Sprintf("%x", id[0]) + id[1:] + "&c=" + capability,
			"a=" + id + "&c=%C0%AE" + capability[2:],
			"a=" + id + "&c=" + capability + "+", "a=+" + id + "&c=" + capability,
			"a=" + strings.ToUpper(id) + "x&c=" + capability, "a=" + id + "&c=" + std + "==",
		} {
			assert.Equal(t, 404, s.get(t, bad).Status, bad)
		}
	})
}

func TestT22_EmptyOrShortMAC(t *testing.T) {
	s := newStand(t)
	id := s.rec.ID
	for _, c := range []string{"", "none", "null", "0", strings.Repeat("A", 43),
		base64.RawURLEncoding.EncodeToString(make([]byte, 31)), base64.RawURLEncoding.EncodeToString(make([]byte, 33)),
		s.query()[37:60]} {
		assert.Equal(t, 404, s.get(t, "a="+id+"&c="+c).Status, c)
		assert.Equal(t, 404, s.get(t, "a="+id+"&v=0&alg=none&c="+c).Status, c)
	}
}

func TestT23_NoKey(t *testing.T) {
	s := newStand(t)
	s.links.Err = patch.ErrAccessDenied
	assert.Equal(t, 503, s.get(t, s.query()).Status, "nothing is shown unchecked")
	s.links.Err, s.signer.Err = nil, patch.ErrAccessDenied
	s.unchanged(t, func() { assert.Equal(t, 503, s.do(t, s.form("approve")).Status, "nothing is recorded unsigned") })
}

func TestT24_NoKeyByName(t *testing.T) {
	s := newStand(t)
	forged, err := (&fake.Key{Secret: "another key"}).MAC(t.Context(), s.rec.LinkMessage())
	require.NoError(t, err)
	for _, extra := range []string{"&k=another key", "&kid=../../dev/null",
		"&key=arn:aws:kms:us-east-1:666666666666:key/1"} {
		assert.Equal(t, 404, s.get(t, "a="+s.rec.ID+"&c="+decision.Capability(forged)+extra).Status)
	}
}

// TestT25_OldSeals reads a decision with other keys than it was made with. The
// whole way of it is rehearsed by internal/sim.
func TestT25_OldSeals(t *testing.T) {
	s := newStand(t)
	assert.Equal(t, 303, s.do(t, s.form("approve")).Status)
	old := s.Callback.Decisions
	rotated := &fake.Key{Secret: "the next decision key"}
	s.Callback.Decisions = rotated
	assert.Equal(t, 409, s.get(t, s.query()).Status, "nobody knows the old key")
	s.Callback.OldDecisions = old
	assert.Equal(t, 200, s.get(t, s.query()).Status, "a decision made before the rotation")

	s = newStand(t)
	s.Callback.Decisions, s.Callback.OldDecisions = rotated, old
	assert.Equal(t, 303, s.do(t, s.form("approve")).Status)
	for _, one := range []port.Signer{rotated, old} {
		s.Callback.Decisions, s.Callback.OldDecisions = one, nil
		assert.Equal(t, 200, s.get(t, s.query()).Status, "a decision made during the rotation is good under either key")
	}
	d := s.decisions(t)[0]
	d.Reason = "forged"
	s.table.Put(store.DecisionKey(s.rec.ID, d.Identity), d)
	assert.Equal(t, 409, s.get(t, s.query()).Status)

	s = newStand(t)
	s.Callback.Links = port.Verifiers{&fake.Key{Secret: "the next link key"}, s.links}
	assert.Equal(t, 200, s.get(t, s.query()).Status, "a link made before the rotation")
	s.now = s.rec.Expires
	assert.Equal(t, 410, s.get(t, s.query()).Status, "but not longer than the link")
	s.Callback.Links = port.Verifiers{&fake.Key{Secret: "the next link key"}}
	assert.Equal(t, 404, s.get(t, s.query()).Status)
}

// TestT26_ConstantTime looks for a comparison of a code, MAC or hash with == in
// the source of the callback.
func TestT26_ConstantTime(t *testing.T) {
	for _, file := range []string{"callback.go", "link.go", "form.go", "decide.go", "operator.go", "seal.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			b, ok := n.(*ast.BinaryExpr)
			if !ok || b.Op != token.EQL && b.Op != token.NEQ {
				return true
			}
			for _, side := range []ast.Expr{b.X, b.Y} {
				if sel, ok := side.(*ast.SelectorExpr); ok {
					assert.NotContains(t, []string{"MAC", "mac"}, sel.Sel.Name)
				}
				if call, ok := side.(*ast.CallExpr); ok {
					if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
						assert.NotContains(t, []string{"Code", "Equal"}, sel.Sel.Name)
					}
				}
			}
			return true
		})
	}
}

func TestT27_LengthExtension(t *testing.T) {
	s := newStand(t)
	longer := s.rec
	longer.Scope += "\x80\x00,4:wave"
	assert.Equal(t, 404, s.get(t, s.queryFor(longer)).Status)
}

func TestT29_Expiry(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     time.Duration
		status int
	}{
		{"a second before", -time.Second, 303}, {"a nanosecond before", -1, 303}, {"the very second", 0, 410},
		{"a second after", time.Second, 410}, {"a century after", 876_000 * time.Hour, 410},
	} {
		s := newStand(t)
		s.now = s.rec.Expires.Add(tt.at)
		assert.Equal(t, tt.status, s.do(t, s.form("approve")).Status, tt.name)
		if tt.status == 410 {
			assert.Equal(t, 410, s.get(t, s.query()).Status)
			assert.Empty(t, s.decisions(t))
			assert.NotContains(t, string(s.get(t, s.query()).Body), s.rec.Digest)
		}
	}
	t.Run("while the decision is on its way", func(t *testing.T) {
		s := newStand(t)
		s.now = s.rec.Expires.Add(-1)
		s.table.Before = func() error { // another write gets through first, and takes its time
			s.table.Before = nil
			s.now = s.rec.Expires
			return patch.ErrConflict
		}
		s.unchanged(t, func() { assert.Equal(t, 410, s.do(t, s.form("approve")).Status) })
		s = newStand(t)
		calls := 0
		s.Callback.Now = func() time.Time {
			if calls++; calls > 2 { // the looks at the clock before the decision is made
				return s.rec.Expires
			}
			return s.rec.Expires.Add(-1)
		}
		s.unchanged(t, func() { assert.Equal(t, 410, s.do(t, s.form("approve")).Status) })
	})
	t.Run("after a decision", func(t *testing.T) {
		s := newStand(t)
		s.do(t, s.form("approve"))
		s.now = s.rec.Expires
		res := s.get(t, s.query())
		assert.Equal(t, 200, res.Status)
		assert.Contains(t, string(res.Body), "Decided by Ann")
		assert.NotContains(t, string(res.Body), s.rec.Digest, "an old link shows no plan")
	})
	for name, expires := range map[string]time.Time{"zero": {}, "negative": time.Unix(-1, 0),
		"far future": time.Unix(1<<40, 0).UTC()} {
		s := newStand(t)
		q := s.query()
		rec := s.rec
		rec.Expires = expires
		data, err := json.Marshal(rec)
		if err != nil {
			continue // a year that JSON cannot hold can be stored by nobody
		}
		s.table.Rows[store.ApprovalKey(rec.ID)] = data
		assert.Equal(t, 404, s.get(t, q).Status, name)
	}
	s := newStand(t)
	rec := s.rec
	rec.Status = decision.ApprovalExpired
	s.table.Put(store.ApprovalKey(rec.ID), rec)
	s.unchanged(t, func() {
		assert.Equal(t, 410, s.do(t, s.form("approve")).Status, "expired by the state machine's clock")
	})
}

func TestT30_Replay(t *testing.T) {
	s := newStand(t)
	q := s.query()
	t.Run("in another hub", func(t *testing.T) {
		other := newStand(t)
		other.Callback.HubAccount = "888888888888"
		assert.Equal(t, 404, other.get(t, q).Status)
	})
	t.Run("in another environment of the same hub", func(t *testing.T) {
		other := newStand(t)
		other.Callback.StateMachineARN = "arn:aws:states:us-east-1:999999999999:stateMachine:test-orchestrator"
		assert.Equal(t, 404, other.get(t, q).Status)
		other = newStand(t)
		other.links.Secret = "link key of test"
		assert.Equal(t, 404, other.get(t, q).Status)
	})
	t.Run("for another wave", func(t *testing.T) {
		other := s.rec
		other.Scope, other.Instances = "wave:fleet", 400
		other.ID = decision.ApprovalID(fake.StandRun, other.Scope)
		s.table.Put(store.ApprovalKey(other.ID), other)
		assert.Equal(t, 404, s.get(t, "a="+other.ID+q[34:]).Status)
	})
	t.Run("for another plan", func(t *testing.T) {
		var run store.RunRow
		require.NoError(t, s.table.Load(t.Context(), &store.Row{Key: store.RunKey(fake.StandRun), Into: &run}))
		run.Digest = strings.Repeat("0", 64)
		s.table.Put(store.RunKey(fake.StandRun), run)
		s.unchanged(t, func() {
			assert.Equal(t, 409, s.get(t, q).Status)
			assert.Equal(t, 409, s.do(t, s.form("approve")).Status)
		})
	})
}

func TestT31_OneLinkBothAnswers(t *testing.T) {
	s := newStand(t)
	page := string(s.get(t, s.query()).Body)
	assert.Equal(t, 1, strings.Count(page, `name="c"`), "there is one capability, and the action is in the body")
	s.do(t, s.form("reject"))
	d := s.decisions(t)[0]
	d.Decision = decision.Approve
	s.table.Put(store.DecisionKey(s.rec.ID, "link"), d)
	assert.Equal(t, 409, s.get(t, s.query()).Status, "a rejection cannot be turned into an approval")
}

func TestT32_Reuse(t *testing.T) {
	for _, first := range []string{"approve", "reject"} {
		for _, second := range []string{"approve", "reject"} {
			s := newStand(t)
			s.do(t, s.form(first))
			before := s.stored(t)
			res := s.do(t, s.form(second, "name", "Mallory"))
			assert.Equal(t, 409, res.Status)
			assert.Contains(t, string(res.Body), "Decided by Ann")
			after := s.stored(t)
			assert.Equal(t, before.Status, after.Status)
			assert.Equal(t, before.Decided, after.Decided)
			assert.Len(t, s.decisions(t), 1)
			assert.Equal(t, "Ignored", s.actions(t)[2])
		}
	}
	t.Run("a flood of them is written down a bounded number of times", func(t *testing.T) {
		s := newStand(t)
		s.do(t, s.form("approve"))
		for range 100 {
			assert.Equal(t, 409, s.do(t, s.form("reject")).Status)
		}
		assert.Len(t, s.actions(t), 2+20)
	})
}

func TestT33_ParallelDecisions(t *testing.T) {
	t.Run("by many at once", func(t *testing.T) {
		s := newStand(t)
		var wait sync.WaitGroup
		statuses := make([]int, 1000)
		for i := range statuses {
			wait.Go(func() {
				r := s.form([]string{"approve", "reject"}[i%2], "name", fmt.Sprint("person ", i))
				r.Subject = fmt.Sprint("person-", i%7)
				res, err := s.Handle(t.Context(), r)
				if err == nil {
					statuses[i] = res.Status
				}
			})
		}
		wait.Wait()
		recorded := 0
		for _, status := range statuses {
			assert.Contains(t, []int{303, 409, 503}, status)
			if status == 303 {
				recorded++
			}
		}
		assert.Equal(t, 1, recorded)
		assert.Len(t, s.decisions(t), 1)
		assert.Equal(t, []string{"the-task-token"}, s.waiter.Tokens)
		assert.LessOrEqual(t, len(s.actions(t)), 3+2*20)
	})
	t.Run("by one that is overtaken at every step", func(t *testing.T) {
		for steps := range 12 {
			s := newStand(t)
			left, nested := steps, false
			s.table.Before = func() error {
				if nested {
					return nil
				}
				nested = true
				defer func() { nested = false }()
				if left--; left > 0 {
					rec := s.stored(t) // the next round begins
					rec.Version++
					rec.Round++
					s.table.Put(store.ApprovalKey(rec.ID), rec)
				}
				if left == 0 {
					s.do(t, s.form("reject", "name", "Bob"))
				}
				return nil
			}
			res := s.do(t, s.form("approve"))
			require.Contains(t, []int{303, 409, 503}, res.Status)
			all := s.decisions(t)
			require.LessOrEqual(t, len(all), 1, "%d steps", steps)
			if res.Status == 303 {
				require.Equal(t, "Ann", all[0].Name)
			}
			s.table.Before = nil
			s.actions(t)
		}
	})
}

func TestT34_StoredCapabilities(t *testing.T) {
	s := newStand(t)
	s.do(t, s.form("approve"))
	_, capability, _ := strings.Cut(s.query(), "&c=")
	assert.NotContains(t, s.table.Snapshot(), capability)
}

func TestT35_ForgedDecision(t *testing.T) {
	s := newStand(t)
	s.table.Put(store.DecisionKey(s.rec.ID, "link"),
		decision.Decision{Approval: s.rec.ID, Decision: decision.Approve, Identity: "link", MAC: make([]byte, 32)})
	s.unchanged(t, func() {
		assert.Equal(t, 409, s.get(t, s.query()).Status)
		assert.Equal(t, 409, s.do(t, s.form("approve")).Status)
	})
	t.Run("with a record to match", func(t *testing.T) {
		s := newStand(t)
		rec := s.rec
		rec.Status = decision.ApprovalApproved
		s.table.Put(store.ApprovalKey(rec.ID), rec)
		s.table.Put(store.DecisionKey(rec.ID, "link"),
			decision.Decision{Approval: rec.ID, Decision: decision.Approve, Identity: "link", MAC: make([]byte, 32)})
		s.unchanged(t, func() {
			res := s.do(t, s.form("approve"))
			assert.Equal(t, 409, res.Status)
			assert.NotContains(t, string(res.Body), "Approved")
		})
	})
	t.Run("as one of two", func(t *testing.T) {
		s := newStand(t, func(rec *decision.Approval, run *store.RunRow, _ *plan.Index) {
			rec.RequireDistinct, run.RequireDistinct = 2, 2
		})
		s.table.Put(store.DecisionKey(s.rec.ID, "second"),
			decision.Decision{Approval: s.rec.ID, Decision: decision.Approve, Identity: "second"})
		s.unchanged(t, func() { assert.Equal(t, 409, s.do(t, s.form("approve")).Status) })
	})
	t.Run("moved to another identity", func(t *testing.T) {
		s := newStand(t, func(rec *decision.Approval, run *store.RunRow, _ *plan.Index) {
			rec.RequireDistinct, run.RequireDistinct = 2, 2
		})
		s.by(t, "ann", "approve")
		s.table.Put(store.DecisionKey(s.rec.ID, "second"), s.decisions(t)[0])
		s.unchanged(t, func() { assert.Equal(t, 409, s.get(t, s.query()).Status) })
	})
	t.Run("by lowering the bar", func(t *testing.T) {
		two := func(rec *decision.Approval, run *store.RunRow, _ *plan.Index) {
			rec.RequireDistinct, run.RequireDistinct = 2, 2
		}
		for name, lower := range map[string]func(*decision.Approval){
			"how many": func(r *decision.Approval) {
				r.RequireDistinct = 1
			}, "who does not count": func(r *decision.Approval) { r.RequestedBy = "" },
			"until when": func(r *decision.Approval) { r.Expires = r.Expires.Add(time.Hour) },
		} {
			s := newStand(t, two)
			rec := s.rec
			lower(&rec)
			s.table.Put(store.ApprovalKey(rec.ID), rec)
			assert.NotEqual(t, 200, s.get(t, s.query()).Status, "%s, before the decision", name)

			s = newStand(t, two)
			require.Equal(t, 303, s.by(t, "ann", "approve"))
			rec = s.stored(t)
			lower(&rec)
			s.table.Put(store.ApprovalKey(rec.ID), rec)
			assert.NotEqual(t, 200, s.get(t, s.query()).Status, "%s, after it", name)
		}
	})
	t.Run("a status without decisions", func(t *testing.T) {
		s := newStand(t)
		rec := s.rec
		rec.Status = decision.ApprovalApproved
		s.table.Put(store.ApprovalKey(rec.ID), rec)
		s.unchanged(t, func() {
			res := s.do(t, s.form("approve"))
			assert.Equal(t, 409, res.Status)
			assert.NotContains(t, string(res.Body), "Approved")
		})
	})
}

func TestT36_CrossSitePost(t *testing.T) {
	for _, header := range [][2]string{
		{"origin", "https://evil.example"}, {"origin", "null"}, {"origin", ""}, {"origin", "http://" + fake.StandHost},
		{"origin", "https://" + fake.StandHost + ":444"},
		{"origin", "https://" + fake.StandHost + ".evil.example"}, {"sec-fetch-site", "cross-site"},
		{"sec-fetch-site", "same-site"},
	} {
		s := newStand(t)
		r := s.form("approve")
		r.Header[header[0]] = header[1]
		s.unchanged(t, func() { assert.Equal(t, 403, s.do(t, r).Status, header) })
	}
	s := newStand(t)
	r := s.form("approve")
	delete(r.Header, "origin")
	delete(r.Header, "sec-fetch-site")
	assert.Equal(t, 303, s.do(t, r).Status, "what is no browser says nothing")
}

func TestT37_ContentTypes(t *testing.T) {
	s := newStand(t)
	s.unchanged(t, func() {
		for _, kind := range []string{"", "application/json", "text/plain", "multipart/form-data; boundary=x",
			"application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded, text/plain",
			"application/x-www-form-urlencodedx"} {
			r := s.form("approve")
			r.Header["content-type"] = kind
			assert.Equal(t, 415, s.do(t, r).Status, kind)
		}
		res := s.do(t, approval.HTTPRequest{Method: "POST", Path: "/operator", Caller: fake.Operator,
			Header: map[string]string{"content-type": "text/plain"}})
		assert.Equal(t, 415, res.Status)
	})
	r := s.form("approve")
	r.Header["content-type"] = "Application/X-WWW-Form-Urlencoded; charset=UTF-8"
	assert.Equal(t, 303, s.do(t, r).Status)
}

func TestT38_Sizes(t *testing.T) {
	s := newStand(t)
	s.unchanged(t, func() {
		r := s.form("approve", "name", strings.Repeat("x", 10<<20))
		assert.Equal(t, 413, s.do(t, r).Status)
		r = s.form("approve")
		r.Body = append(r.Body, []byte(strings.Repeat("&x=y", 1000))...)
		assert.Equal(t, 400, s.do(t, r).Status)
		for _, body := range []string{strings.Repeat("[", 8000), `{"run":` + strings.Repeat(`{"a":`, 1000), `{"run":["x"]}`, `{"run":{"x":1}}`, `[]`, `null`, `""`, ``, `{"run":"a","run":"2026-12-patch","action":"status"}`, `{"run":"a","RUN":"2026-12-patch","action":"status"}`, `{"run":"2026-12-patch","action":"status","x":1}`, `{"run":"a","action":"status"}{}`, `{"run":"a","action":"status"`} {
			res := s.do(t, approval.HTTPRequest{Method: "POST", Path: "/operator", Caller: fake.Operator, Body: []byte(body),
				Header: map[string]string{"content-type": "application/json"}})
			assert.Equal(t, 400, res.Status, body)
		}
		res := s.do(t, approval.HTTPRequest{Method: "POST", Path: "/operator", Caller: fake.Operator,
			Body: make([]byte, 9000), Header: map[string]string{"content-type": "application/json"}})
		assert.Equal(t, 413, res.Status)
	})
}

func TestT39_MethodOverride(t *testing.T) {
	s := newStand(t)
	r := s.form("approve", "_method", "POST")
	r.Method, r.RawQuery = "GET", s.query()+"&_method=POST"
	r.Header["x-http-method-override"], r.Header["x-method-override"] = "POST", "POST"
	s.unchanged(t, func() { assert.Equal(t, 200, s.do(t, r).Status) })
	r = s.form("approve", "_method", "DELETE")
	assert.Equal(t, 303, s.do(t, r).Status)
}

func TestT40_OtherPaths(t *testing.T) {
	s := newStand(t)
	s.unchanged(t, func() {
		for _, path := range []string{"//callback", "/callback/", "/callback;x", "/Callback", "/callback%2f", "/%63allback",
			"/./callback", "/x/../callback", "/callback/..", "callback", "", "/callback\x00", "/prod/callback"} {
			for _, method := range []string{"GET", "POST"} {
				r := s.form("approve")
				r.Method, r.Path, r.RawQuery = method, path, s.query()
				assert.Equal(t, 404, s.do(t, r).Status, path)
			}
		}
	})
}

func TestT41_Preflight(t *testing.T) {
	s := newStand(t)
	res := s.do(t, approval.HTTPRequest{Method: "OPTIONS", Path: "/callback",
		Header: map[string]string{"origin": "https://evil.example", "access-control-request-method": "POST"}})
	assert.Equal(t, 405, res.Status)
	for _, r := range []approval.HTTPResponse{res, s.get(t, s.query())} {
		for name := range r.Header {
			assert.NotContains(t, strings.ToLower(name), "access-control")
		}
	}
}

func TestT46_ErrorProbing(t *testing.T) {
	s := newStand(t)
	probe := func() []approval.HTTPResponse {
		return []approval.HTTPResponse{s.get(t, s.query()), s.do(t, s.form("approve"))}
	}
	s.table.Down = fmt.Errorf("table arn:aws:dynamodb:us-east-1:999999999999:table/x: %w", patch.ErrAccessDenied)
	down := probe()
	s.table.Down, s.links.Err = nil, fmt.Errorf("kms: %w", patch.ErrThrottled)
	for _, res := range append(down, probe()...) {
		assert.Equal(t, 503, res.Status)
		assert.Equal(t, down[0].Body, res.Body, "one body, whatever failed")
		for _, never := range []string{"arn:aws", "999999999999", "goroutine", "kms", "Patch."} {
			assert.NotContains(t, string(res.Body), never)
		}
	}
}
