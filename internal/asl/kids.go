package asl

// kids are the branches of a Parallel state or the iterations of an inline Map state, while they run.
type kids struct {
	v        *visit
	branches []*branch // nil before its start
	results  []any
	make     func(i int) (*branch, *payload, *fault) // the branch is there even when its input is not
	names    bool                                    // iterations leave their own events
	limit    int                                     // at once
	order    []int                                   // what is started, one after the other
	started  int                                     // of order
	finished int
	last     int64 // the last event of any of them
	closed   bool
}

// beginParallel runs all branches at once, each with the same input.
func (v *visit) beginParallel() {
	in := v.effective
	if v.s.parameters != nil {
		out, f := v.s.parameters.eval(v.scope(in.v))
		if f == nil {
			in = newPayload(out)
			f = v.b.x.tooLarge(in, "the effective input of the state")
		}
		if f != nil {
			v.fail(f)
			return
		}
	}
	v.b.emit(record{typ: "ParallelStateStarted", s: v.s})
	v.started = true
	v.kids = &kids{v: v, make: func(i int) (*branch, *payload, *fault) {
		return &branch{flow: v.s.branches[i]}, in, nil
	}}
	v.kids.begin(len(v.s.branches), len(v.s.branches))
}

// begin starts up to limit of n branches; each that ends makes room for one more.
func (k *kids) begin(n, limit int) {
	k.branches, k.results, k.limit = make([]*branch, n), make([]any, n), limit
	for i := range n {
		k.order = append(k.order, i)
	}
	k.run()
}

// run starts as many as may run at once.
func (k *kids) run() {
	k.last = k.v.b.prev
	if len(k.order) == 0 {
		k.succeed()
		return
	}
	from := k.v.b.prev
	for range min(len(k.order), k.limit) {
		k.startNext(from)
	}
}

// startNext queues the start of the next branch; its first event follows the event from.
func (k *kids) startNext(from int64) {
	i := k.order[k.started]
	k.started++
	e := k.v.engine()
	e.enqueue(func() {
		if k.closed || k.v.closed {
			return
		}
		if b := k.branches[i]; b != nil && b.stopped != nil {
			b.prev, b.done = from, func(out *payload, f *fault) { k.ended(b, out, f) }
			b.redrive()
			return
		}
		b, in, f := k.make(i)
		b.x, b.index, b.prev, b.parent = k.v.b.x, i, from, k.v.b
		b.vars = &variables{parent: k.v.b.vars}
		b.done = func(out *payload, f *fault) { k.ended(b, out, f) }
		k.branches[i] = b
		if k.names {
			b.emit(record{typ: "MapIterationStarted", s: k.v.s, number: int32(i)})
		}
		if f == nil {
			f = b.x.tooLarge(in, "the input of the iteration")
		}
		if f != nil {
			b.end(nil, k.v.explained(f))
			return
		}
		b.start(in)
	})
}

func (k *kids) ended(b *branch, out *payload, f *fault) {
	if k.closed || k.v.closed {
		return
	}
	if f != nil {
		if k.names {
			b.emitAside(record{typ: "MapIterationFailed", s: k.v.s, number: int32(b.index)})
		}
		k.fail(b.prev, f)
		return
	}
	k.results[b.index] = out.v
	k.finished++
	k.last = b.prev
	if k.names {
		k.last = b.emitAside(record{typ: "MapIterationSucceeded", s: k.v.s, number: int32(b.index)})
	}
	switch {
	case k.finished == len(k.results):
		k.succeed()
	case k.started < len(k.order):
		k.startNext(b.prev)
	}
}

func (k *kids) succeed() {
	k.closed = true
	v := k.v
	v.b.prev, v.kids = k.last, nil
	v.b.emitAside(record{typ: v.s.typ + "StateSucceeded", s: v.s})
	v.started = false // what fails now, such as a result that is too large, leaves no Failed event
	v.succeed(newPayload(k.results))
}

// fail ends all siblings and hands the failure to the state, whose events go on after the event from.
func (k *kids) fail(from int64, f *fault) {
	k.abort(true)
	k.v.kids, k.v.halted = nil, k
	k.v.b.prev = from
	k.v.fail(f)
}

func (k *kids) abort(loud bool) {
	k.closed = true
	for i, b := range k.branches {
		if b == nil || b.dead {
			continue
		}
		b.kill(loud)
		if loud && k.names {
			b.emitAside(record{typ: "MapIterationAborted", s: k.v.s, number: int32(i)})
		}
	}
}
