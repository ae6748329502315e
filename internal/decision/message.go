package decision

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"ec2patch/internal/patch"
)

// ApprovalID names the question of one scope of a run. It is no secret.
func ApprovalID(run patch.RunID, scope patch.Scope) string {
	return patch.Digest([]byte("ec2patch-approval\x00" + string(run) + "\x00" + string(scope)))[:32]
}

// LinkMessage is what the capability in a link is a MAC over. Each part stands
// behind its length, so no two records have the same message.
func (a Approval) LinkMessage() []byte {
	return message("ec2patch-link-1", a.ID, string(a.Run), a.Digest, string(a.Scope), fmt.Sprint(a.Expires.Unix()),
		string(a.HubAccount))
}

// DecisionMessage is what the MAC of a decision covers: also until when and by
// how many it was to be decided, and who did not count.
//
// The doubt that a question is about stands at the end: a question without one, as
// all were in earlier releases, is signed as it was then.
func (a Approval) DecisionMessage(d Decision) []byte {
	parts := []string{"ec2patch-decision-2", a.ID, string(a.Run), a.Digest, string(a.Scope), string(a.HubAccount),
		fmt.Sprint(a.Expires.Unix()), fmt.Sprint(max(a.RequireDistinct, 1)), a.RequestedBy,
		string(d.Decision), d.Identity, d.Name, d.Reason, d.At.UTC().Format(time.RFC3339Nano)}
	if a.Doubt != "" {
		parts = append(parts, a.Doubt)
	}
	return message(parts...)
}

func message(parts ...string) []byte {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%d:%s,", len(p), p)
	}
	return []byte(b.String())
}

// Code is what a person types to decide: the blast radius and the first four
// hex digits of the digest, as "412-9f3c".
func (a Approval) Code() string {
	return fmt.Sprintf("%d-%s", a.Instances, a.Digest[:min(4, len(a.Digest))])
}

// Capability writes a MAC for a link.
func Capability(mac []byte) string { return base64.RawURLEncoding.EncodeToString(mac) }

// ParseCapability reads a link's MAC. It takes exactly one spelling of 32 bytes.
func ParseCapability(s string) ([]byte, bool) {
	mac, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(mac) != 32 || Capability(mac) != s { // the decoder skips line breaks and spare bits
		return nil, false
	}
	return mac, true
}

// OnTerms tells whether the approval has the terms that the plan was sealed with: how many must approve, and who does
// not count. Its own row could have been given others.
func (a Approval) OnTerms(s Seal) bool {
	return a.Run == s.Run && a.Digest == s.Digest && max(a.RequireDistinct, 1) == max(s.Terms.Distinct, 1) &&
		a.RequestedBy == s.RequestedBy
}
