package sim

import (
	"context"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// strike is one misfortune: at the nth moment of its kind.
type strike struct {
	kind string // "dies before", "dies after", "answer lost"; see points
	at   int
}

// struck lets one misfortune happen, and counts the moments at which it could.
type struck struct {
	strike
	calls, mutating int
	name            string // of the call that it hit
}

func (s *struck) Before(c *core.Call) error {
	if c.Service == "lambda" || c.SessionOf("states") {
		return nil
	}
	s.calls++
	if s.kind == "dies before" && s.calls == s.at {
		s.name = c.Name()
		panic(core.Crash{Call: c.Name()})
	}
	return nil
}

func (s *struck) After(c *core.Call) error {
	if c.Service == "lambda" || c.SessionOf("states") {
		return nil
	}
	if c.Mutating {
		s.mutating++
	}
	switch {
	case s.kind == "dies after" && s.calls == s.at:
		s.name = c.Name()
		panic(core.Crash{Call: c.Name()})
	case s.kind == "answer lost" && c.Mutating && s.mutating == s.at:
		s.name = c.Name()
		return &core.ConnectionError{Call: c.Name()}
	}
	return nil
}

// small is the world of the crash points: three accounts, two regions, two
// waves, twelve instances, one approval.
func small(t *testing.T, s *struck) *rehearsal {
	t.Helper()
	r := inTrouble(t, canaryAndMain(generous, generous, ""), 1, "", some(1, fleetfile.FateOK),
		some(1, fleetfile.FatePatchFails))
	r.World.Faults = s
	r.World.OnMail = func(m backing.Mail) {
		r.human.mail(m)
		u, ok := stage.Link(m.Body)
		if !ok {
			return
		}
		r.World.After(14*time.Minute, func() { // whoever saw an error page comes back
			if r.checks.Tables.States["approval "+u.Query().Get("a")] == "pending" {
				r.human.answer(u)
			}
		})
	}
	return r
}

// invokedTwice hands the nth event to its function two times: F-40.
func (r *rehearsal) invokedTwice(at int) (count *int) {
	count = new(int)
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l := r.Lambdas[name]
		handle := l.Handle
		l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
			if *count++; *count == at {
				_, _ = handle(ctx, payload) // its answer is lost
			}
			return handle(ctx, payload)
		}
	}
	return count
}

// ending is what a run made of every instance.
func ending(res *Result) map[patch.InstanceID]outcome.Outcome {
	all := map[patch.InstanceID]outcome.Outcome{}
	for _, i := range res.Report.Instances {
		all[i.InstanceID] = i.Outcome
	}
	return all
}

// givenUp are the instances of sends that were given up: the protocol never
// sends twice, so nobody can know what became of them.
func givenUp(r *rehearsal) map[patch.InstanceID]bool {
	ids := map[patch.InstanceID]bool{}
	for _, in := range r.checks.Tables.Intents {
		for i, x := range in.Sends {
			if x.Lost {
				ids[patch.InstanceID(in.IDs[i])] = true
			}
		}
	}
	return ids
}

// A function that dies before or after any of its calls, a lost answer to any
// call that changes something, and any event that comes twice change nothing but
// what the protocol allows: I-47, F-04, F-38, F-40. All points are visited where
// CRASH is set (`make crash`), otherwise a sample of them.
func TestCrashPoints(t *testing.T) {
	calm := &struck{}
	r := small(t, calm)
	invocations := r.invokedTwice(0)
	twin, err := r.run()
	require.NoError(t, err)
	require.Empty(t, twin.Violations)
	require.Len(t, twin.Report.Instances, 12)
	require.Equal(t, map[outcome.Outcome]int{outcome.Patched: 6, outcome.Failed: 6}, twin.Outcomes)
	want := ending(twin)
	points := []struct {
		kind string
		n    int
	}{{"dies before", calm.calls}, {"dies after", calm.calls}, {"answer lost", calm.mutating},
		{"invoked twice", *invocations}}
	step := 23
	if os.Getenv("CRASH") != "" {
		step = 1
	}
	total, runs, differ := 0, 0, 0
	for _, p := range points {
		n, unknown := 0, 0
		for at := 1; at <= p.n; at += step {
			s := &struck{strike: strike{p.kind, at}}
			r := small(t, s)
			if p.kind == "invoked twice" {
				r.invokedTwice(at)
			}
			res, err := r.run()
			require.NoError(t, err, "%s, point %d %s", p.kind, at, s.name)
			require.Empty(t, res.Violations, "%s, point %d %s", p.kind, at, s.name)
			lost, may := 0, givenUp(r)
			for id, o := range ending(res) {
				if o == want[id] {
					continue
				}
				lost++
				assert.True(t, o == outcome.Unknown && may[id], "%s, point %d %s: %s ended %s, in calm %s", p.kind, at, s.name, id,
					o, want[id])
			}
			if lost == 0 {
				assert.Equal(t, twin.Status, res.Status, "%s, point %d %s", p.kind, at, s.name)
			}
			n++
			if lost > 0 {
				unknown++
			}
		}
		t.Logf("%-14s %4d points, %4d runs, %d of them with an instance that is Unknown", p.kind, p.n, n, unknown)
		total, runs, differ = total+p.n, runs+n, differ+unknown
	}
	t.Logf("%d points, %d runs, no rule broken; %d reports differ from the calm one, by Unknown alone", total, runs,
		differ)
}
