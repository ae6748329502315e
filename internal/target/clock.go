package target

import (
	"time"

	"ec2patch/internal/store"
)

// visibility is how long after its intent a command may appear: the time that
// the function may run, and how long SSM may take to list what it accepted.
// Source: field reports of up to a minute; no figure is published, read 2026-11.
const visibility = (120 + 90) * time.Second

// clock tells a step of a target how much time has passed since a mark: no other code knows which of the clock and the
// machine's waits counts for what. Of what has no mark, the lease and the alarms that the targets of a wave share, the
// time alone counts.
type clock struct{ store.Clock }

// age is how long ago a send was accepted.
func (c clock) age(in *Intent, x Sent) time.Duration {
	since := max(int(x.At.Sub(in.Written).Seconds()), 0) // the intent is older than what was sent under it
	return c.Since(store.Mark{At: x.At, Waited: in.Waited + since})
}

// late tells whether a send is past its deadline.
func (c clock) late(in *Intent, x Sent) bool { return c.age(in, x) >= in.timeout() }

// unlisted is how long it takes until the intent's commands must be listed, none if they must be by now. Only the
// machine's own waits count: the clocks of two functions may differ by more than the window. After a redrive they
// may count from nothing again.
func (c clock) unlisted(in *Intent) time.Duration {
	waited := c.Waited - in.Waited
	if waited < 0 {
		waited = c.Waited
	}
	return max(visibility-time.Duration(waited)*time.Second, 0)
}
