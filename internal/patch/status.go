package patch

// RunStatus is how a run ended.
type RunStatus string

// The states of a run.
const (
	RunRunning    RunStatus = "Running"
	RunSucceeded  RunStatus = "Succeeded"
	RunIncomplete RunStatus = "Incomplete"
	RunStopped    RunStatus = "Stopped"
	RunRejected   RunStatus = "Rejected"
	RunExpired    RunStatus = "Expired"
	RunAborted    RunStatus = "Aborted"
	RunFailed     RunStatus = "Failed"
	// RunCompleted is a run whose waves were all judged good and in which some instance is not.
	RunCompleted RunStatus = "CompletedWithFailures"
	// RunRefused is a run whose input or plan is not valid, or is more than its guards allow.
	RunRefused RunStatus = "Refused"
	// RunPlanned is a run that was to end with its plan.
	RunPlanned RunStatus = "Planned"
)

// Good tells whether the execution of a run that ended so succeeds.
func (s RunStatus) Good() bool {
	return s == RunPlanned || s == RunSucceeded || s == RunCompleted || s == RunIncomplete
}

// Err is the error with which an execution fails whose run ended so, empty if it succeeds.
func (s RunStatus) Err() Kind {
	if s.Good() {
		return ""
	}
	return Kind("Patch." + string(s))
}

// Verdict is the judgement on a wave.
type Verdict string

// The verdicts.
const (
	VerdictGood Verdict = "good"
	VerdictStop Verdict = "stop"
	VerdictAsk  Verdict = "ask"
)
