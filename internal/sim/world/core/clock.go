package core

import (
	"container/heap"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// clock is the virtual time of a world: a queue of events ordered by time and,
// among equals, by the order in which they were scheduled.
type clock struct {
	now   time.Time
	seq   uint64
	queue eventQueue
}

type event struct {
	at   time.Time
	seq  uint64
	run  func()
	dead bool
}

// after schedules run; a negative delay counts as none.
func (c *clock) after(d time.Duration, run func()) (stop func()) {
	c.seq++
	e := &event{at: c.now.Add(max(d, 0)), seq: c.seq, run: run}
	heap.Push(&c.queue, e)
	return func() { e.dead, e.run = true, nil }
}

// step runs the next event and reports whether there was one.
func (c *clock) step() bool {
	for len(c.queue) > 0 {
		e := heap.Pop(&c.queue).(*event)
		if e.dead {
			continue
		}
		c.now = e.at
		e.run()
		return true
	}
	return false
}

type eventQueue []*event

func (q eventQueue) Len() int { return len(q) }

func (q eventQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}

func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *eventQueue) Push(x any) { *q = append(*q, x.(*event)) }

func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}

// Stream is a source of random numbers of its own for each name, so that one
// more draw in one place shifts no other place.
func Stream(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
