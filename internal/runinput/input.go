package runinput

import "ec2patch/internal/patch"

// Input is a run input with every default filled in. It is valid input itself:
// what the plan stores can be read again.
type Input struct {
	RunKey                 string       `json:"runKey,omitempty"`
	RequestedBy            string       `json:"requestedBy,omitempty"`
	Reason                 string       `json:"reason,omitempty"`
	Waves                  []Wave       `json:"waves"`
	WavePauseSeconds       int          `json:"wavePauseSeconds"`
	AbortOnIssues          bool         `json:"abortOnIssues"`
	Approval               ApprovalMode `json:"approval"`
	ApprovalTimeoutSeconds int          `json:"approvalTimeoutSeconds"`
	RequireDistinct        int          `json:"requireDistinct"`
	DryRun                 bool         `json:"dryRun"`
	OnUnreachable          string       `json:"onUnreachable"` // "continue" or "stop"
	Budget                 RunBudget    `json:"budget"`
	Guards                 Guards       `json:"guards"`
	Resume                 patch.RunID  `json:"resume,omitempty"`

	// StartedBy is the execution of another state machine that started the run.
	// Step Functions adds it to the input of a nested start by itself, under this name.
	StartedBy string `json:"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID,omitempty"`
	// Warnings tell what was taken as it is written and probably means something
	// else, one line each and at most MaxWarnings and one. ParseInput finds them anew
	// at each reading; they are no part of what a run is, as SeriesKey sees it.
	Warnings []string `json:"warnings,omitempty"`

	// Inactive is what a plan adds to its input: accounts of the waves' units that cannot be used.
	Inactive []InactiveAccount `json:"inactive,omitempty"`
	// Asked is what a plan adds besides: the terms as the input had them, before the hub's policy.
	Asked *Terms `json:"asked,omitempty"`
}

// InactiveAccount is an account of an organizational unit that is not active:
// suspended, closing or not yet set up. No wave has it.
type InactiveAccount struct {
	Account patch.AccountID `json:"account"`
	Wave    string          `json:"wave"`
	State   string          `json:"state"` // as AWS Organizations names it, such as SUSPENDED
}

// Wave is an ordered group of targets that are patched together. A plan adds the
// accounts of the units to Accounts.
type Wave struct {
	Name                  string            `json:"name"`
	Accounts              []patch.AccountID `json:"accounts"`
	OrganizationalUnits   []string          `json:"organizationalUnits,omitempty"`
	Regions               []patch.Region    `json:"regions"`
	Filters               Filters           `json:"filters"`
	SSM                   SSM               `json:"ssm"`
	MaxConcurrentAccounts int               `json:"maxConcurrentAccounts"`
	CommandTimeoutSeconds int               `json:"commandTimeoutSeconds"`
	Budget                WaveBudget        `json:"budget"`
	HealthGate            HealthGate        `json:"healthGate"`
	SlowStart             bool              `json:"slowStart"`  // each target begins with few, and goes on as they end well
	AllowEmpty            bool              `json:"allowEmpty"` // a wave that matches nothing is no finding
}

// Filters select a wave's instances. Values under one tag key are OR, keys are
// AND; InstanceIDs, when given, replace the tags.
type Filters struct {
	Tags        map[string][]string `json:"tags"`
	Platforms   []patch.Platform    `json:"platforms"`
	InstanceIDs []patch.InstanceID  `json:"instanceIds,omitempty"`
}

// SSM is how a wave's commands run in each account and region.
type SSM struct {
	MaxConcurrency patch.Threshold    `json:"maxConcurrency"`
	MaxErrors      patch.Threshold    `json:"maxErrors"`
	Operation      patch.Operation    `json:"operation"`
	RebootOption   patch.RebootOption `json:"rebootOption"`
}

// RunBudget is how many planned instances of the whole run may fail.
type RunBudget struct {
	MaxFailedInstances patch.Threshold `json:"maxFailedInstances"`
}

// WaveBudget is how much of a wave may fail. MaxFailedInstances is against the
// wave's planned instances, PerAccount against one account's, MaxFailedAccounts
// against the wave's accounts.
type WaveBudget struct {
	MaxFailedInstances patch.Threshold `json:"maxFailedInstances"`
	MaxFailedAccounts  patch.Threshold `json:"maxFailedAccounts"`
	PerAccount         patch.Threshold `json:"perAccount"`
}

// HealthGate is what must be green over the soak time after a wave.
type HealthGate struct {
	Alarms      []string `json:"alarms,omitempty"` // CloudWatch alarm ARNs
	SoakSeconds int      `json:"soakSeconds"`
}

// Guards refuse a plan that is larger than anybody meant. A MaxInstances of 0
// sets no limit.
type Guards struct {
	MaxInstances int             `json:"maxInstances"`
	MaxShare     patch.Threshold `json:"maxShare"`
	MaxGrowth    patch.Threshold `json:"maxGrowth"`
}

// ApprovalMode says when people are asked.
type ApprovalMode string

// The approval modes.
const (
	ApproveOnce    ApprovalMode = "once"
	ApprovePerWave ApprovalMode = "perWave"
	ApproveNone    ApprovalMode = "none"
)

// Installs tells whether any wave changes instances.
func (in Input) Installs() bool {
	for _, w := range in.Waves {
		if w.SSM.Operation == patch.Install {
			return true
		}
	}
	return false
}

// Defaults are what the hub's parameters set for every run.
type Defaults struct {
	MaxConcurrency         patch.Threshold
	MaxErrors              patch.Threshold
	MaxConcurrentAccounts  int
	CommandTimeoutSeconds  int
	ApprovalTimeoutSeconds int
}
