package decision_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/decision"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
)

// Everything that a seal says is signed, and told apart from what another says.
func TestSeal_Message(t *testing.T) {
	seal := decision.Seal{Run: "run-1", Digest: "9f3c", HubAccount: "999999999999", Instances: 3, RequestedBy: "team",
		At: askedAt(), Terms: plan.Terms{
			Terms: runinput.Terms{Approval: runinput.ApproveOnce,
				Distinct: 1}, Seconds: 900, Input: runinput.Terms{Approval: runinput.ApproveNone, Distinct: 1},
			Hub: runinput.Policy{MinimumApproval: runinput.ApproveOnce, MinimumDistinct: 1},
		}}
	changes := map[string]func(*decision.Seal){
		"run":              func(s *decision.Seal) { s.Run = "run-2" },
		"digest":           func(s *decision.Seal) { s.Digest = "9f3d" },
		"hub":              func(s *decision.Seal) { s.HubAccount = "111111111111" },
		"instances":        func(s *decision.Seal) { s.Instances = 4 },
		"approval":         func(s *decision.Seal) { s.Terms.Approval = runinput.ApproveNone },
		"people":           func(s *decision.Seal) { s.Terms.Distinct = 2 },
		"time to answer":   func(s *decision.Seal) { s.Terms.Seconds = 901 },
		"input's approval": func(s *decision.Seal) { s.Terms.Input.Approval = runinput.ApproveOnce },
		"input's people":   func(s *decision.Seal) { s.Terms.Input.Distinct = 2 },
		"minimum approval": func(s *decision.Seal) { s.Terms.Hub.MinimumApproval = runinput.ApproveNone },
		"minimum people":   func(s *decision.Seal) { s.Terms.Hub.MinimumDistinct = 2 },
		"most instances":   func(s *decision.Seal) { s.Terms.Hub.MaxInstances = 2 },
		"requester":        func(s *decision.Seal) { s.RequestedBy = "" },
	}
	for name, change := range changes {
		other := seal
		change(&other)
		assert.NotEqual(t, string(seal.Message()), string(other.Message()), name)
		assert.False(t, seal.Says(other), name)
	}
	later := seal
	later.At = later.At.Add(time.Second)
	assert.NotEqual(t, string(seal.Message()), string(later.Message()))
	assert.True(t, seal.Says(later), "a second attempt says the same")
	assert.NotEqual(t, string(seal.Message()), string(approval().LinkMessage()))
}
