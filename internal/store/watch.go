package store

import (
	"slices"
	"time"

	"ec2patch/internal/doubt"
)

// Watch is what was seen of a wave's alarms while it is patched. Whoever is the first in a while reads
// them for all the others, who read this row.
type Watch struct {
	Versioned
	First  time.Time          `json:"first"`          // when somebody first began to read
	At     time.Time          `json:"at"`             // when somebody last began to read
	Read   time.Time          `json:"read,omitzero"`  // the moment of which Alarms is true
	Alarms []doubt.AlarmState `json:"alarms"`         // as last read
	Seen   []doubt.AlarmState `json:"seen,omitempty"` // those that were ever red, each in its worst state
}

// Saw takes over what was read at a moment.
func (w *Watch) Saw(states []doubt.AlarmState, at time.Time) {
	w.Read, w.Alarms = at, states
	for _, a := range states {
		i := slices.IndexFunc(w.Seen, func(b doubt.AlarmState) bool { return a.ARN == b.ARN })
		switch {
		case !a.Red():
		case i < 0:
			w.Seen = append(w.Seen, a)
		case a.Severity() > w.Seen[i].Severity():
			w.Seen[i] = a
		}
	}
}

// Red tells whether an alarm is red or was: what it stopped once does not go on by itself.
func (w Watch) Red() bool {
	return len(w.Seen) > 0 || slices.ContainsFunc(w.Alarms, doubt.AlarmState.Red)
}
