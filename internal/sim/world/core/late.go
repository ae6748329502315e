package core

import (
	"context"
	"time"
)

// StaleReads is what Faults may also implement. It tells how far back an
// eventually consistent read of DynamoDB sees; zero for the newest item. Only
// writes made while such Faults are set can be seen as they were before.
type StaleReads interface {
	Stale(c *Call) time.Duration
}

// SlowAnswers is what Faults may also implement. It tells how much longer than
// usual a call takes.
type SlowAnswers interface {
	Slow(c *Call) time.Duration
}

// LateEffects is what Faults may also implement. It tells how long after its
// caller has given up a call that changes something takes effect; zero for one
// that is carried out as it should be.
type LateEffects interface {
	Late(c *Call) time.Duration
}

// Duplicates is what Faults may also implement. It tells whether a request
// reaches the service twice, as it does when a connection breaks and the client
// sends it again. The caller gets the second answer.
type Duplicates interface {
	Twice(c *Call) bool
}

// MissingAlarms is what Faults may also implement. It tells whether an alarm is
// missing in an answer of DescribeAlarms, or has no data.
type MissingAlarms interface {
	Missing(c *Call, alarm string) (missing, noData bool)
}

// slowness is what a call takes besides its usual time.
func (w *Core) slowness(c *Call) time.Duration {
	if f, ok := w.Faults.(SlowAnswers); ok {
		return max(f.Slow(c), 0)
	}
	return 0
}

// lateness is when a call takes effect, if not now.
func (w *Core) lateness(c *Call) time.Duration {
	f, ok := w.Faults.(LateEffects)
	if !ok || !c.Mutating {
		return 0
	}
	return max(f.Late(c), 0)
}

// twice tells whether a request arrives again. A client that tries once only
// never sends a request again.
func (w *Core) twice(c *Call) bool {
	f, ok := w.Faults.(Duplicates)
	return ok && c.Attempts > 1 && f.Twice(c)
}

// arrive carries out a request as the service gets it.
func arrive[T any](w *Core, c *Call, effect func() (T, error)) (T, error) {
	var zero T
	if err := w.authorize(c); err != nil {
		w.Ledger.Denied = append(w.Ledger.Denied, err.Error())
		return zero, err
	}
	out, err := effect()
	if err != nil {
		return zero, err
	}
	if c.Mutating {
		w.enter(c, out)
	}
	return out, nil
}

// later lets a request arrive when nobody waits for its answer any more.
func later[T any](w *Core, c *Call, d time.Duration, effect func() (T, error)) error {
	w.After(d, func() {
		// Refused or not, nobody is told.
		_, _ = arrive(w, c, effect)
	})
	return &ConnectionError{Call: c.Name()}
}

// takes charges the time of one attempt, and tells whether the caller still waits.
func (w *Core) takes(ctx context.Context, c *Call) error {
	spend(ctx, usually(c)+w.slowness(c))
	return ctx.Err()
}
