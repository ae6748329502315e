package world

import (
	"time"

	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
)

// World is one simulated partition of AWS.
type World struct {
	*backing.Services

	// OnInvocation, when set, is called as an invocation of Run Command ends.
	OnInvocation func(InvocationEnd)

	sessions map[string]*core.Principal // by access key id
	fleets   map[place]*fleet

	estate
}

// place is one region of one account.
type place struct{ account, region string }

// New returns an empty world whose clock stands at start.
func New(seed uint64, start time.Time) *World {
	w := &World{
		Services: backing.New(core.New(seed, start)),
		sessions: map[string]*core.Principal{},
		fleets:   map[place]*fleet{},
	}
	w.Refuses = w.regionError
	return w
}
