package asl

// branch walks through the states of one flow: an execution, a branch of a Parallel state or an iteration of an
// inline Map state.
type branch struct {
	x      *Execution
	flow   *flow
	vars   *variables
	item   map[string]any // $$.Map.Item inside an iteration
	parent *branch        // whose item shows through, nil in an execution
	index  int
	prev   int64 // the event that the next one follows
	done   func(out *payload, f *fault)

	at      *visit // the state being visited
	next    *state
	input   *payload
	walking bool
	dead    bool   // ended or aborted
	ended   bool   // by itself, without a failure
	stopped *visit // where it failed or was aborted: a redrive goes on there
}

// start enters the first state.
func (b *branch) start(in *payload) { b.goTo(b.flow.startAt, in) }

// goTo enters s, or ends the branch when s is nil. Calls from within a state of this branch only note where to go,
// so that long walks do not nest.
func (b *branch) goTo(s *state, in *payload) {
	if b.dead {
		return
	}
	if s == nil {
		b.end(in, nil)
		return
	}
	b.next, b.input = s, in
	if b.walking {
		return
	}
	b.walking = true
	for b.next != nil && !b.dead {
		s := b.next
		b.next = nil
		v := &visit{b: b, s: s, in: b.input}
		b.at = v
		v.enter()
	}
	b.walking = false
}

func (b *branch) end(out *payload, f *fault) {
	if b.dead {
		return
	}
	b.ended = f == nil
	if f != nil {
		b.stopped = b.at
	}
	b.dead, b.at, b.next = true, nil, nil
	b.done(out, f)
}

// kill stops the branch and all that runs below it. Loud kills leave the events of aborted states.
func (b *branch) kill(loud bool) {
	if b.dead {
		return
	}
	b.dead, b.next = true, nil
	if v := b.at; v != nil {
		b.at, b.stopped = nil, v
		v.abort(loud)
	}
}

func (b *branch) emit(r record) int64 {
	r.prev = int32(b.prev)
	b.prev = b.x.emit(r)
	return b.prev
}

// emitAside emits an event that the next one does not follow.
func (b *branch) emitAside(r record) int64 {
	r.prev = int32(b.prev)
	return b.x.emit(r)
}

// mapItem finds the item of the innermost iteration around the branch.
func (b *branch) mapItem() map[string]any {
	for ; b != nil; b = b.parent {
		if b.item != nil {
			return b.item
		}
	}
	return nil
}
