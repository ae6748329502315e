package asl

import (
	"math"
	"time"
)

// visit is one stay in a state, with all its attempts.
type visit struct {
	b         *branch
	s         *state
	in        *payload // as it came
	effective *payload // after InputPath
	entered   time.Time
	enteredID int64
	closed    bool

	attempts []int // made by each retrier
	retries  int
	attempt  int // grows with every attempt: replies to older ones are ignored
	context  map[string]any
	stops    []func() // timers of the attempt
	started  bool     // a Map or Parallel state has its Started event

	call *callback // waits for a task
	kids *kids     // branches or iterations
	run  *mapRun

	halted    *kids // the branches of the last attempt when it failed or was aborted
	haltedRun *mapRun
}

func (v *visit) engine() *Engine { return v.b.x.engine }

// enter leaves the Entered event, applies InputPath and begins.
func (v *visit) enter() {
	e := v.engine()
	v.entered = e.host.Now()
	v.enteredID = v.b.emit(record{typ: v.s.enteredEvent, s: v.s, data: v.in.json()})
	e.stats.Transitions++
	if v.closed || v.b.dead {
		return
	}
	effective, f := v.filter(v.s.inputPath, v.in)
	if f != nil {
		v.fail(f)
		return
	}
	v.effective = effective
	v.begin()
}

// begin makes one attempt at what the state is for.
func (v *visit) begin() {
	v.attempt++
	v.halted, v.haltedRun = nil, nil
	switch v.s.typ {
	case "Task":
		v.beginTask()
	case "Pass":
		v.pass()
	case "Wait":
		v.wait()
	case "Choice":
		v.choose()
	case "Succeed":
		v.chosen(nil, nil)
	case "Fail":
		v.failState()
	case "Parallel":
		v.beginParallel()
	case "Map":
		v.beginMap()
	}
}

// filter applies InputPath or OutputPath.
func (v *visit) filter(p *path, in *payload) (*payload, *fault) {
	if p == nil || p.root == rootInput && len(p.steps) == 0 {
		return in, nil
	}
	out, f := p.eval(v.scope(in.v))
	if f != nil {
		return nil, f
	}
	return newPayload(out), nil
}

func (v *visit) scope(input any) *scope {
	return &scope{input: input, context: v.contextObject, vars: v.b.vars, host: v.engine().host}
}

// contextObject is $$ of the attempt under way.
func (v *visit) contextObject() map[string]any {
	if v.context != nil {
		return v.context
	}
	v.context = map[string]any{
		"Execution":    v.b.x.executionContext(),
		"StateMachine": v.b.x.machineContext(),
		"State": map[string]any{"EnteredTime": formatTime(v.entered), "Name": v.s.name,
			"RetryCount": float64(v.retries)},
	}
	if v.call != nil && v.call.token != "" {
		v.context["Task"] = map[string]any{"Token": v.call.token}
	}
	if item := v.b.mapItem(); item != nil {
		v.context["Map"] = map[string]any{"Item": item}
	}
	return v.context
}

// succeed goes on with a state's result: Assign, ResultSelector, ResultPath, OutputPath.
func (v *visit) succeed(result *payload) {
	if v.closed {
		return
	}
	if f := v.b.x.tooLarge(result, "the result"); f != nil {
		v.fail(f)
		return
	}
	assigned, f := v.assigned(v.s.assign, result.v)
	if f != nil {
		v.fail(f)
		return
	}
	if v.s.resultSelector != nil {
		selected, f := v.s.resultSelector.eval(v.scope(result.v))
		if f != nil {
			v.fail(f)
			return
		}
		result = newPayload(selected)
	}
	out, f := v.placed(v.s.resultPath, result)
	if f == nil {
		out, f = v.filter(v.s.outputPath, out)
	}
	if f == nil {
		f = v.b.x.tooLarge(out, "the output of the state")
	}
	if f != nil {
		v.fail(f)
		return
	}
	v.b.vars.set(assigned)
	v.leave(out, v.s.next)
}

// placed puts a result into the input as it came.
func (v *visit) placed(p *path, result *payload) (*payload, *fault) {
	if p == nil || len(p.steps) == 0 {
		return result, nil
	}
	out, f := p.place(v.in.v, result.v)
	return newPayload(out), f
}

// assigned evaluates an Assign field; all of it sees the variables as they were.
func (v *visit) assigned(t *template, input any) (map[string]any, *fault) {
	if t == nil {
		return nil, nil
	}
	out, f := t.eval(v.scope(input))
	if f != nil {
		return nil, f
	}
	values, _ := out.(map[string]any)
	return values, v.b.x.tooLarge(newPayload(values), "Assign")
}

// leave leaves the Exited event and goes on.
func (v *visit) leave(out *payload, next *state) {
	if v.closed {
		return
	}
	v.close()
	v.b.emit(record{typ: v.s.exitedEvent, s: v.s, data: out.json()})
	v.b.goTo(next, out)
}

// close ends the visit: nothing that comes later belongs to it.
func (v *visit) close() {
	v.closed = true
	v.reset()
}

// reset drops timers and callbacks of the attempt.
func (v *visit) reset() {
	for _, stop := range v.stops {
		stop()
	}
	v.stops = nil
	if v.call != nil {
		v.call.closed = true
		if v.call.stopBeat != nil {
			v.call.stopBeat()
		}
		v.call.stopNested()
		v.call = nil
	}
	v.context = nil
}

// later runs f after d unless the attempt is over by then.
func (v *visit) later(d time.Duration, f func()) {
	attempt := v.attempt
	v.stops = append(v.stops, v.engine().after(d, func() {
		if !v.closed && v.attempt == attempt {
			f()
		}
	}))
}

// fail takes a failure to the retriers, then to the catchers, then out of the branch.
func (v *visit) fail(f *fault) {
	if v.closed {
		return
	}
	v.reset()
	v.attempt++ // what the failed attempt still sends is ignored
	if v.retry(f) {
		return
	}
	if v.started {
		v.b.emit(record{typ: v.s.typ + "StateFailed", s: v.s, fault: f})
	}
	if v.catch(f) {
		return
	}
	v.close()
	v.b.end(nil, v.explained(f))
}

// failEarly is fail for what goes wrong before the work of a state has started: it leaves the state's own event, too.
func (v *visit) failEarly(f *fault) {
	if v.s.typ == "Task" {
		v.b.emit(record{typ: "TaskFailed", s: v.s, fault: f})
	} else {
		v.started = true
	}
	v.fail(f)
}

// explained says where a failure of the language itself came from.
func (v *visit) explained(f *fault) *fault {
	if !f.terminal() || f.located || v.s.typ == "Fail" {
		return f
	}
	out := runtimeFault("An error occurred while executing the state '%s' (entered at the event id #%d). %s",
		v.s.name, v.enteredID, f.cause)
	out.name, out.located = f.name, true
	return out
}

// retry uses the first retrier that names the error, and no other.
func (v *visit) retry(f *fault) bool {
	for i := range v.s.retry {
		r := &v.s.retry[i]
		if !f.matchesAny(r.errors) {
			continue
		}
		if v.attempts == nil {
			v.attempts = make([]int, len(v.s.retry))
		}
		if v.attempts[i] >= r.attempts {
			return false
		}
		delay := r.delay(v.attempts[i])
		if r.jitter {
			delay = time.Duration(v.engine().host.Rand().Float64() * float64(delay))
		}
		v.attempts[i]++
		v.retries++
		v.engine().stats.Transitions++
		v.later(delay, v.begin)
		return true
	}
	return false
}

// delay before the attempt that follows n retries.
func (r *retrier) delay(n int) time.Duration {
	seconds := r.interval * math.Pow(r.rate, float64(n))
	if r.maxGap > 0 {
		seconds = min(seconds, r.maxGap)
	}
	return time.Duration(min(seconds, maxSeconds) * float64(time.Second))
}

func (v *visit) catch(f *fault) bool {
	for i := range v.s.catch {
		c := &v.s.catch[i]
		if !f.matchesAny(c.errors) {
			continue
		}
		output := f.output()
		assigned, problem := v.assigned(c.assign, output)
		out := newPayload(output)
		if problem == nil {
			out, problem = v.placed(c.resultPath, out)
		}
		if problem == nil {
			problem = v.b.x.tooLarge(out, "the output of the state")
		}
		if problem != nil {
			v.close()
			v.b.end(nil, v.explained(problem))
			return true
		}
		v.b.vars.set(assigned)
		v.leave(out, c.next)
		return true
	}
	return false
}

// abort stops the visit from outside, inner states first.
func (v *visit) abort(loud bool) {
	if v.closed {
		return
	}
	v.close()
	v.halted, v.haltedRun = v.kids, v.run
	if v.kids != nil {
		v.kids.abort(loud)
	}
	if v.run != nil {
		v.run.abort(loud)
	}
	if loud {
		switch v.s.typ {
		case "Task", "Wait", "Parallel", "Map":
			v.b.emit(record{typ: v.s.typ + "StateAborted", s: v.s})
		}
	}
}
