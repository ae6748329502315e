package patch

import "errors"

// Kind is a failure that the state machine can tell apart by name.
type Kind string

func (k Kind) Error() string { return string(k) }

// Every kind of failure. The doc comment says what happened, whether it took
// effect, and who should act. The state machine names each of them, or it is marked fatal here.
const (
	// ErrThrottled means that AWS refused a call before it had any effect. Safe to retry.
	ErrThrottled Kind = "Patch.Throttled"
	// ErrUnavailable means that a call got no answer or a server error; every
	// effect of our tasks may be tried again, so retry is safe.
	ErrUnavailable Kind = "Patch.Unavailable"
	// ErrConflict means that another call changed a row first. Nothing was written; a retry reads it anew.
	ErrConflict Kind = "Patch.Conflict"
	// ErrInvalidInput means that the run's input is not valid. Nothing happened; the caller mends the input. Fatal.
	ErrInvalidInput Kind = "Patch.InvalidInput"
	// ErrRefused means that a guard refused the plan. Nothing was sent; the caller looks at the plan. Fatal.
	ErrRefused Kind = "Patch.Refused"
	// ErrAccessDenied means that a role may not do what it must. Retrying does not help; an administrator acts. Fatal
	// where a task lets it out.
	ErrAccessDenied Kind = "Patch.AccessDenied"
	// ErrRegionDisabled means that the account has not enabled the region: nobody's role may do anything there. It
	// comes with ErrAccessDenied, which it explains, and never leaves a task by itself.
	ErrRegionDisabled Kind = "Patch.RegionDisabled"
	// ErrInvalidInstance means that SSM refused a whole command because of one of its instances. Nothing was sent. It
	// never leaves the send task.
	ErrInvalidInstance Kind = "Patch.InvalidInstance"
	// ErrRefusedCommand means that SSM refused a command for any other reason of ours. Nothing was sent. It never
	// leaves the send task.
	ErrRefusedCommand Kind = "Patch.RefusedCommand"
	// ErrTampered means that a stored record does not carry the digest or the MAC that it must. Nothing is sent; an
	// auditor acts. Fatal.
	ErrTampered Kind = "Patch.Tampered"
	// ErrInternal stands in at the edge for every failure without a kind. Fatal.
	ErrInternal Kind = "Patch.Internal"
)

// The errors with which the state machine itself ends a wave. A run that is not
// good ends with that of its status, after its report was written: RunStatus.Err.
const (
	// ErrWaveStopped ends a wave whose verdict forbids the next one.
	ErrWaveStopped Kind = "Patch.WaveStopped"
	// ErrWaveFailed ends a wave that could not be asked about or judged. The map catches it with everything else;
	// fatal.
	ErrWaveFailed Kind = "Patch.WaveFailed"
)

// KindOf is the first kind in err's tree, ErrInternal if there is none.
func KindOf(err error) Kind {
	if kind, ok := errors.AsType[Kind](err); ok {
		return kind
	}
	return ErrInternal
}

// accept drops an error of that kind.
func Without(err error, kind Kind) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}
