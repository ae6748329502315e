package world

import (
	"math/rand/v2"
	"time"

	"ec2patch/internal/iam"
)

// World is one simulated partition of AWS.
type World struct {
	Ledger Ledger
	Faults Faults // nil injects nothing

	// Coverage is which policy statements allowed something so far.
	Coverage iam.Coverage

	// IgnoreIAM lets every call pass; only tests of a single service set it.
	IgnoreIAM bool

	// Retryable tells which errors the clients try again, nil for what the SDK's standard retryer does. A rehearsal puts the
	// retryer of the product here, so that there is one list of codes.
	Retryable func(err error) bool

	// OnMail, when set, is called as each mail arrives.
	OnMail func(Mail)

	// OnMutating, when set, is called with each accepted mutating call, after its
	// effect and before its answer. The entry's input must not be kept: a table's
	// writes of a large run are hundreds of megabytes.
	OnMutating func(Entry)

	// OnInvocation, when set, is called as an invocation of Run Command ends.
	OnInvocation func(InvocationEnd)

	// KeepInputs keeps what was written to DynamoDB and S3 in Ledger.Mutating too.
	KeepInputs bool

	seed    uint64
	clock   clock
	streams map[string]*rand.Rand

	sessions map[string]*Principal // by access key id
	roles    map[string]*Role      // by ARN
	fleets   map[place]*fleet
	hub      hubState

	estate
}

// place is one region of one account.
type place struct{ account, region string }

// Role is an IAM role as a template declares it.
type Role struct {
	ARN      string
	Trust    *iam.Policy
	Policies []*iam.Policy
}

// New returns an empty world whose clock stands at start.
func New(seed uint64, start time.Time) *World {
	return &World{
		seed:     seed,
		clock:    clock{now: start},
		streams:  map[string]*rand.Rand{},
		sessions: map[string]*Principal{},
		roles:    map[string]*Role{},
		fleets:   map[place]*fleet{},
		hub:      newHubState(),
	}
}

// Now is the virtual time.
func (w *World) Now() time.Time { return w.clock.now }

// After runs f once when d has passed; events of one moment run in the order
// in which they were scheduled.
func (w *World) After(d time.Duration, f func()) (stop func()) { return w.clock.after(d, f) }

// Step runs the next event of the world and reports whether there was one.
func (w *World) Step() bool { return w.clock.step() }

// Rand is the source of random numbers with that name: always the same one for
// the same seed and name.
func (w *World) Rand(name string) *rand.Rand {
	r, ok := w.streams[name]
	if !ok {
		r = stream(w.seed, name)
		w.streams[name] = r
	}
	return r
}

// AddRole declares an IAM role. A role declared twice is replaced.
func (w *World) AddRole(r Role) { w.roles[r.ARN] = &r }

// RemoveRole deletes a role; its open sessions are refused from then on.
func (w *World) RemoveRole(arn string) { delete(w.roles, arn) }
