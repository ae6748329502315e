package core

import (
	"math/rand/v2"
	"time"

	"ec2patch/internal/iam"
)

// Core is what all services of a world stand on: its clock, its random numbers, its roles, and the way that a call
// takes.
type Core struct {
	Ledger Ledger
	Faults Faults // nil injects nothing

	// Coverage is which policy statements allowed something so far.
	Coverage iam.Coverage

	// IgnoreIAM lets every call pass; only tests of a single service set it.
	IgnoreIAM bool

	// Retryable tells which errors the clients try again, nil for what the SDK's standard retryer does. A rehearsal puts
	// the retryer of the product here, so that there is one list of codes.
	Retryable func(err error) bool

	// OnMutating, when set, is called with each accepted mutating call, after its
	// effect and before its answer. The entry's input must not be kept: a table's
	// writes of a large run are hundreds of megabytes.
	OnMutating func(Entry)

	// KeepInputs keeps what was written to DynamoDB and S3 in Ledger.Mutating too.
	KeepInputs bool

	// WholePages lets every page be as long as its caller asked for. Otherwise pages are short, see SizeOf.
	WholePages bool

	// Refuses, when set, is the refusal of a call whatever the caller may do: of a suspended account, of a region.
	Refuses func(*Call) error

	// Owner, when set, is the account that owns resources whose ARNs name none.
	Owner func(resources []string) string

	Seed    uint64
	clock   clock
	streams map[string]*rand.Rand

	Roles    map[string]*Role       // by ARN
	policies map[string]*iam.Policy // of a resource, by its ARN
}

// Role is an IAM role as a template declares it.
type Role struct {
	ARN      string
	Trust    *iam.Policy
	Policies []*iam.Policy
}

// newCore returns a world without services.
func New(seed uint64, start time.Time) *Core {
	return &Core{
		Seed:     seed,
		clock:    clock{now: start},
		streams:  map[string]*rand.Rand{},
		Roles:    map[string]*Role{},
		policies: map[string]*iam.Policy{},
	}
}

// Now is the virtual time.
func (w *Core) Now() time.Time { return w.clock.now }

// After runs f once when d has passed; events of one moment run in the order
// in which they were scheduled.
func (w *Core) After(d time.Duration, f func()) (stop func()) { return w.clock.after(d, f) }

// Step runs the next event of the world and reports whether there was one.
func (w *Core) Step() bool { return w.clock.step() }

// Rand is the source of random numbers with that name: always the same one for
// the same seed and name.
func (w *Core) Rand(name string) *rand.Rand {
	r, ok := w.streams[name]
	if !ok {
		r = Stream(w.Seed, name)
		w.streams[name] = r
	}
	return r
}

// AddRole declares an IAM role. A role declared twice is replaced.
func (w *Core) AddRole(r Role) { w.Roles[r.ARN] = &r }

// RemoveRole deletes a role; its open sessions are refused from then on.
func (w *Core) RemoveRole(arn string) { delete(w.Roles, arn) }
