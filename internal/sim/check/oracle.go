package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
)

// sight is an account-region as a discovery could see it at one moment.
type sight struct {
	reachable bool
	machines  []machine // in the order of their making
}

// machine is what a plan depends on of one instance.
type machine struct {
	id, platform    string
	tags            map[string]string
	running, online bool
	agent           string // its version, empty without one
	fits            bool   // Patch Manager patches its operating system
}

// look keeps what there is to be seen now.
func (a *always) look(run patch.RunID, account, region string) {
	at := Place{run, account, region}
	now := sight{reachable: a.Stage.World.Reachable(account, region, stage.ExternalID)}
	for _, i := range a.Stage.World.Instances() {
		if i.Account != account || i.Region != region || !a.Stage.World.Described(i) || !i.Gone.IsZero() {
			continue
		}
		m := machine{id: i.ID, platform: i.Platform, tags: i.Tags, running: i.State == "running", online: i.Online(),
			fits: patchable(i)}
		if i.Managed() {
			m.agent = i.AgentVersion
		}
		now.machines = append(now.machines, m)
	}
	a.looks[at] = append(a.looks[at], now)
}

// patchable tells whether Patch Manager is not known to leave the instance's operating system alone. Source: SSM
// CreatePatchBaseline, OperatingSystem, read 2026-11.
func patchable(i *world.Instance) bool {
	name := strings.ToLower(i.PlatformName)
	return !slices.ContainsFunc([]string{"bottlerocket", "flatcar", "fedora", "opensuse", "alpine", "arch linux",
		"gentoo"}, func(other string) bool {
		return strings.HasPrefix(name, other)
	})
}

// selection is what a wave asks for, read by code of our own out of the input as it was written.
type selection struct {
	Tags        map[string][]string `json:"tags"`
	Platforms   []string            `json:"platforms"`
	InstanceIDs []string            `json:"instanceIds"`
}

// selections reads the waves of an input in its usual form. For another form it
// takes what the product made of it.
func selections(written []byte, in runinput.Input) []selection {
	var form struct {
		Waves []struct {
			Filters *selection `json:"filters"`
		} `json:"waves"`
	}
	own := json.Unmarshal(written, &form) == nil && len(form.Waves) == len(in.Waves)
	var all []selection
	for i, w := range in.Waves {
		s := selection{Tags: w.Filters.Tags}
		for _, p := range w.Filters.Platforms {
			s.Platforms = append(s.Platforms, string(p))
		}
		for _, id := range w.Filters.InstanceIDs {
			s.InstanceIDs = append(s.InstanceIDs, string(id))
		}
		if own && form.Waves[i].Filters != nil {
			f := *form.Waves[i].Filters
			if f.Tags != nil {
				s.Tags = f.Tags
			}
			if f.Platforms != nil {
				s.Platforms = f.Platforms
			}
			s.InstanceIDs = f.InstanceIDs
		}
		all = append(all, s)
	}
	return all
}

// wants tells whether the selection asks for the machine, its platform aside.
func (s selection) wants(m machine) bool {
	if len(s.InstanceIDs) > 0 {
		return slices.Contains(s.InstanceIDs, m.id)
	}
	for key, values := range s.Tags {
		if v, ok := m.tags[key]; !ok || !slices.Contains(values, v) {
			return false
		}
	}
	return true
}

// plannable tells whether a machine can be planned where it is wanted.
func (m machine) plannable(platforms []string) bool {
	if v, ok := m.tags[plan.ExclusionTag]; ok && !strings.EqualFold(v, "false") {
		return false
	}
	return m.running && m.online && m.fits && m.agent != "" && !older(m.agent, 2, 0, 834) &&
		slices.Contains(platforms, m.platform)
}

// older compares the first parts of a version.
func older(version string, parts ...int) bool {
	for i, text := range strings.Split(version, ".") {
		n, err := strconv.Atoi(text)
		if err != nil || i >= len(parts) {
			return false
		}
		if n != parts[i] {
			return n < parts[i]
		}
	}
	return false
}

// shouldHold is which wave should plan each machine, and which waves ask for it.
func (l sight) shouldHold(waves []int, all []selection) (planned map[string]int, wanted map[string][]int) {
	planned, wanted = map[string]int{}, map[string][]int{}
	for _, m := range l.machines {
		for _, w := range waves {
			if !all[w].wants(m) {
				continue
			}
			wanted[m.id] = append(wanted[m.id], w)
			if _, taken := planned[m.id]; !taken && m.plannable(all[w].Platforms) {
				planned[m.id] = w
			}
		}
	}
	return planned, wanted
}

// oracle checks that the frozen plan holds exactly what the input selects in the
// world as it was when it was looked at, with the numbers that follow: rule 19.
func (a *always) oracle(r *RunFacts) {
	var index plan.Index
	data, ok := a.Stage.World.Object(a.Stage.Bucket(), store.IndexObject(r.ID))
	if !ok {
		a.notFrozen(r)
		return
	}
	if json.Unmarshal(data, &index) != nil || len(index.Waves) != len(r.waves) {
		a.Violate("R-19", "the plan of %s cannot be read", r.ID)
		return
	}
	if !a.Tables.frozen[string(r.ID)] {
		return // written down, and never sealed: nothing can be sent by it, and the run has failed
	}
	a.LoadPlan(r)
	all := selections(r.written, r.Input)
	for _, account := range stage.Accounts(r.Input) {
		for _, region := range regionsOf(r.Input, account) {
			a.oracleAt(r, &index, all, Place{r.ID, account, region})
		}
	}
	a.oracleNumbers(r, &index)
}

// regionsOf lists the regions in which a run's waves take an account, each once.
func regionsOf(in runinput.Input, account string) []string {
	var regions []string
	for _, w := range in.Waves {
		if !slices.Contains(w.Accounts, patch.AccountID(account)) {
			continue
		}
		for _, region := range w.Regions {
			if !slices.Contains(regions, string(region)) {
				regions = append(regions, string(region))
			}
		}
	}
	return regions
}

// oracleAt checks one account-region.
func (a *always) oracleAt(r *RunFacts, index *plan.Index, all []selection, at Place) {
	listed, why := false, ""
	for _, u := range index.Unreachable {
		if string(u.Account) == at.Account && string(u.Region) == at.Region {
			listed, why = true, u.Reason
		}
	}
	looks := a.looks[at]
	if listed {
		reachable := len(looks) > 0 && !slices.ContainsFunc(looks, func(l sight) bool { return !l.reachable })
		if reachable && a.calm() {
			a.Violate("R-19", "%s %s is listed as unreachable (%s), and could be reached", at.Account, at.Region, why)
		}
		a.premises["R-11"]++
		return
	}
	looks = slices.DeleteFunc(slices.Clone(looks), func(l sight) bool { return !l.reachable })
	if len(looks) == 0 {
		a.Violate("R-19", "%s %s could not be reached, and is not listed as unreachable", at.Account, at.Region)
		return
	}
	has, waves := map[string]int{}, []int{}
	for n, w := range r.waves {
		if !slices.Contains(w.input.Accounts, patch.AccountID(at.Account)) ||
			!slices.Contains(w.input.Regions, patch.Region(at.Region)) {
			continue
		}
		waves = append(waves, n)
		leaf := r.Targets[patch.Target{Run: r.ID, Wave: w.input.Name, Account: patch.AccountID(at.Account),
			Region: patch.Region(at.Region)}]
		for _, p := range leaf.Instances {
			has[string(p.ID)] = n
		}
	}
	a.compare(r, at, has, looks, waves, all)
}

// compare holds the plan of one account-region against what it should hold, both
// ways. What changed while it was looked at may be planned or not.
func (a *always) compare(r *RunFacts, at Place, has map[string]int, looks []sight, waves []int, all []selection) {
	var plans []map[string]int
	wanted := map[string][]int{}
	for _, l := range looks {
		plan, asked := l.shouldHold(waves, all)
		plans = append(plans, plan)
		for id, w := range asked {
			wanted[id] = w
		}
	}
	a.premises["R-19"] += len(plans[0])
	for _, id := range sortedKeys(has) {
		if !slices.ContainsFunc(plans, func(plan map[string]int) bool { w, ok := plan[id]; return ok && w == has[id] }) {
			a.Violate("R-19", "%s is in the plan of wave %s, and the input does not select it there", id,
				r.waves[has[id]].input.Name)
		}
	}
	out := a.leftOut(r.ID, at)
	for _, id := range sortedKeys(plans[0]) {
		_, planned := has[id]
		always := !slices.ContainsFunc(plans, func(plan map[string]int) bool { _, ok := plan[id]; return !ok })
		if !planned && always && (r.Input.Resume == "" || !out[id]) {
			a.Violate("R-19", "%s in %s %s is selected by wave %s, and is not in its plan", id, at.Account, at.Region,
				r.waves[plans[0][id]].input.Name)
		}
	}
	for _, id := range sortedKeys(wanted) {
		_, planned := has[id]
		_, plannable := plans[0][id]
		if !planned && !plannable && !out[id] && len(looks) == 1 {
			a.Violate("R-19", "%s in %s %s is selected, cannot be planned, and is not listed with the reason", id, at.Account,
				at.Region)
		}
		if !planned {
			a.premises["R-02"]++
		}
	}
}

// leftOut are the instances that an account-region's inventory lists as left out.
func (a *always) leftOut(run patch.RunID, at Place) map[string]bool {
	var inv plan.Inventory
	out := map[string]bool{}
	data,
		ok := a.Stage.World.Object(a.Stage.Bucket(),
		store.InventoryObject(run, patch.AccountID(at.Account), patch.Region(at.Region)))
	if !ok || json.Unmarshal(data, &inv) != nil {
		return out
	}
	for _, x := range inv.Excluded {
		out[string(x.InstanceID)] = true
	}
	return out
}

// oracleNumbers checks every share and budget of the plan by a rounding of our own.
func (a *always) oracleNumbers(r *RunFacts, index *plan.Index) {
	same := func(what string, is, should int) {
		if is != should {
			a.Violate("R-19", "%s is %d in the plan, the input makes it %d", what, is, should)
		}
	}
	total := 0
	for n, w := range r.waves {
		iw, name := index.Waves[n], "wave "+w.input.Name
		planned, holders := 0, map[string]bool{}
		for _, it := range iw.Targets {
			leaf := r.Targets[patch.Target{Run: r.ID, Wave: iw.Name, Account: it.Account, Region: it.Region}]
			count := len(leaf.Instances)
			if slices.ContainsFunc(index.Unreachable, func(u plan.UnreachableAccount) bool {
				return u.Account == it.Account && u.Region == it.Region
			}) {
				count = 0 // a Discover that failed may have left a leaf behind, and nothing is ever sent by it
			}
			where := fmt.Sprintf("%s, %s %s: ", name, it.Account, it.Region)
			same(where+"the number of instances", it.Planned, count)
			planned += count
			if count == 0 {
				continue
			}
			holders[string(it.Account)] = true
			same(where+"the concurrency", leaf.Concurrency, max(min(resolve(w.input.SSM.MaxConcurrency, count), count), 1))
			same(where+"the error limit", leaf.ErrorLimit, resolve(w.input.SSM.MaxErrors, count))
			op, reboot := r.operation(w)
			if leaf.Operation != op || leaf.RebootOption != reboot ||
				leaf.CommandTimeoutSeconds != w.input.CommandTimeoutSeconds {
				a.Violate("R-19", "%s%s %s with %d s is planned, the input says %s %s with %d s", where, leaf.Operation,
					leaf.RebootOption, leaf.CommandTimeoutSeconds, op, reboot, w.input.CommandTimeoutSeconds)
			}
		}
		same(name+": the number of instances", iw.Planned, planned)
		same(name+": the budget of instances", iw.FailLimit, resolve(w.input.Budget.MaxFailedInstances, planned))
		same(name+": the budget of accounts", iw.AccountsMax, resolve(w.input.Budget.MaxFailedAccounts, len(holders)))
		total += planned
	}
	same("the run's budget of instances", index.FailLimit, resolve(r.Input.Budget.MaxFailedInstances, total))
	if limit := r.Input.Guards.MaxInstances; limit > 0 && total > limit {
		a.Violate("R-19", "a plan of %d instances was frozen, guards.maxInstances allows %d", total, limit)
	}
	if limit := a.Stage.Demands.Instances; limit > 0 && total > limit {
		a.Violate("R-19", "a plan of %d instances was frozen, MaxInstances of the hub allows %d", total, limit)
	}
}

// notFrozen checks that a plan was refused for a cause: a guard, or nobody could plan.
func (a *always) notFrozen(r *RunFacts) {
	if !a.calm() || a.byHand(r) {
		return
	}
	planned, unreachable := 0, false
	running, inAccount := map[string]int{}, map[string]int{}
	all := selections(r.written, r.Input)
	for at, looks := range a.looks {
		if at.run != r.ID {
			continue
		}
		last := looks[len(looks)-1]
		if !last.reachable {
			unreachable = true
			continue
		}
		var waves []int
		for n, w := range r.waves {
			if slices.Contains(w.input.Accounts, patch.AccountID(at.Account)) &&
				slices.Contains(w.input.Regions, patch.Region(at.Region)) {
				waves = append(waves, n)
			}
		}
		plan, _ := last.shouldHold(waves, all)
		planned += len(plan)
		inAccount[at.Account] += len(plan)
		for _, m := range last.machines {
			if m.running {
				running[at.Account]++
			}
		}
	}
	if len(running) == 0 && !unreachable {
		return // it was refused before anybody looked
	}
	g := r.Input.Guards
	most := a.Stage.Demands.Instances
	refused := most > 0 && planned > most || g.MaxInstances > 0 && planned > g.MaxInstances || unreachable &&
		r.Input.OnUnreachable == runinput.UnreachableStop || g.MaxGrowth.Value < 100
	for _, w := range r.waves {
		refused = refused || a.unreadable(w)
	}
	for account, n := range inAccount {
		refused = refused || n > share(g.MaxShare, running[account])
	}
	if !refused {
		a.Violate("R-18", "the plan of %s was never frozen, and nothing in the input forbids its %d instances", r.ID, planned)
	}
	a.premises["R-18"]++
}

// unreadable tells whether an alarm of the wave does not exist, or is where nobody is let in: no plan that names it is
// frozen.
func (a *always) unreadable(w *waveFacts) bool {
	return slices.ContainsFunc(w.input.HealthGate.Alarms, func(arn string) bool {
		parts := strings.Split(arn, ":")
		return a.Stage.World.AlarmWas(arn, a.now()) == "" || len(parts) < 5 || parts[4] != stage.HubAccount &&
			!a.Stage.World.Reachable(parts[4], parts[3], stage.ExternalID)
	})
}

// share is a threshold's part of n, rounded down.
func share(t patch.Threshold, n int) int {
	if !t.Percent {
		return t.Value
	}
	return n * t.Value / 100
}
