package asl

import (
	"regexp"
	"slices"
	"strings"
)

// These are the resources that this package runs as AWS does: the function, or which machine is meant, is the host's
// matter.
var (
	startExecution = regexp.MustCompile(`^arn:aws[a-z-]*:states:::states:startExecution\.sync:2$`)
	lambdaInvoke   = regexp.MustCompile(`^arn:aws[a-z-]*:states:::lambda:invoke$`)
	bareLambda     = regexp.MustCompile(
		`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?$`)
)

const tokenSuffix = ".waitForTaskToken"

func (o *object) task(s *state) {
	t := &taskFields{}
	s.task = t
	o.required("Resource")
	t.shown, _ = o.text("Resource")
	t.resource, t.token = strings.CutSuffix(t.shown, tokenSuffix)
	t.bareLambda = bareLambda.MatchString(t.resource)
	t.nested = startExecution.MatchString(t.shown)
	switch {
	case t.nested:
		o.parametersOf("states:startExecution", "StateMachineArn", "Name", "Input")
	case t.bareLambda && t.token:
		o.problem("Resource", "%s works with lambda:invoke only", tokenSuffix)
	case t.shown != "" && !t.bareLambda && !lambdaInvoke.MatchString(t.resource):
		o.problem("Resource", "%q is not supported: only lambda:invoke, with or without %s, function ARNs and "+
			"states:startExecution.sync:2 are", t.shown, tokenSuffix)
	case !t.bareLambda && t.shown != "":
		o.parametersOf("lambda:invoke", "FunctionName", "Payload", "InvocationType", "Qualifier",
			"ClientContext", "LogType")
	}
	o.unsupported("is not supported", "Credentials")
	t.timeout = o.either("TimeoutSeconds", 1, maxSeconds)
	t.heartbeat = o.either("HeartbeatSeconds", 1, maxSeconds)
	if t.heartbeat.set && !t.token {
		o.problem(o.given("HeartbeatSeconds"), "only a %s task can send heartbeats", tokenSuffix)
	}
	if t.heartbeat.set && t.heartbeat.at == nil && t.timeout.set && t.timeout.at == nil &&
		t.heartbeat.value >= t.timeout.value {
		o.problem("HeartbeatSeconds", "must be smaller than TimeoutSeconds")
	}
}

// given returns key or key+"Path", whichever stands in the object.
func (o *object) given(key string) string {
	if o.has(key) {
		return key
	}
	return key + "Path"
}

// parametersOf checks the names of an integration's arguments, as CreateStateMachine does. The first is required.
func (o *object) parametersOf(api, needed string, others ...string) {
	n := o.node("Parameters")
	if n == nil {
		o.problem("", "Parameters with %s is missing", needed)
		return
	}
	fields, ok := n.Value.([]Field)
	if !ok {
		return // reported already
	}
	named := false
	for _, f := range fields {
		key := strings.TrimSuffix(f.Key, ".$")
		named = named || key == needed
		if key != needed && !slices.Contains(others, key) {
			o.l.problem(f.Line, o.at+"/Parameters/"+f.Key, "%s has no parameter %q", api, key)
		}
	}
	if !named {
		o.problem("Parameters", "%s is missing", needed)
	}
}

func (o *object) retriers(s *state) {
	list := o.objects("Retry")
	for i, r := range list {
		out := retrier{errors: r.errorEquals(i == len(list)-1), interval: 1, rate: 2, attempts: 3}
		r.text("Comment")
		if v, ok := r.whole("IntervalSeconds", 1, maxSeconds); ok {
			out.interval = v
		}
		if v, ok := r.whole("MaxAttempts", 0, maxSeconds); ok {
			out.attempts = int(v)
		}
		if v, ok := r.number("BackoffRate", 1, maxSeconds); ok {
			out.rate = v
		}
		if v, ok := r.whole("MaxDelaySeconds", 1, maxDelay); ok {
			out.maxGap = v
		}
		if v, ok := r.text("JitterStrategy"); ok {
			out.jitter = v == "FULL"
			if v != "FULL" && v != "NONE" {
				r.problem("JitterStrategy", "must be FULL or NONE, is %q", v)
			}
		}
		r.finish()
		s.retry = append(s.retry, out)
	}
}

func (o *object) catchers(s *state) {
	list := o.objects("Catch")
	for i, c := range list {
		s.catch = append(s.catch, catcher{errors: c.errorEquals(i == len(list)-1), resultPath: c.resultPath(),
			assign: c.assign()})
		c.text("Comment")
		c.unsupported("belongs to JSONata, which is not supported", "Output")
		c.required("Next")
		c.goTo("Next", s, func(to *state) { s.catch[i].next = to })
		c.finish()
	}
}

func (o *object) errorEquals(last bool) []string {
	names := o.texts("ErrorEquals")
	for _, n := range names {
		if strings.HasPrefix(n, reservedNamespace) && !slices.Contains(knownErrors(), n) {
			o.problem("ErrorEquals", "the language has no error %q", n)
		}
		if n == errAll && len(names) > 1 {
			o.problem("ErrorEquals", "%s must stand alone", errAll)
		}
		if n == errAll && !last {
			o.problem("ErrorEquals", "%s must come last", errAll)
		}
	}
	return names
}
