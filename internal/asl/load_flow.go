package asl

import (
	"slices"
	"strings"
)

// link is a transition that is resolved once all states of its scope are known.
type link struct {
	to   string
	line int
	at   string
	set  func(*state)
}

// flow reads StartAt and States of a machine, a branch or a processor.
func (l *loader) flow(o *object, parent *varScope) *flow {
	outerLinks, outerScope := l.links, l.scope
	defer func() { l.links, l.scope = outerLinks, outerScope }()
	l.links, l.scope = nil, &varScope{parent: parent, assigned: map[string]bool{}}

	f := &flow{states: map[string]*state{}}
	start, haveStart := o.text("StartAt")
	if o.required("StartAt"); haveStart {
		l.links = append(l.links, link{to: start, line: o.lineOf("StartAt"), at: o.at + "/StartAt",
			set: func(s *state) { f.startAt = s }})
	}
	states := l.object(o.required("States"), o.at+"/States")
	if states == nil {
		return f
	}
	if len(states.fields) == 0 {
		states.problem("", "there are no states")
	}
	var order []*state
	declared := map[string]bool{}
	for _, field := range states.fields {
		l.name(field, o.at)
		declared[field.Key] = true
		if s := l.state(field, o.at); s != nil {
			f.states[s.name] = s
			order = append(order, s)
		}
	}
	l.resolve(f, declared)
	if f.startAt != nil && len(order) == len(states.fields) {
		l.unreachable(f, order)
	}
	return f
}

// name checks a state's name, which must be unique in the whole machine.
func (l *loader) name(f Field, at string) {
	if n := len([]rune(f.Key)); n == 0 || n > maxStateName {
		l.problem(f.Line, at+"/"+f.Key, "a state's name has 1 to %d characters, this one has %d", maxStateName, n)
	}
	if line, ok := l.names[f.Key]; ok {
		l.problem(f.Line, at+"/"+f.Key,
			"a state of this name stands in line %d already: names are unique in the whole machine", line)
		return
	}
	l.names[f.Key] = f.Line
}

// resolve follows the transitions of a scope. A state that was declared but could not be read is no dangling target.
func (l *loader) resolve(f *flow, declared map[string]bool) {
	for _, k := range l.links {
		if s, ok := f.states[k.to]; ok {
			k.set(s)
			continue
		}
		if !declared[k.to] {
			l.dangling = append(l.dangling, k)
		}
	}
}

// reportDangling runs last, when it is known which names exist elsewhere.
func (l *loader) reportDangling() {
	for _, k := range l.dangling {
		if _, ok := l.names[k.to]; ok {
			l.problem(k.line, k.at, "state %q stands in another States scope: a transition cannot leave its own", k.to)
			continue
		}
		l.problem(k.line, k.at, "there is no state %q", k.to)
	}
}

func (l *loader) unreachable(f *flow, order []*state) {
	reached := map[*state]bool{f.startAt: true}
	for todo := []*state{f.startAt}; len(todo) > 0; todo = todo[1:] {
		for _, name := range todo[0].targets {
			if s := f.states[name]; s != nil && !reached[s] {
				reached[s] = true
				todo = append(todo, s)
			}
		}
	}
	for _, s := range order {
		if !reached[s] {
			l.problem(s.line, s.at, "no transition leads to this state")
		}
	}
}

// goTo reads a transition of state s.
func (o *object) goTo(key string, s *state, set func(*state)) bool {
	to, ok := o.text(key)
	if !ok {
		return false
	}
	if !slices.Contains(s.targets, to) {
		s.targets = append(s.targets, to)
	}
	o.l.links = append(o.l.links, link{to: to, line: o.lineOf(key), at: o.at + "/" + key, set: set})
	return true
}

// state reads one state of any type.
func (l *loader) state(f Field, scope string) *state {
	o := l.object(f.Value, scope+"/"+f.Key)
	if o == nil {
		return nil
	}
	s := &state{name: f.Key, line: f.Line, at: o.at}
	l.states = append(l.states, s)
	s.comment, _ = o.text("Comment")
	o.queryLanguage()
	o.unsupported("belongs to JSONata, which is not supported", "Arguments", "Output", "Items", "Condition")
	o.required("Type")
	s.typ, _ = o.text("Type")
	s.enteredEvent, s.exitedEvent = s.typ+"StateEntered", s.typ+"StateExited"
	tokens := len(l.tokenUses)
	if !o.fieldsOf(s) {
		return s
	}
	l.tokens(s, tokens)
	o.finish()
	return s
}

// fieldsOf reads what belongs to the state's type; false when the type is unknown.
func (o *object) fieldsOf(s *state) bool {
	switch s.typ {
	case "Task":
		o.paths(s)
		o.effects(s)
		o.task(s)
		o.nextOrEnd(s)
	case "Pass":
		o.paths(s)
		s.parameters, s.assign = o.objectTemplate("Parameters"), o.assign()
		s.resultPath = o.resultPath()
		if n := o.node("Result"); n != nil {
			s.result = &template{value: constant(n, 0)}
		}
		o.nextOrEnd(s)
	case "Wait":
		o.paths(s)
		s.assign = o.assign()
		o.wait(s)
		o.nextOrEnd(s)
	case "Choice":
		o.paths(s)
		s.assign = o.assign()
		o.choice(s)
	case "Succeed":
		o.paths(s)
		s.end = true
	case "Fail":
		o.fail(s)
		s.end = true
	case "Parallel":
		o.paths(s)
		o.effects(s)
		o.parallel(s)
		o.nextOrEnd(s)
	case "Map":
		o.paths(s)
		o.mapState(s)
		o.nextOrEnd(s)
	default:
		if s.typ != "" {
			o.problem("Type", "unknown type %q", s.typ)
		}
		// Its other fields cannot be judged; where it leads to spares later states a problem that they do not have.
		o.goTo("Next", s, func(*state) {})
		o.goTo("Default", s, func(*state) {})
		return false
	}
	return true
}

// tokens checks the uses of $$.Task noted while s was read.
func (l *loader) tokens(s *state, from int) {
	uses := l.tokenUses[from:]
	l.tokenUses = l.tokenUses[:from]
	if s.task != nil && s.task.token && !s.task.bareLambda {
		if len(uses) == 0 {
			l.problem(s.line, s.at, "a .waitForTaskToken task must hand $$.Task.Token on in its Parameters")
		}
		return
	}
	for _, u := range uses {
		l.problem(u.line, u.at, "$$.Task exists only in a .waitForTaskToken task")
	}
}

func (o *object) paths(s *state) {
	s.inputPath, s.outputPath = o.path("InputPath"), o.path("OutputPath")
}

// effects reads what Task and Parallel share.
func (o *object) effects(s *state) {
	s.parameters = o.objectTemplate("Parameters")
	o.results(s)
}

// results reads what Task, Parallel and Map do with their results and failures.
func (o *object) results(s *state) {
	s.resultSelector, s.assign = o.objectTemplate("ResultSelector"), o.assign()
	s.resultPath = o.resultPath()
	o.retriers(s)
	o.catchers(s)
}

// resultPath must be a reference path below $: names and indexes only.
func (o *object) resultPath() *path {
	p := o.one("ResultPath")
	if p != nil && p.root != rootInput {
		o.problem("ResultPath", "must start with $ alone, not %q", p.text)
	}
	return p
}

func (o *object) nextOrEnd(s *state) {
	next := o.goTo("Next", s, func(to *state) { s.next = to })
	end, haveEnd := o.boolean("End")
	s.end = end
	if haveEnd && !end {
		o.problem("End", "must be true or absent")
	}
	if next && end {
		o.problem("End", "stands beside Next: only one of them is allowed")
	}
	if !next && !haveEnd && !o.has("Next") {
		o.problem("", "needs either Next or End")
	}
}

func (o *object) parallel(s *state) {
	o.required("Branches")
	branches := o.objects("Branches")
	if len(branches) == 0 && o.has("Branches") {
		o.problem("Branches", "needs at least one branch")
	}
	for _, b := range branches {
		b.text("Comment")
		s.branches = append(s.branches, o.l.flow(b, o.l.scope))
		b.finish()
	}
}

func (o *object) fail(s *state) {
	f := &failFields{}
	s.fail = f
	f.errorName = o.textOrPath("Error")
	f.cause = o.textOrPath("Cause")
	if name, ok := f.errorName.(literalExpr); ok {
		if text, _ := name.value.(string); strings.HasPrefix(text, reservedNamespace) {
			o.problem("Error", "%q: own error names must not start with %s", text, reservedNamespace)
		}
	}
}

// textOrPath reads key as a literal text, or key+"Path" as a path or an intrinsic function.
func (o *object) textOrPath(key string) expr {
	var e expr
	if text, ok := o.text(key); ok {
		e = literalExpr{text}
	}
	if text, ok := o.text(key + "Path"); ok {
		e = o.l.expr(o.lineOf(key+"Path"), o.at+"/"+key+"Path", text)
		if o.has(key) {
			o.problem(key+"Path", "stands beside %s: only one of them is allowed", key)
		}
	}
	return e
}

func (o *object) wait(s *state) {
	w := &waitFields{}
	s.wait = w
	given := 0
	for _, key := range []string{"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} {
		if o.has(key) {
			given++
		}
	}
	if given != 1 {
		o.problem("", "needs exactly one of Seconds, SecondsPath, Timestamp, TimestampPath")
	}
	w.seconds = o.either("Seconds", 0, maxSeconds)
	w.at = o.one("TimestampPath")
	if text, ok := o.text("Timestamp"); ok {
		if w.timestamp, ok = parseTimestamp(text); !ok {
			o.problem("Timestamp", "%q is not an RFC 3339 time with a zone", text)
		}
	}
}
