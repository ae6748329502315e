package sim

import (
	"fmt"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/check"
)

// SeedsResult sums up many rehearsals of one input, one for each seed: the
// object that `simulate --seeds A-B --format json` prints. What has the name of
// a field of Result is its sum over the seeds; a name with Max is the greatest.
type SeedsResult struct {
	From  uint64 `json:"from"`
	To    uint64 `json:"to"` // inclusive
	Seeds int    `json:"seeds"`

	Statuses          map[patch.RunStatus]int `json:"statuses"` // how many runs ended so
	Planned           int                     `json:"planned"`
	Outcomes          map[outcome.Outcome]int `json:"outcomes"`
	ViolationCount    int                     `json:"violationCount"`
	VirtualSeconds    int64                   `json:"virtualSeconds"`
	VirtualYears      float64                 `json:"virtualYears"` // of 365.25 days
	Executions        int                     `json:"executions"`
	MaxHistoryEvents  int                     `json:"maxHistoryEvents"`
	MaxPayloadBytes   int                     `json:"maxPayloadBytes"`
	StateTransitions  int                     `json:"stateTransitions"`
	LambdaInvocations int                     `json:"lambdaInvocations"`
	APICalls          map[string]int          `json:"apiCalls"`
	Faults            map[string]int          `json:"faults"`
	EstimatedCostUSD  float64                 `json:"estimatedCostUSD"`

	// Premises tells how often each rule of docs/safety.md had something to say: one that
	// stands at 0 is not proven by these rehearsals. need two rehearsals each.
	Premises map[string]int `json:"premises"`

	// WallSeconds and SeedsPerSecond are measured by the command, not by the rehearsals.
	WallSeconds    float64 `json:"wallSeconds"`
	SeedsPerSecond float64 `json:"seedsPerSecond"`

	Failed []FailedSeed `json:"failed"` // in order of seed and time

	// Ended are the seeds by how their run ended, each list in order.
	Ended map[patch.RunStatus][]uint64 `json:"-"`
}

// FailedSeed is a rehearsal that broke a rule, or one that could not be run.
type FailedSeed struct {
	Seed   uint64 `json:"seed"`
	Rule   string `json:"rule"` // the first rule that was broken; "error" if the rehearsal itself failed
	Detail string `json:"detail,omitempty"`
	Replay string `json:"replay"` // the command that repeats it; the command line fills it in
}

// noPremises has every rule, none of which had anything to say yet.
func noPremises() map[string]int {
	all := map[string]int{}
	for n := range check.LastRule {
		all[fmt.Sprintf("R-%02d", n+1)] = 0
	}
	return all
}
