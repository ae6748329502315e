package target

import (
	"cmp"
	"context"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Verify gives every instance of a target its one outcome.
type Verify struct {
	Table   store.Table
	Objects store.Objects
	Spokes  port.Spokes
	Metrics port.Metrics
	Now     port.Clock

	DetailedMetrics bool // a data point for each wave, account and region

	plan frozen
}

const (
	// verifyDeadline is how long an instance may take to come back. Agents ping
	// every five minutes, so it has three chances.
	verifyDeadline = 15 * time.Minute
	// verifyGap is the wait between two looks.
	verifyGap = 150 * time.Second
	// maxOutput is how much of a command's output the report keeps, in characters.
	maxOutput = 2000
	// maxNamed is how many instances one look asks for their patches by name: one
	// call each, or a few. What is not asked for is told by its counts.
	maxNamed = 1000
	// lookLimit is when a look, from its beginning on, asks no more questions about single instances: what is left of
	// the function's 300 seconds is for a slow answer and the writes.
	lookLimit = 3 * time.Minute
)

// Handle compares before and after, and gives each instance its one outcome.
// What may still get better is looked at again until the deadline.
func (v *Verify) Handle(ctx context.Context, in TargetInput) (Answer, error) {
	answer, err := v.step(ctx, in)
	return answer.after(in.Waited), err
}

func (v *Verify) step(ctx context.Context, in TargetInput) (Answer, error) {
	t := in.Target
	st, err := loadState(ctx, v.Table, in)
	if err != nil {
		return Answer{}, err
	}
	if st.row.Phase() == PhaseVerified {
		return done(), v.publish(ctx, st)
	}
	st.Now = v.Now().UTC()
	first := st.row.beginVerify(st.Mark())
	passed := st.Since(st.row.Verifying)
	if st.row.Phase() == PhaseSending && passed < visibility {
		// No path of the machine comes here with a send that is not settled. It gets the time in
		// which its sender may still settle it; after that it is given up.
		if !first {
			return wait(visibility - passed), nil // a row that is not touched is easier to settle
		}
		return wait(visibility), st.save(ctx, v.Table)
	}
	left := verifyDeadline - passed
	final := left <= 0
	result, err := v.look(ctx, st, final)
	if err != nil {
		return Answer{}, err
	}
	result.Target, result.At, result.Settled = t, st.Now, final || len(result.Unsettled) == 0
	data, err := patch.Canonical(result)
	if err != nil {
		return Answer{}, err
	}
	if result.Settled {
		return v.settle(ctx, st, result, data)
	}
	if err := v.Objects.Store(ctx, store.LooksObject(t), "application/json", data); err != nil {
		return Answer{}, err
	}
	st.row.found(patch.Digest(data))
	if err := st.save(ctx, v.Table); err != nil {
		return Answer{}, err
	}
	return wait(min(verifyGap, max(left, time.Second))), nil
}

// settle writes the result under its own hash and then books that hash. Two
// attempts, or one that died, write beside each other and never over each other;
// the row's version lets one book. Nothing else in the bucket is read.
func (v *Verify) settle(ctx context.Context, st *state, result TargetResult, data []byte) (Answer, error) {
	hash := patch.Digest(data)
	if err := v.Objects.Store(ctx, store.ResultObject(st.target, hash), "application/json", data); err != nil {
		return Answer{}, err
	}
	if err := v.finish(ctx, st, result, hash); err != nil {
		return Answer{}, err
	}
	return done(), v.Objects.Store(ctx, store.PublicResultObject(st.target), "application/json", data)
}

// publish copies a result that is booked to where other programs read it, for an
// attempt that died before it did.
func (v *Verify) publish(ctx context.Context, st *state) error {
	data, found, err := FetchProven(ctx, v.Objects, st.target, st.row.ResultHash)
	if err != nil || !found {
		return err
	}
	return v.Objects.Store(ctx, store.PublicResultObject(st.target), "application/json", data)
}

// look judges the instances that are not settled yet.
func (v *Verify) look(ctx context.Context, st *state, final bool) (TargetResult, error) {
	until := v.Now().Add(lookLimit)
	if _, err := v.plan.bind(ctx, v.Objects, st); err != nil {
		return TargetResult{}, err
	}
	leaf, err := plan.LoadLeaf(ctx, v.Objects, st.target, st.row.LeafDigest)
	if err != nil {
		return TargetResult{}, err
	}
	former, err := v.former(ctx, st)
	if err != nil {
		return TargetResult{}, err
	}
	facts, err := loadFacts(ctx, v.Table, leaf, st)
	if err != nil {
		return TargetResult{}, err
	}
	var open []patch.InstanceID
	for _, p := range leaf.Instances {
		if _, ok := former[p.ID]; !ok {
			open = append(open, p.ID)
		}
	}
	scene, err := v.scene(ctx, leaf, open)
	if err != nil {
		return TargetResult{}, err
	}
	scene.spare = func() bool { return v.Now().Before(until) }
	scene.askBegun(ctx, leaf, former, facts)
	var result TargetResult
	for _, p := range leaf.Instances {
		if r, ok := former[p.ID]; ok {
			result.Instances = append(result.Instances, r)
			continue
		}
		e := scene.evidence(leaf, p, facts[p.ID])
		found := scene.find(ctx, &e, final)
		r := lineOf(leaf, e, found, facts[p.ID])
		if found.Settled || final {
			r.Output = v.output(ctx, scene, r, leaf.RebootOption)
		} else {
			result.Unsettled = append(result.Unsettled, p.ID)
		}
		result.Instances = append(result.Instances, r)
	}
	if final || len(result.Unsettled) == 0 {
		result.Newcomers, err = v.newcomers(ctx, leaf, scene, result.Instances)
	}
	return result, err
}

// former is what an earlier look has settled, if it is what that look has found:
// the row has its hash. Else everything is looked at anew.
func (v *Verify) former(ctx context.Context, st *state) (map[patch.InstanceID]outcome.InstanceReport, error) {
	settled := map[patch.InstanceID]outcome.InstanceReport{}
	if st.row.LooksHash == "" {
		return settled, nil
	}
	data, found, err := v.Objects.Fetch(ctx, store.LooksObject(st.target))
	if err != nil || !found || patch.Digest(data) != st.row.LooksHash {
		return settled, err
	}
	result, err := DecodeResult(data)
	if err != nil {
		return nil, err
	}
	unsettled := map[patch.InstanceID]bool{}
	for _, id := range result.Unsettled {
		unsettled[id] = true
	}
	for _, r := range result.Instances {
		if !unsettled[r.InstanceID] {
			settled[r.InstanceID] = r
		}
	}
	return settled, nil
}

// scene is what EC2 and SSM say of the instances that are looked at.
type scene struct {
	spoke     port.Spoke // nil if the account's role cannot be assumed
	machines  map[patch.InstanceID]port.Machine
	strangers []port.Machine // that the wave's filter selects and its plan does not have
	agents    map[patch.InstanceID]port.Agent
	checks    map[patch.InstanceID]port.Checks
	states    map[patch.InstanceID]outcome.PatchState
	named     int         // instances that were asked for their patches by name
	spare     func() bool // whether there is time for questions about single instances
}

func (v *Verify) scene(ctx context.Context, leaf plan.Leaf, ids []patch.InstanceID) (*scene, error) {
	s := &scene{}
	spoke, err := v.Spokes.Spoke(ctx, leaf.Target)
	if patch.KindOf(err) == patch.ErrAccessDenied && err != nil {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.spoke = spoke
	if err := s.describe(ctx, leaf, ids); err != nil {
		return nil, err
	}
	if s.agents, err = spoke.Agents(ctx, ids); err != nil {
		return nil, err
	}
	if s.checks, err = spoke.Statuses(ctx, ids); err != nil {
		return nil, err
	}
	s.states, err = spoke.PatchStates(ctx, ids)
	return s, err
}

// askBegun asks SSM of every invocation that ended, or never did, between two
// looks whether its agent had begun: NotSent is said of none that had. An answer
// that does not come, or for which there is no time, leaves the doubt.
func (s *scene) askBegun(
	ctx context.Context, leaf plan.Leaf,
	former map[patch.InstanceID]outcome.InstanceReport, facts map[patch.InstanceID]fact,
) {
	if s.spoke == nil {
		return
	}
	for _, p := range leaf.Instances {
		f := facts[p.ID]
		if _, settled := former[p.ID]; settled || f.command == "" || !f.invocation.Doubtful() {
			continue
		}
		f.unsure = true
		if s.spare() {
			began, err := s.spoke.Began(ctx, f.command, p.ID, p.Platform)
			f.invocation.Ran, f.unsure = began, err != nil
		}
		facts[p.ID] = f
	}
}

// evidence is all that is known of one instance.
func (s *scene) evidence(leaf plan.Leaf, p outcome.PlannedInstance, f fact) outcome.Evidence {
	m, exists := s.machines[p.ID]
	a, c := s.agents[p.ID], s.checks[p.ID]
	e := outcome.Evidence{
		Operation: leaf.Operation, RebootOption: leaf.RebootOption, SnapshotID: leaf.SnapshotID, Planned: p,
		NotSent: f.notSent, Lost: f.lost, Sent: f.sent, Invocation: f.invocation, Cancelled: f.cancelled, Unsure: f.unsure,
		Presence: outcome.Presence{
			Exists:  exists && m.State != "terminated" && m.State != "shutting-down",
			Running: m.State == "running", Stopped: m.Stopped,
			Impaired: c.Impaired, ImpairedSince: c.Since, Settling: c.Settling, Online: a.Online, LastPing: a.LastPing,
		},
	}
	if state, ok := s.states[p.ID]; ok {
		e.After = &state
	}
	return e
}

// find judges one instance. Patches by name are read where they decide, and of what
// is told for good and leaves something to do.
func (s *scene) find(ctx context.Context, e *outcome.Evidence, final bool) outcome.Finding {
	if s.spoke == nil {
		if e.NotSent != "" {
			return outcome.Finding{Outcome: outcome.NotSent, Reason: string(e.NotSent), Settled: true}
		}
		return outcome.Finding{Outcome: outcome.Unknown, Reason: "the account's role can no longer be assumed", Settled: true}
	}
	found := outcome.Judge(*e)
	if !found.Settled && !final {
		return found
	}
	switch found.Outcome {
	case outcome.NotSent, outcome.Gone:
		return found
	case outcome.Patched:
		if !e.AskNames() {
			return found
		}
	default:
		if found.Outcome.Done(e.RebootOption) {
			return found
		}
	}
	if s.named++; s.named > maxNamed || !s.spare() {
		return found
	}
	names, err := s.spoke.Patches(ctx, e.Planned.ID)
	if err != nil {
		return found // the counts have told it
	}
	e.Named = &names
	return outcome.Judge(*e)
}

// lineOf is one instance's line of the report.
func lineOf(leaf plan.Leaf, e outcome.Evidence, found outcome.Finding, f fact) outcome.InstanceReport {
	p := e.Planned
	r := outcome.InstanceReport{
		InstanceID: p.ID, Account: leaf.Account, Region: leaf.Region, Wave: leaf.Wave, Platform: p.Platform, Name: p.Name,
		Outcome: found.Outcome, Reason: found.Reason, Warning: found.Warning, Down: found.Down,
		CommandID: f.command, Status: cmp.Or(f.invocation.Details, f.invocation.Status),
		Before: p.Before, After: e.After, TookSeconds: int(e.Took().Seconds()),
	}
	if !found.Since.IsZero() {
		since := found.Since.UTC()
		r.Since = &since
	}
	if e.Named != nil && !found.Outcome.Done(leaf.RebootOption) {
		r.Patches, r.MorePatches = e.Named.Kept(e.Sent.Add(-outcome.ClockSkew))
	}
	return r
}

// output keeps the end of what the command printed for an instance that is not
// good. It decides nothing, so an error only leaves it out.
func (v *Verify) output(ctx context.Context, s *scene, r outcome.InstanceReport, reboot patch.RebootOption) string {
	if s.spoke == nil || r.CommandID == "" || r.Class(reboot) == outcome.Good || !s.spare() {
		return ""
	}
	text, err := s.spoke.Output(ctx, r.CommandID, r.InstanceID, r.Platform, maxOutput)
	if err != nil {
		return ""
	}
	return words.Clean(text, words.Lines)
}

// finish books the target: its outcomes, the wave's counters, the lease. The
// version of the target's row lets one call do it, once.
func (v *Verify) finish(ctx context.Context, st *state, result TargetResult, hash string) error {
	wave, err := v.plan.bind(ctx, v.Objects, st)
	if err != nil {
		return err
	}
	n := outcome.Count(result.Instances, wave.RebootOption)
	st.row.verify(n, result.At, hash)
	// Poll has counted the failures that it saw; the difference is what only a look at the host shows.
	diff := map[string]int{"done": 1}
	if d := st.row.Bad - st.row.Failures; d != 0 {
		diff["failures"] = d
	}
	writes := st.count(diff)
	if release, ok := st.releaseLease(); ok {
		writes = append(writes, release)
	}
	if err := st.save(ctx, v.Table, writes...); err != nil {
		return err
	}
	v.measure(st, n, result.At)
	return nil
}

// measure emits the target's numbers. Only the call that won the row comes here.
func (v *Verify) measure(st *state, n outcome.Counts, at time.Time) {
	dims := map[string]string{"Wave": st.target.Wave}
	if v.DetailedMetrics {
		dims["Account"], dims["Region"] = string(st.target.Account), string(st.target.Region)
	}
	v.Metrics.Count("PatchFailures", "Count", float64(n.Failures), dims)
	v.Metrics.Count("InstancesUnhealthy", "Count", float64(n.Outcomes[outcome.Unhealthy]), dims)
	v.Metrics.Count("ComplianceDrift", "Count", float64(n.Outcomes[outcome.NonCompliant]), dims)
	if tried := n.Good + n.Failures; tried > 0 {
		v.Metrics.Count("PatchSuccessRate", "Percent", 100*float64(n.Good)/float64(tried), dims)
	}
	if n.Sent > 0 {
		// Side by side, at one moment: what passed EC2's status checks when it was planned, and what is back in service
		// of those sent to.
		healthy := 100 * float64(st.row.Planned-st.row.Impaired) / float64(st.row.Planned)
		v.Metrics.Count("InstanceAvailabilityBefore", "Percent", healthy, dims)
		v.Metrics.Count("InstanceAvailability", "Percent", 100*float64(n.Back)/float64(n.Sent), dims)
	}
	if !st.row.FirstSent.IsZero() {
		v.Metrics.Count("ExecutionDuration", "Seconds", at.Sub(st.row.FirstSent).Seconds(), dims)
	}
}
