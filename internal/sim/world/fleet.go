package world

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"ec2patch/internal/sim/world/estate"
	"ec2patch/internal/sim/world/fleetfile"
)

// fleet is one region of one account.
type fleet struct {
	place     estate.Place
	instances []*Instance // in the order of their making
	commands  []*command  // in the order in which they were sent
	byID      map[string]*command
	busy      peak
}

// fleet returns the region of an account, empty at first.
func (w *World) fleet(account, region string) *fleet {
	p := estate.Place{Account: account, Region: region}
	f, ok := w.fleets[p]
	if !ok {
		f = &fleet{place: p, byID: map[string]*command{}}
		w.fleets[p] = f
	}
	return f
}

// States of an EC2 instance that the world uses. Source: B:ec2/InstanceStateName.
const (
	stateRunning      = "running"
	stateStopped      = "stopped"
	stateShuttingDown = "shutting-down"
	stateTerminated   = "terminated"
)

// InstanceSpec describes an instance to add. Account and Region are required;
// what is left out is drawn from the instance's own stream of the seed, which
// Account, Region and Name select.
type InstanceSpec struct {
	Account, Region string
	Name            string // the tag Name; must be unique in its account and region, drawn if empty
	Platform        string // Linux if empty
	PlatformName    string // of the operating system, as the agent reads it; that of a usual one if empty
	PlatformVersion string // as PlatformName; that of a usual one if both are empty
	Tags            map[string]string
	Patch, Reboot   time.Duration  // zero draws
	Fate            fleetfile.Fate // FateOK if empty
	ASG             string         // Auto Scaling group, tagged aws:autoscaling:groupName
}

// Instance is one EC2 machine with its Systems Manager agent. Its exported
// fields are for checkers and must not be changed.
type Instance struct {
	ID, Account, Region, Zone string
	Name, Platform            string
	PlatformName              string // empty if the agent reads none
	PlatformVersion           string
	Tags                      map[string]string
	AgentVersion              string
	Fate                      fleetfile.Fate
	State                     string // as EC2 names it
	Launched, Gone            time.Time
	Tagged                    time.Time // when its tags were changed; zero: never
	ReplacedBy                string    // id of the instance that an Auto Scaling group put in its place

	Evidence EvidenceReading // what its Install leaves if it reboots, unless SSMOptions has another reading

	Missing int           // patches that the baseline approves and the instance lacks
	Pending int           // patches installed that wait for a reboot
	Patch   time.Duration // drawn time of an Install, without reboot
	Scan    time.Duration // drawn time of a Scan
	Reboot  time.Duration // drawn time of one reboot

	rng        *rand.Rand
	conditions map[string][]string // condition keys of the tags, nil until asked for
	inEC2      bool                // a machine of EC2, by whatever id Systems Manager knows it
	managed    bool                // registered with Systems Manager
	stopped    time.Time           // when it was stopped
	online     bool
	booting    bool          // the machine itself is away, not only its agent
	upSince    time.Time     // when the agent last started
	downSince  time.Time     // when it was lost; zero while online
	lastPing   time.Time     // the last one before it was lost
	phase      time.Duration // when within five minutes a fresh agent pings
	installed  int
	failed     int          // patches that the last Install could not install
	rejected   int          // patches installed that the baseline rejects
	patches    int          // installed, pending, failed and missing ones: the same number all its life
	batches    []batch      // when patches were installed, the oldest first
	address    string       // in its network
	record     *patchRecord // the one patch state record, nil before the first scan
	running    *agentRun    // the patch operation that holds the instance
	waiting    []*invocation
	replaces   string // name of the first instance that this one stands in for
	runs       int    // Install operations begun
	log        []AgentEvent
}

// AddInstance adds an instance to the running world and returns it.
func (w *World) AddInstance(s InstanceSpec) (*Instance, error) {
	if s.Account == "" || s.Region == "" {
		return nil, fmt.Errorf("an instance needs an account and a region")
	}
	s.Platform, s.Fate = cmp.Or(s.Platform, fleetfile.Linux), cmp.Or(s.Fate, fleetfile.FateOK)
	if !slices.Contains([]string{fleetfile.Linux, fleetfile.Windows, fleetfile.MacOS}, s.Platform) {
		return nil, fmt.Errorf("platform %q is none of Linux, Windows, MacOS", s.Platform)
	}
	if !slices.Contains(fleetfile.Fates(), s.Fate) {
		return nil, fmt.Errorf("unknown fate %q", s.Fate)
	}
	f := w.fleet(s.Account, s.Region)
	s.Name = cmp.Or(s.Name, fmt.Sprintf("instance-%d", len(f.instances)+1))
	i := w.draw(s)
	if _, taken := w.instances[i.ID]; taken {
		return nil, fmt.Errorf("two instances named %q in %s %s", s.Name, s.Account, s.Region)
	}
	if w.instances == nil {
		w.instances = map[string]*Instance{}
	}
	w.instances[i.ID] = i
	f.instances = append(f.instances, i)
	w.settle(i)
	if i.Fate == fleetfile.FateHybridRegistered {
		return i, w.registerHybrid(s, i)
	}
	return i, nil
}

// registerHybrid registers a machine of EC2 as a node outside of it: Systems Manager knows it by another id, and only
// its address and host name tell that it is the same. Source: B:ssm/InstanceInformation; docs/aws-semantics.md 2.7.
func (w *World) registerHybrid(s InstanceSpec, i *Instance) error {
	s.Fate, s.Name, s.Tags = fleetfile.FateHybrid, i.Name+"/hybrid", i.Tags
	node, err := w.AddInstance(s)
	if err != nil {
		return err
	}
	node.Name, node.address, node.inEC2 = i.Name, i.address, true
	return nil
}

// Instance returns the instance with that id.
func (w *World) Instance(id string) (*Instance, bool) {
	i, ok := w.instances[id]
	return i, ok
}

// Instances returns every instance that ever existed, ordered by account, region and making.
func (w *World) Instances() []*Instance {
	places := slices.SortedFunc(maps.Keys(w.fleets), comparePlaces)
	var all []*Instance
	for _, p := range places {
		all = append(all, w.fleets[p].instances...)
	}
	return all
}

func comparePlaces(a, b estate.Place) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
}
