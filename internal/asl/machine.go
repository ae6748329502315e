package asl

import (
	"slices"
	"time"
)

// Machine is a loaded definition. It is never written to after Load, so executions share it.
type Machine struct {
	flow    *flow
	timeout time.Duration // of the execution, 0 for none
	states  []*state      // all, in document order, outer before inner
}

// flow is one States scope: the machine, a branch of a Parallel state or the processor of a Map state.
type flow struct {
	startAt *state
	states  map[string]*state
}

// state is one state of any type; the fields of the other types stay empty.
type state struct {
	name, typ, comment string
	enteredEvent       string
	exitedEvent        string
	line               int
	at                 string // where it stands, for people
	next               *state // nil at the end
	end                bool
	targets            []string // every name it can go to

	inputPath, outputPath, resultPath *path // nil means $
	parameters, resultSelector        *template
	assign                            *template
	retry                             []retrier
	catch                             []catcher

	task     *taskFields
	result   *template // Pass: Result
	wait     *waitFields
	choice   *choiceFields
	fail     *failFields
	branches []*flow
	mapping  *mapFields
}

// number is a literal or a path that gives it; absent when neither is set.
type number struct {
	value float64
	at    *path
	set   bool
}

type taskFields struct {
	resource, shown    string // shown: as in the definition
	token, bareLambda  bool
	nested             bool // startExecution.sync:2
	timeout, heartbeat number
}

type waitFields struct {
	seconds   number
	timestamp time.Time
	at        *path // TimestampPath
}

type failFields struct{ errorName, cause expr }

type choiceFields struct {
	rules        []choiceRule
	defaultState *state
}

type choiceRule struct {
	test   test
	next   *state
	assign *template
}

type retrier struct {
	errors                 []string
	interval, rate, maxGap float64 // seconds, factor, seconds (0: unbounded)
	attempts               int
	jitter                 bool
}

type catcher struct {
	errors     []string
	next       *state
	resultPath *path
	assign     *template
}

type mapFields struct {
	processor                   *flow
	distributed                 bool
	items                       *path // ItemsPath, nil means $
	selector                    *template
	concurrency                 number
	toleratedShare, toleratedNo number // percentage, count
	label                       string
	reader                      *readerFields
	writer                      *template
}

type readerFields struct {
	parameters *template
	pointer    []string
	maxItems   number
}

// StateInfo tells tests and template checks what a state is.
type StateInfo struct {
	Name, Type, Comment string
	Line                int
	Path                string // such as /Waves/ItemProcessor/SendCommand
	Resource            string // as written, with .waitForTaskToken; empty for other types than Task
	Retry, Catch        []string
	// Attempts has MaxAttempts of each retrier, in order.
	Attempts   []int
	HasTimeout bool
	// ResultPath is as written; empty when absent.
	ResultPath string
	Next       []string // every target: Next, Default, of rules and catchers; without repetition, in document order
	End        bool
}

// States lists all states in document order, outer before inner.
func (m *Machine) States() []StateInfo {
	out := make([]StateInfo, len(m.states))
	for i, s := range m.states {
		out[i] = s.info()
	}
	return out
}

func (s *state) info() StateInfo {
	i := StateInfo{Name: s.name, Type: s.typ, Comment: s.comment, Line: s.line, Path: s.at, End: s.end,
		Next: slices.Clone(s.targets)}
	for _, r := range s.retry {
		i.Retry = append(i.Retry, r.errors...)
		i.Attempts = append(i.Attempts, r.attempts)
	}
	for _, c := range s.catch {
		i.Catch = append(i.Catch, c.errors...)
	}
	if s.task != nil {
		i.Resource = s.task.shown
		i.HasTimeout = s.task.timeout.set
	}
	if s.resultPath != nil {
		i.ResultPath = s.resultPath.text
	}
	return i
}

// Resources lists the distinct resources of the machine's tasks, sorted.
func (m *Machine) Resources() []string {
	var out []string
	for _, s := range m.states {
		if s.task != nil {
			out = append(out, s.task.shown)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Timeout is the TimeoutSeconds of the whole execution, 0 for none.
func (m *Machine) Timeout() time.Duration { return m.timeout }
