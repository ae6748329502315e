package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/follow"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/store"
)

// Run rehearses one run from StartExecution to its report. Its error is
// patch.Problems for an input or a flag that is not valid, a FileError for a fleet
// file or a template, and anything else for a rehearsal that does not work.
func Run(o Options) (*Result, error) {
	r, err := prepare(o)
	if err != nil {
		return nil, err
	}
	return r.run()
}

// prepare sets everything up, and starts nothing.
func prepare(o Options) (*rehearsal, error) {
	in, err := runinput.ParseInput(o.Input, runinput.HubDefaults())
	if err != nil {
		return nil, err
	}
	if o.RunID == "" {
		o.RunID = patch.RunID(fmt.Sprintf("rehearsal-%d", o.Seed))
	}
	s, err := stage.New(o.setup(), in)
	if err != nil {
		return nil, err
	}
	faults, err := stage.ParseFaults(o.Faults, s.World.Rand("faults"))
	if err != nil {
		return nil, notValid("--faults", err, "correct the flag")
	}
	r := &rehearsal{Stage: s, options: o, faults: faults, targets: map[patch.Target]*watched{},
		places: map[string][]*watched{}}
	r.follower = follow.Follower{Progress: follow.Progress{Started: s.Start}, Stored: stored{r}}
	s.Watcher = r
	r.checks = check.New(s)
	if faults.Rates["F-12"] > 0 {
		r.checks.Skew = 2 * stage.ClockOff
	}
	if faults.Rates["F-05"] > 0 {
		r.checks.LateSend = stage.LatestSend
	}
	s.World.Faults, faults.Look = faults, r.checks.Always.Reading
	for _, name := range slices.Sorted(maps.Keys(s.Lambdas)) {
		s.Lambdas[name].Faults = faults
	}
	s.World.OnAgentEvent = r.agentEvent
	return r, r.expectApprover()
}

// notValid makes a problem out of an error.
func notValid(path string, err error, remedy string) error {
	return runinput.Problems{{Rule: "rehearsal", Path: path, Message: err.Error(), Remedy: remedy}}
}

// rehearsal is one run in progress.
type rehearsal struct {
	*stage.Stage
	options   Options
	faults    *stage.Faults
	checks    *check.Checks
	human     *human
	execution *asl.Execution
	targets   map[patch.Target]*watched
	follower  follow.Follower
	places    map[string][]*watched // by account/region
	delays    []time.Duration
	open      int // executions of ours that have not been closed
}

const (
	// maxVirtual bounds a rehearsal: the state machine itself ends after 30 days.
	maxVirtual = 40 * 24 * time.Hour
	// maxEvents bounds the work of one rehearsal.
	maxEvents = 200_000_000
)

// run starts the execution and moves the world until everything has ended.
func (r *rehearsal) run() (*Result, error) {
	r.Engine.OnEnd = r.ended
	x, err := r.startRun(r.options.RunID)
	if err != nil {
		return nil, err
	}
	r.execution = x
	for n := 0; r.open > 0; n++ {
		if r.human.waiting() {
			if err := r.human.wait(r); err != nil {
				return nil, err
			}
		}
		if !r.World.Step() {
			return nil, fmt.Errorf("the rehearsal stands still after %s", r.Virtual())
		}
		if r.Virtual() > maxVirtual || n > maxEvents {
			return nil, fmt.Errorf("the rehearsal does not end: %s of virtual time, %d events", r.Virtual(), n)
		}
	}
	r.follower.Progress.Phase = patch.PhaseDone
	r.tell()
	return r.result()
}

// startRun starts an execution of the machine with the rehearsal's input.
func (r *rehearsal) startRun(id patch.RunID) (*asl.Execution, error) {
	in := r.Machine
	in.Name, in.Input = string(id), json.RawMessage(r.options.Input)
	r.open++
	x, err := r.Engine.Start(in)
	if err != nil {
		return nil, fmt.Errorf("start the execution: %w", err)
	}
	return x, nil
}

// ended plays EventBridge: the end of a run fires the rules that match it.
func (r *rehearsal) ended(x *asl.Execution) {
	if x.Parent != nil {
		return
	}
	r.checks.ExecutionEnded(x)
	rule, ok := r.EndedRule(string(x.Status))
	if !ok {
		r.open--
		return
	}
	r.World.After(2*time.Second, func() { r.fire(rule, x, 0) })
}

// fire invokes the rule's function; EventBridge tries again when it fails.
func (r *rehearsal) fire(rule stage.EndedRule, x *asl.Execution, attempt int) {
	payload, err := rule.Payload(x)
	if err == nil {
		l := r.Lambdas[rule.Function]
		out, _, failure := l.Invoke(payload)
		r.Watch(l, payload, out, failure)
		if failure != nil {
			err = errors.New(failure.Error)
		}
	}
	if err != nil && attempt < 5 {
		r.World.After(time.Minute<<attempt, func() { r.fire(rule, x, attempt+1) })
		return
	}
	if err != nil {
		r.checks.Undelivered(patch.RunID(x.Name)) // it lies in the rule's queue, whose alarm calls a person
	}
	r.open--
}

// result gathers everything that a person or a test wants to know.
func (r *rehearsal) result() (*Result, error) {
	bucket := r.Bucket()
	data, ok := r.World.Object(bucket, store.ReportObject(r.options.RunID, "json"))
	res := &Result{
		Run: r.options.RunID, Seed: r.options.Seed, VirtualSeconds: int64(r.Virtual().Seconds()),
		Outcomes: map[outcome.Outcome]int{}, Waves: []report.WaveReport{}, Files: map[string][]byte{},
		DetectionDelaySeconds: quantiles(r.delays), RefillDelaySeconds: quantiles(r.checks.RefillDelays()),
		IdealSeconds: int64(r.ideal().Seconds()),
		Faults:       r.faults.Struck, APICalls: r.World.Ledger.Calls,
	}
	if ok {
		res.Report = &report.Report{}
		if err := json.Unmarshal(data, res.Report); err != nil {
			return nil, fmt.Errorf("the report cannot be read: %w", err)
		}
		res.Status, res.Planned, res.Outcomes, res.Waves = res.Report.Status, res.Report.Totals.Planned,
			res.Report.Totals.Outcomes, res.Report.Waves
		for _, form := range []string{"json", "csv", "html"} {
			if body, ok := r.World.Object(bucket, store.ReportObject(r.options.RunID, form)); ok {
				res.Files["report."+form] = body
			}
		}
	} else {
		res.Status, res.Failure = patch.RunFailed, r.failure()
	}
	stats := r.Engine.Stats()
	res.Executions, res.MaxHistoryEvents, res.MaxPayloadBytes, res.StateTransitions = stats.Executions, stats.MaxEvents,
		r.checks.MaxPayload, stats.Transitions
	for _, l := range r.Lambdas {
		res.LambdaInvocations += l.Invocations
	}
	res.Cost = r.cost(res)
	for _, c := range res.Cost {
		res.EstimatedCostUSD += c.USD
	}
	history, err := r.history()
	if err != nil {
		return nil, err
	}
	res.Files["history.json"] = history
	res.Violations = r.checks.AtEnd(func(u *url.URL, form string) { r.human.request(u, "POST", form) })
	res.Premises = r.checks.Always.Counted(r.faults.Struck)
	return res, nil
}

// failure says what the execution failed of: the last error in a state of it,
// or else the one that it ended with.
func (r *rehearsal) failure() string {
	x := r.execution
	for _, e := range slices.Backward(x.History()) {
		if code, _ := e.Details["error"].(string); code != "" && e.State != "" {
			return fmt.Sprintf("state %s: %s: %v", e.State, code, e.Details["cause"])
		}
	}
	if x.Error == "" {
		return "the execution ended " + string(x.Status)
	}
	return x.Error + ": " + x.Cause
}

// maxHistoryKept bounds the events that history.json holds.
const maxHistoryKept = 60_000

// history writes the run's execution and its children, as many as fit.
func (r *rehearsal) history() ([]byte, error) {
	type execution struct {
		ARN     string      `json:"executionArn"`
		Status  asl.Status  `json:"status"`
		Count   int         `json:"eventCount"`
		Events  []asl.Event `json:"events,omitempty"`
		Omitted bool        `json:"eventsOmitted,omitempty"`
	}
	var all []execution
	kept := 0
	for _, x := range r.Engine.Executions() {
		e := execution{ARN: x.ARN, Status: x.Status, Count: x.Events()}
		if kept+e.Count <= maxHistoryKept {
			e.Events = x.History()
			kept += e.Count
		} else {
			e.Omitted = true
		}
		all = append(all, e)
	}
	data, err := json.Marshal(map[string]any{"executions": all})
	if err != nil {
		return nil, fmt.Errorf("encode the history: %w", err)
	}
	return append(data, '\n'), nil
}

// RunSeeds rehearses one run for each seed, both ends included: as many at once as
// there are processors. What it returns does not depend on that, since every
// rehearsal has a world of its own, and they are summed up in order.
func RunSeeds(o Options, from, to uint64, progress func(done int)) (*SeedsResult, error) {
	sum := &SeedsResult{
		From: from, To: to, Statuses: map[patch.RunStatus]int{}, Outcomes: map[outcome.Outcome]int{},
		APICalls: map[string]int{}, Faults: map[string]int{}, Failed: []FailedSeed{}, Ended: map[patch.RunStatus][]uint64{},
		Premises: noPremises(),
	}
	var err error
	if o.templates, err = stage.LoadTemplates(o.Hub, o.Spoke, o.Reader, o.Parameters); err != nil {
		return nil, err
	}
	err = sideBySide(from, to, func(seed uint64) (*Result, error) {
		one := o
		one.Seed, one.RunID, one.Progress = seed, "", nil
		return Run(one)
	}, func(seed uint64, res *Result, err error) error {
		switch {
		case err != nil && sum.Seeds == 0:
			return err // what is wrong with the first seed is most likely wrong with the command
		case err != nil:
			sum.Failed = append(sum.Failed, FailedSeed{Seed: seed, Rule: "error", Detail: err.Error()})
		default:
			sum.add(seed, res)
		}
		sum.Seeds++
		if progress != nil {
			progress(sum.Seeds)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sum.VirtualYears = float64(sum.VirtualSeconds) / (365.25 * 24 * 3600)
	return sum, nil
}

func (s *SeedsResult) add(seed uint64, r *Result) {
	s.Statuses[r.Status]++
	s.Ended[r.Status] = append(s.Ended[r.Status], seed)
	s.Planned += r.Planned
	for o, n := range r.Outcomes {
		s.Outcomes[o] += n
	}
	for c, n := range r.APICalls {
		s.APICalls[c] += n
	}
	for f, n := range r.Faults {
		s.Faults[f] += n
	}
	for rule, n := range r.Premises {
		s.Premises[rule] += n
	}
	s.VirtualSeconds += r.VirtualSeconds
	s.Executions += r.Executions
	s.StateTransitions += r.StateTransitions
	s.LambdaInvocations += r.LambdaInvocations
	s.EstimatedCostUSD += r.EstimatedCostUSD
	s.MaxHistoryEvents = max(s.MaxHistoryEvents, r.MaxHistoryEvents)
	s.MaxPayloadBytes = max(s.MaxPayloadBytes, r.MaxPayloadBytes)
	s.ViolationCount += len(r.Violations)
	if len(r.Violations) > 0 {
		v := r.Violations[0]
		s.Failed = append(s.Failed, FailedSeed{Seed: seed, Rule: v.Rule, Detail: v.Detail})
	}
}
