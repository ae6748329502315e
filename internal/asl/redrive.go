package asl

import (
	"encoding/json"
	"time"
)

const (
	// redriveTime is how long after its end an execution can be redriven.
	// Source: Step Functions quotas, "Redrivable period", read 2026-11.
	redriveTime = 14 * 24 * time.Hour
	// redriveEvents is what a history must be shorter than: the redrive and one more event follow.
	// Source: Developer Guide, "Redrive eligibility for unsuccessful executions", read 2026-11.
	redriveEvents = 24_999
	// maxMapRedrives is how often a Map Run can be redriven. Source: Step Functions quotas, read 2026-11.
	maxMapRedrives = 1000
)

// Redrive lets an execution that failed, timed out or was aborted go on where it stopped: under its own ARN, with the
// same definition and input, its history continued, its timeouts and retriers as new. What had succeeded is not run
// again. Errors are APIErrors: ExecutionDoesNotExist, and ExecutionNotRedrivable for one that runs or succeeded, whose
// end is 14 days past, whose history is full, or that is a child, which only its parent can redrive.
func (e *Engine) Redrive(arn string) error {
	x, ok := e.byARN[arn]
	if !ok {
		return APIError{"ExecutionDoesNotExist", "there is no execution " + arn}
	}
	if why := x.notRedrivable(); why != "" {
		return APIError{"ExecutionNotRedrivable", why}
	}
	if x.run != nil {
		return APIError{"ExecutionNotRedrivable", "a child is redriven by its parent"}
	}
	e.enqueue(x.redrive)
	e.pump()
	return nil
}

// notRedrivable says why an execution cannot be redriven, or nothing.
func (x *Execution) notRedrivable() string {
	switch {
	case x.Status == Running || x.Status == Succeeded:
		return "the execution is " + string(x.Status)
	case x.engine.host.Now().Sub(x.Stop) >= redriveTime:
		return "the execution has ended more than 14 days ago"
	case len(x.events) >= redriveEvents:
		return "the history of the execution is full"
	}
	return ""
}

// redrive opens the execution again. It is billed as a transition.
func (x *Execution) redrive() {
	e := x.engine
	if x.notRedrivable() != "" {
		return // asked for twice
	}
	x.Status, x.Stop, x.Error, x.Cause, x.context = Running, time.Time{}, "", "", nil
	x.Redrives++
	x.Redriven = e.host.Now()
	e.stats.Transitions++
	if t := x.machine.timeout; t > 0 && x.run == nil {
		x.stopTimer = e.after(t, x.timeOut)
	}
	x.root.prev = x.publish(record{typ: "ExecutionRedriven", prev: int32(x.published), number: int32(x.Redrives)})
	x.root.redrive()
}

// redrive goes on in the state in which the branch stopped. One that had not come to a state begins.
func (b *branch) redrive() {
	old := b.stopped
	b.dead, b.ended, b.stopped = false, false, nil
	if old == nil {
		b.start(b.x.input)
		return
	}
	v := &visit{b: b, s: old.s, in: old.in, effective: old.effective, entered: old.entered, enteredID: old.enteredID}
	b.at = v
	switch {
	case old.effective == nil || old.s.typ == "Fail":
		v.enter()
	case old.halted != nil:
		v.started = true
		v.kids = old.halted.redriven(v)
		v.kids.run()
	case old.haltedRun != nil && old.haltedRun.children != nil:
		old.haltedRun.redrive(v)
	default:
		v.begin()
	}
}

// redriven are the same branches for another visit: those that did not succeed run again.
func (k *kids) redriven(v *visit) *kids {
	next := &kids{v: v, branches: k.branches, results: k.results, make: k.make, names: k.names, limit: k.limit,
		finished: k.finished}
	for i, b := range k.branches {
		if b == nil || !b.ended {
			next.order = append(next.order, i)
		}
	}
	return next
}

// redrive runs the children that did not succeed: under their own names where they can be redriven. The others keep
// the end that they had, and count as failed.
func (r *mapRun) redrive(v *visit) {
	e := v.engine()
	r.v, v.run, v.started = v, r, true
	r.redrives++
	r.closed, r.over, r.failed, r.running, r.next, r.order = false, 0, 0, 0, 0, nil
	v.b.emit(record{typ: "MapRunRedriven", s: v.s, data: json.RawMessage(r.arn), number: int32(r.redrives)})
	if v.closed {
		return
	}
	if r.redrives > maxMapRedrives {
		r.fail(runtimeFault("a Map Run can be redriven %d times", maxMapRedrives))
		return
	}
	for i, x := range r.children {
		switch {
		case x == nil:
			r.order = append(r.order, i)
		case x.Status == Succeeded:
			r.over++
		case x.notRedrivable() != "":
			r.over++
			r.failed++
		default:
			r.order = append(r.order, i)
		}
	}
	if len(r.order) > 0 && r.children[r.order[0]] != nil {
		child := r.children[r.order[0]]
		if refused := e.host.Authorize(v.b.x.ARN, "states:RedriveExecution", child.ARN); refused != nil {
			r.fail(&fault{name: errPermissions, cause: refused.Cause})
			return
		}
	}
	if r.failed > 0 && r.exceeded() {
		r.fail(faultf(errThreshold, "The specified tolerated failure threshold was exceeded"))
		return
	}
	r.earliest = e.host.Now()
	r.dispatch()
}
