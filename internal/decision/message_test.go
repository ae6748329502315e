package decision_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
)

func approval() decision.Approval {
	return decision.Approval{
		ID: "id", Run: "run-1", Scope: "run", Digest: "9f3c0000", HubAccount: "999999999999", Instances: 412,
		RequireDistinct: 1,
		RequestedBy:     "team", Expires: askedAt(),
	}
}

func signed() decision.Decision {
	return decision.Decision{Approval: "id", Decision: decision.Approve, Identity: "link", Name: "Ann", Reason: "because",
		At: askedAt()}
}

// Everything that the capability is bound to is in its message, and nothing
// that changes from reminder to reminder.
func TestApproval_LinkMessage(t *testing.T) {
	same := string(approval().LinkMessage())
	bound := map[string]func(*decision.Approval){
		"id":          func(a *decision.Approval) { a.ID = "di" },
		"run":         func(a *decision.Approval) { a.Run = "run-2" },
		"digest":      func(a *decision.Approval) { a.Digest = "9f3c0001" },
		"scope":       func(a *decision.Approval) { a.Scope = "wave:run" },
		"expiry":      func(a *decision.Approval) { a.Expires = a.Expires.Add(time.Second) },
		"hub account": func(a *decision.Approval) { a.HubAccount = "999999999998" },
	}
	for name, change := range bound {
		a := approval()
		change(&a)
		assert.NotEqual(t, same, string(a.LinkMessage()), "the link is not bound to the %s", name)
	}
	a := approval()
	a.Round, a.Token, a.Status, a.Version = 7, "token", decision.ApprovalApproved, 9
	assert.Equal(t, same, string(a.LinkMessage()), "a reminder has the same link")
	assert.NotContains(t, same, "token")
}

func TestApproval_DecisionMessage(t *testing.T) {
	same := string(approval().DecisionMessage(signed()))
	assert.NotEqual(t, same, string(approval().LinkMessage()), "a link is no decision")
	bound := map[string]func(*decision.Approval, *decision.Decision){
		"id":          func(a *decision.Approval, _ *decision.Decision) { a.ID = "di" },
		"run":         func(a *decision.Approval, _ *decision.Decision) { a.Run = "run-2" },
		"digest":      func(a *decision.Approval, _ *decision.Decision) { a.Digest = "0" },
		"scope":       func(a *decision.Approval, _ *decision.Decision) { a.Scope = "soak:canary" },
		"hub account": func(a *decision.Approval, _ *decision.Decision) { a.HubAccount = "1" },
		"decision":    func(_ *decision.Approval, d *decision.Decision) { d.Decision = decision.Reject },
		"identity":    func(_ *decision.Approval, d *decision.Decision) { d.Identity = "arn" },
		"name":        func(_ *decision.Approval, d *decision.Decision) { d.Name = "Bob" },
		"reason":      func(_ *decision.Approval, d *decision.Decision) { d.Reason = "" },
		"time":        func(_ *decision.Approval, d *decision.Decision) { d.At = d.At.Add(time.Nanosecond) },
	}
	for name, change := range bound {
		a, d := approval(), signed()
		change(&a, &d)
		assert.NotEqual(t, same, string(a.DecisionMessage(d)), "the decision is not bound to the %s", name)
	}
}

// Two different decisions never have the same message, wherever their parts end.
func TestApproval_DecisionMessage_isInjective(t *testing.T) {
	part := rapid.StringMatching(`[0-9:,a]{0,6}`)
	draw := func(rt *rapid.T, name string) (decision.Approval, decision.Decision) {
		a, d := approval(), signed()
		a.ID, a.Scope, a.Digest = part.Draw(rt, name+" id"), patch.Scope(part.Draw(rt, name+" scope")),
			part.Draw(rt, name+" digest")
		d.Identity, d.Name, d.Reason = part.Draw(rt, name+" identity"), part.Draw(rt, name+" who"), part.Draw(rt, name+" why")
		return a, d
	}
	rapid.Check(t, func(rt *rapid.T) {
		a1, d1 := draw(rt, "first")
		a2, d2 := draw(rt, "second")
		same := a1.ID == a2.ID && a1.Scope == a2.Scope && a1.Digest == a2.Digest && d1.Identity == d2.Identity &&
			d1.Name == d2.Name && d1.Reason == d2.Reason
		assert.Equal(rt, same, bytes.Equal(a1.DecisionMessage(d1), a2.DecisionMessage(d2)))
		sameLink := a1.ID == a2.ID && a1.Scope == a2.Scope && a1.Digest == a2.Digest
		assert.Equal(rt, sameLink, bytes.Equal(a1.LinkMessage(), a2.LinkMessage()))
	})
}

// What stands at the end of one part and at the start of the next is told apart.
func TestApproval_messages_keepPartsApart(t *testing.T) {
	a, b := approval(), approval()
	a.Digest, a.Scope = "ab", "c"
	b.Digest, b.Scope = "a", "bc"
	assert.NotEqual(t, a.LinkMessage(), b.LinkMessage())
	d1, d2 := signed(), signed()
	d1.Name, d1.Reason = "Ann,3:", "x"
	d2.Name, d2.Reason = "Ann", "3:x"
	assert.NotEqual(t, approval().DecisionMessage(d1), approval().DecisionMessage(d2))
}

func TestApproval_Tally(t *testing.T) {
	by := func(identity string, what decision.Choice) decision.Decision {
		return decision.Decision{Identity: identity, Decision: what}
	}
	tests := []struct {
		name   string
		needed int
		valid  []decision.Decision
		want   decision.Status
	}{
		{"nobody", 1, nil, decision.ApprovalPending},
		{"one of one", 1, []decision.Decision{by("link", decision.Approve)}, decision.ApprovalApproved},
		{"zero needed is one", 0, nil, decision.ApprovalPending},
		{"zero needed is one, and one came", 0, []decision.Decision{by("link", decision.Approve)}, decision.ApprovalApproved},
		{"one of two", 2, []decision.Decision{by("ann", decision.Approve)}, decision.ApprovalPending},
		{"the same one twice", 2, []decision.Decision{by("ann", decision.Approve), by("ann", decision.Approve)},
			decision.ApprovalPending},
		{"two of two", 2, []decision.Decision{by("ann", decision.Approve), by("bob", decision.Approve)},
			decision.ApprovalApproved},
		{"the requester does not count", 2, []decision.Decision{by("team", decision.Approve), by("bob", decision.Approve)},
			decision.ApprovalPending},
		{"the requester counts where one is enough", 1, []decision.Decision{by("team", decision.Approve)},
			decision.ApprovalApproved},
		{"one rejection is enough", 2, []decision.Decision{by("ann", decision.Approve), by("bob", decision.Reject)},
			decision.ApprovalRejected},
		{"a rejection beside enough approvals", 1,
			[]decision.Decision{by("ann", decision.Approve), by("bob", decision.Reject)}, decision.ApprovalRejected},
		{"something else decides nothing", 1, []decision.Decision{by("ann", "maybe"), by("bob", "")},
			decision.ApprovalPending},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := approval()
			a.RequireDistinct = test.needed
			assert.Equal(t, test.want, a.Tally(decision.People{}, test.valid))
		})
	}
}

func TestApproval_Code(t *testing.T) {
	assert.Equal(t, "412-9f3c", approval().Code())
	assert.Equal(t, "0-", decision.Approval{}.Code(), "no digest is no crash")
}

func TestApprovalID(t *testing.T) {
	seen := map[string]bool{}
	for _, at := range []struct {
		run   patch.RunID
		scope patch.Scope
	}{{"a", "run"}, {"b", "run"}, {"a", "wave:x"}, {"a", "soak:x"}, {"ar", "un"}} {
		id := decision.ApprovalID(at.run, at.scope)
		assert.Regexp(t, `^[0-9a-f]{32}$`, id)
		assert.False(t, seen[id], "%v has another's id", at)
		seen[id] = true
	}
}

func TestParseCapability(t *testing.T) {
	mac := bytes.Repeat([]byte{0xfb}, 32)
	text := decision.Capability(mac)
	back, ok := decision.ParseCapability(text)
	assert.True(t, ok)
	assert.Equal(t, mac, back)
	last := text[:len(text)-1]
	for name, bad := range map[string]string{
		"empty": "", "short": text[:42], "long": text + "A", "padded": text + "=",
		"standard alphabet":   strings.ReplaceAll(text, "-", "+"),
		"other trailing bits": last + string(text[len(text)-1]+1), "line break": text + "\n",
	} {
		_, ok := decision.ParseCapability(bad)
		assert.False(t, ok, "%s: %q", name, bad)
	}
}

// askedAt is when an approval was asked for.
func askedAt() time.Time { return time.Date(2026, 12, 1, 2, 0, 0, 0, time.UTC) }
