package sim

import (
	"time"

	"ec2patch/internal/follow"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/stage"
)

// Options choose one rehearsal.
type Options struct {
	Input     []byte
	RunID     patch.RunID // empty: "rehearsal-<seed>"
	Seed      uint64
	Instances int    // per account and region; used when Fleet is empty
	Fleet     []byte // a fleet file, or nil
	Faults    string // calm, light, storm, swarm or NAME=RATE,...; empty: calm
	Approve   Approve
	// AskLinger is how long the local page of ApproveAsk stays after the last request that follows a decision. 0: 2 s.
	AskLinger time.Duration
	Hub       []byte // cloudformation/hub-cfn.yaml
	Spoke     []byte // cloudformation/spoke-cfn.yaml
	Reader    []byte // cloudformation/organization-reader-cfn.yaml
	// Parameters are further parameters of the hub's template; without them its defaults hold.
	Parameters map[string]string
	// Progress, if set, is told whenever something changed that a person would look at.
	Progress func(follow.Progress)

	templates *stage.Templates  // read already; nil: Hub, Spoke and Reader are read
	spoke     map[string]string // further parameters of the spoke's template
}

// setup is what the options say of the stage.
func (o Options) setup() stage.Setup {
	return stage.Setup{
		Input: o.Input, RunID: o.RunID, Seed: o.Seed, Instances: o.Instances, Fleet: o.Fleet, Hub: o.Hub, Spoke: o.Spoke,
		Reader:    o.Reader,
		Templates: o.templates, Parameters: o.Parameters, SpokeParameters: o.spoke,
	}
}

// Approve is who answers the approval mail.
type Approve string

// The answers that a rehearsal can give. Ask waits for a person at a local address.
const (
	ApproveAuto    Approve = "auto"
	ApproveReject  Approve = "reject"
	ApproveTimeout Approve = "timeout"
	ApproveAsk     Approve = "ask"
)

// Result is how one rehearsal ended: the object that `simulate --format json` prints.
type Result struct {
	Run                   patch.RunID             `json:"run"`
	Status                patch.RunStatus         `json:"status"`
	Seed                  uint64                  `json:"seed"`
	Planned               int                     `json:"planned"`
	Outcomes              map[outcome.Outcome]int `json:"outcomes"`
	Waves                 []report.WaveReport     `json:"waves"`
	Violations            []check.Violation       `json:"violations"`
	VirtualSeconds        int64                   `json:"virtualSeconds"`
	IdealSeconds          int64                   `json:"idealSeconds"`
	WallSeconds           float64                 `json:"wallSeconds"`
	Executions            int                     `json:"executions"`
	MaxHistoryEvents      int                     `json:"maxHistoryEvents"`
	MaxPayloadBytes       int                     `json:"maxPayloadBytes"`
	StateTransitions      int                     `json:"stateTransitions"`
	LambdaInvocations     int                     `json:"lambdaInvocations"`
	APICalls              map[string]int          `json:"apiCalls"`
	Faults                map[string]int          `json:"faults"`
	DetectionDelaySeconds Quantiles               `json:"detectionDelaySeconds"`
	RefillDelaySeconds    Quantiles               `json:"refillDelaySeconds"` // from an instance's end to the next send into its slot
	EstimatedCostUSD      float64                 `json:"estimatedCostUSD"`

	// Premises tells how often each rule had something to say.
	Premises map[string]int `json:"-"`

	// Failure is the error of a run that left no report, and the state in which it struck last.
	Failure string `json:"-"`
	// Report is the report as the run wrote it; Files are the artefacts to keep, by name.
	Report *report.Report    `json:"-"`
	Files  map[string][]byte `json:"-"` // report.json, report.csv, report.html, history.json
	Cost   []CostItem        `json:"-"`
}

// Quantiles summarise a distribution in seconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	Max float64 `json:"max"`
}

// CostItem is one line of the bill.
type CostItem struct {
	Name     string // "Step Functions state transitions"
	Quantity float64
	Unit     string // "transitions"
	USD      float64
}
