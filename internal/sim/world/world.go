package world

import (
	"time"

	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/estate"
)

// World is one simulated partition of AWS.
type World struct {
	*core.Core
	*backing.Services
	*estate.Estate

	// SSMOptions chooses between readings of the Systems Manager documentation.
	SSMOptions SSMOptions

	// OnAgentEvent, if set, sees every event of every agent as it happens.
	OnAgentEvent func(AgentEvent)

	// OnInvocation, when set, is called as an invocation of Run Command ends.
	OnInvocation func(InvocationEnd)

	fleets    map[estate.Place]*fleet
	killers   map[string]float64 // by platform, see KillerPatch
	instances map[string]*Instance
	busy      peak
	patterns  *sendPatterns
	lookups   int // DescribeInstances answers given, for their order
}

// New returns an empty world whose clock stands at start.
func New(seed uint64, start time.Time) *World {
	c := core.New(seed, start)
	return &World{Core: c, Services: backing.New(c), Estate: estate.New(c), fleets: map[estate.Place]*fleet{}}
}
