package approval_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// guessedAt are the questions that a guesser may hit: whatever became of them,
// a guess must not find out that they exist.
func guessedAt(t *testing.T) map[string]*stand {
	t.Helper()
	all := map[string]*stand{"pending": newStand(t), "decided": newStand(t), "past its deadline": newStand(t),
		"expired": newStand(t), "of a run that ended": newStand(t)}
	all["decided"].do(t, all["decided"].form("approve"))
	all["past its deadline"].now = all["past its deadline"].rec.Expires.Add(time.Hour)
	expired := all["expired"].rec
	expired.Status = decision.ApprovalExpired
	all["expired"].table.Put(store.ApprovalKey(expired.ID), expired)
	var run store.RunRow
	ended := all["of a run that ended"]
	require.NoError(t, ended.table.Load(t.Context(), &store.Row{Key: store.RunKey(fake.StandRun), Into: &run}))
	run.Ended = ended.now
	ended.table.Put(store.RunKey(fake.StandRun), run)
	return all
}

// TestT28_Guessing tries random capabilities, on questions that exist and on
// others, by GET and by POST. All answers are one and the same, and cost the
// same calls. It tries 1,000,000 where ATTACK is set (`make attack`).
func TestT28_Guessing(t *testing.T) {
	guesses := 10_000
	if os.Getenv("ATTACK") != "" {
		guesses = 1_000_000
	}
	stands := guessedAt(t)
	each := guesses / len(stands)
	var wait sync.WaitGroup
	for i, what := range words.SortedKeys(stands) {
		wait.Go(func() { guess(t, stands[what], what, int64(i), each) })
	}
	wait.Wait()
	t.Logf("%d guesses, none accepted, one answer", each*len(stands))
}

// guess fails by Errorf only, so that it may run beside others.
func guess(t *testing.T, s *stand, what string, seed int64, n int) {
	want := s.get(t, "")
	before, links := s.table.Snapshot(), s.links.Calls.Load()
	loads := s.table.Loads
	rng := rand.New(rand.NewSource(seed))
	mac, post := make([]byte, 32), s.form("approve")
	for i := range n {
		rng.Read(mac)
		id := s.rec.ID
		if rng.Intn(2) == 0 {
			id = fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())
		}
		r := approval.HTTPRequest{Method: "GET", Path: "/callback", RawQuery: "a=" + id + "&c=" + decision.Capability(mac),
			Header: post.Header}
		if rng.Intn(4) == 0 {
			r, r.RawQuery = post, ""
			r.Body = []byte("a=" + id + "&c=" + decision.Capability(mac) + "&decision=approve&name=x&reason=x&code=" +
				s.rec.Code())
		}
		res, err := s.Handle(t.Context(), r)
		if err != nil || res.Status != want.Status || !bytes.Equal(res.Body, want.Body) ||
			!maps.Equal(res.Header, want.Header) {
			t.Errorf("guess %d at a question %s can be told from a damaged link: status %d, %d bytes, %v", i, what, res.Status,
				len(res.Body), err)
			return
		}
	}
	assert.Equal(t, before, s.table.Snapshot(), "a guess at a question %s changed something", what)
	assert.EqualValues(t, n, s.links.Calls.Load()-links, "each guess costs one check, whether or not the question exists")
	assert.Equal(t, n, s.table.Loads-loads, "each guess costs one read, whether or not the question exists")
}

func TestT28_DamagedLinks(t *testing.T) {
	for what, s := range guessedAt(t) {
		want := s.get(t, "")
		for _, query := range []string{"a=" + s.rec.ID, "a=" + s.rec.ID + "&c=x", "c=" + strings.Repeat("A", 43), "a=1&c=2"} {
			assert.Equal(t, want, s.get(t, query), "%s, question %s", query, what)
		}
		forged := decision.Capability(make([]byte, 32))
		for _, r := range []approval.HTTPRequest{s.form("approve", "c", forged), s.form("approve", "c", forged, "code", "1"),
			s.form("", "c", forged)} {
			assert.Equal(t, want, s.do(t, r), "a forged post, question %s", what)
		}
	}
}

// TestCallback_FloodOfOtherRequests sends 100,000 requests that are no valid
// decision: other methods and paths, and decisions of which one thing is wrong.
func TestCallback_FloodOfOtherRequests(t *testing.T) {
	s := newStand(t)
	rng := rand.New(rand.NewSource(26))
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	s.unchanged(t, func() {
		for i := range n {
			r := s.otherRequest(rng)
			if i%8 == 0 { // these are answered with the whole page, which takes longer
				r = s.damagedDecision(rng)
			}
			res, err := s.Handle(t.Context(), r)
			if err != nil || res.Status == 303 {
				t.Fatalf("request %d, %s %s?%s %q: %d, %v", i, r.Method, r.Path, r.RawQuery, r.Body, res.Status, err)
			}
		}
	})
	assert.Equal(t, 303, s.do(t, s.form("approve")).Status, "the human's later click still works")
}

func pick(rng *rand.Rand, from ...string) string { return from[rng.Intn(len(from))] }

// otherRequest carries a whole decision, but not to where decisions are taken.
func (s *stand) otherRequest(rng *rand.Rand) approval.HTTPRequest {
	r, query := s.form(pick(rng, "approve", "reject")), s.query()
	r.Method = pick(rng, "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "TRACE", "POST")
	r.Path = pick(rng, "/callback", "/operator", "/", "/callback/", "/Callback", "//callback")
	if r.Method == "POST" && r.Path == "/callback" {
		r.Header["content-type"] = pick(rng, "", "application/json", "text/html", "multipart/form-data; boundary=x")
	}
	r.RawQuery = pick(rng, "", query, "a="+s.rec.ID, query+"&decision=approve&name=x&code="+s.rec.Code())
	r.Header["x-http-method-override"] = "POST"
	return r
}

// damagedDecision is a decision of which one field is changed, cut or missing.
func (s *stand) damagedDecision(rng *rand.Rand) approval.HTTPRequest {
	r := s.form(pick(rng, "approve", "reject"))
	fields, err := url.ParseQuery(string(r.Body))
	if err != nil {
		panic(err)
	}
	name := pick(rng, "a", "c", "decision", "code", "name", "reason")
	value := []byte(fields.Get(name))
	switch at := rng.Intn(len(value)); {
	case name == "name":
		fields.Set(name, pick(rng, "", " ", "\u200b", strings.Repeat("x", 101)))
	case name == "reason":
		fields.Set("decision", "reject")
		fields.Set(name, pick(rng, "", "\n", "\u202e", strings.Repeat("x", 501)))
	case rng.Intn(4) == 0:
		fields.Set(name, string(value[:at]))
	default:
		value[at] ^= 1 << []int{0, 1, 2, 3, 4, 6, 7}[rng.Intn(7)] // bit 5 makes a letter large, and a code may be typed so
		fields.Set(name, string(value))
	}
	r.Body = []byte(fields.Encode())
	return r
}
