package asl

import (
	"math"
	"time"
)

// pass hands on Result, Parameters or its input.
func (v *visit) pass() {
	switch {
	case v.s.result != nil:
		v.succeed(newPayload(v.s.result.value))
	case v.s.parameters != nil:
		out, f := v.s.parameters.eval(v.scope(v.effective.v))
		if f != nil {
			v.fail(f)
			return
		}
		v.succeed(newPayload(out))
	default:
		v.succeed(v.effective)
	}
}

// failState ends the branch. It leaves no Exited event.
func (v *visit) failState() {
	f := &fault{located: true}
	s := v.scope(v.in.v)
	var problem *fault
	if f.name, problem = textOf(v.s.fail.errorName, s); problem == nil {
		f.cause, problem = textOf(v.s.fail.cause, s)
	}
	if problem != nil {
		f = v.explained(problem)
	}
	v.close()
	v.b.end(nil, f)
}

func textOf(e expr, s *scope) (string, *fault) {
	if e == nil {
		return "", nil
	}
	v, f := e.eval(s)
	if f != nil {
		return "", f
	}
	text, ok := v.(string)
	if !ok {
		return "", runtimeFault("ErrorPath and CausePath must give a text")
	}
	return text, nil
}

// choose takes the first rule that holds.
func (v *visit) choose() {
	s := v.scope(v.effective.v)
	for i := range v.s.choice.rules {
		r := &v.s.choice.rules[i]
		ok, f := r.test.holds(s)
		if f != nil {
			v.fail(f)
			return
		}
		if ok {
			v.chosen(r.assign, r.next)
			return
		}
	}
	if v.s.choice.defaultState == nil {
		v.fail(runtimeFault("no rule of the choice holds, and it has no Default"))
		return
	}
	v.chosen(v.s.assign, v.s.choice.defaultState)
}

// chosen: the Assign of a rule replaces that of the state, which goes with Default.
func (v *visit) chosen(assign *template, next *state) {
	assigned, f := v.assigned(assign, v.effective.v)
	if f == nil {
		var out *payload
		if out, f = v.filter(v.s.outputPath, v.effective); f == nil {
			v.b.vars.set(assigned)
			v.leave(out, next)
			return
		}
	}
	v.fail(f)
}

// wait sleeps for a time or until one; a moment that has passed is no wait at all.
func (v *visit) wait() {
	d, f := v.waitTime()
	if f != nil {
		v.fail(f)
		return
	}
	v.later(max(d, 0), v.waited)
}

func (v *visit) waited() {
	assigned, f := v.assigned(v.s.assign, v.effective.v)
	var out *payload
	if f == nil {
		out, f = v.filter(v.s.outputPath, v.effective)
	}
	if f != nil {
		v.fail(f)
		return
	}
	v.b.vars.set(assigned)
	v.leave(out, v.s.next)
}

func (v *visit) waitTime() (time.Duration, *fault) {
	w := v.s.wait
	now := v.engine().host.Now()
	if w.seconds.set {
		n, f := v.number(w.seconds, "SecondsPath", 0, maxSeconds)
		return time.Duration(n * float64(time.Second)), f
	}
	if w.at == nil {
		return w.timestamp.Sub(now), nil
	}
	value, f := w.at.eval(v.scope(v.effective.v))
	if f != nil {
		return 0, f
	}
	text, _ := value.(string)
	at, ok := parseTimestamp(text)
	if !ok {
		return 0, runtimeFault("TimestampPath '%s' gives no RFC 3339 time with a zone", w.at.text)
	}
	return at.Sub(now), nil
}

// number evaluates a literal or its Path twin, which must give a whole number in bounds.
func (v *visit) number(n number, field string, low, high float64) (float64, *fault) {
	if n.at == nil {
		return n.value, nil
	}
	value, f := n.at.eval(v.scope(v.effective.v))
	if f != nil {
		return 0, f
	}
	x, ok := value.(float64)
	if !ok || x < low || x > high || x != math.Trunc(x) && field != "ToleratedFailurePercentagePath" {
		return 0, runtimeFault("%s '%s' must give a whole number between %s and %s, gives %s", field, n.at.text,
			encode(low), encode(high), encode(value))
	}
	return x, nil
}
