package asl

import "fmt"

// Failure is an error of the language: a name that Retry and Catch match, and a text.
type Failure struct{ Error, Cause string }

// Error names of the language that this package raises or knows.
// Source: Step Functions Developer Guide, "Error names".
const (
	errAll            = "States.ALL"
	errTaskFailed     = "States.TaskFailed"
	errTimeout        = "States.Timeout"
	errHeartbeat      = "States.HeartbeatTimeout"
	errPermissions    = "States.Permissions"
	errDataLimit      = "States.DataLimitExceeded"
	errRuntime        = "States.Runtime"
	errIntrinsic      = "States.IntrinsicFailure"
	errResultPath     = "States.ResultPathMatchFailure"
	errParameterPath  = "States.ParameterPathFailure"
	errNoChoice       = "States.NoChoiceMatched"
	errBranch         = "States.BranchFailed"
	errThreshold      = "States.ExceedToleratedFailureThreshold"
	errItemReader     = "States.ItemReaderFailed"
	errResultWriter   = "States.ResultWriterFailed"
	reservedNamespace = "States."
)

// knownErrors lists what may stand in ErrorEquals under the reserved prefix; anything else there is a slip.
func knownErrors() []string {
	return []string{errAll, errTaskFailed, errTimeout, errHeartbeat, errPermissions, errDataLimit,
		errRuntime, errIntrinsic, errResultPath, errParameterPath, errNoChoice, errBranch, errThreshold, errItemReader,
		errResultWriter}
}

// fault is a failure on its way through retriers and catchers.
type fault struct {
	name, cause string
	alias       string // a second name that ErrorEquals may use: a missed heartbeat is a timeout, too
	noCause     bool   // the error output has no Cause at all (timeouts)
	located     bool   // the cause says in which state
}

func faultf(name, format string, args ...any) *fault {
	return &fault{name: name, cause: fmt.Sprintf(format, args...)}
}

func runtimeFault(format string, args ...any) *fault { return faultf(errRuntime, format, args...) }

func (f *Failure) fault() *fault { return &fault{name: f.Error, cause: f.Cause} }

// terminal errors are never retried nor caught: they always fail the execution.
func (f *fault) terminal() bool {
	switch f.name {
	case errRuntime, errIntrinsic, errParameterPath, errResultPath, errNoChoice:
		return true
	}
	return false
}

// matches says whether one entry of ErrorEquals covers the fault. States.ALL leaves out States.DataLimitExceeded,
// States.TaskFailed leaves out timeouts as well.
func (f *fault) matches(entry string) bool {
	if f.terminal() {
		return false
	}
	if entry == f.name || f.alias != "" && entry == f.alias {
		return true
	}
	if f.name == errDataLimit {
		return false
	}
	return entry == errAll || entry == errTaskFailed && f.name != errTimeout && f.name != errHeartbeat
}

func (f *fault) matchesAny(entries []string) bool {
	for _, e := range entries {
		if f.matches(e) {
			return true
		}
	}
	return false
}

// output is what a catcher hands on.
func (f *fault) output() map[string]any {
	if f.noCause {
		return map[string]any{"Error": f.name}
	}
	return map[string]any{"Error": f.name, "Cause": f.cause}
}
