package asl

import (
	"regexp"
	"slices"
	"strings"
)

// lambdaInvoke and bareLambda are the resources this package runs as AWS does: the function is the host's matter.
var (
	lambdaInvoke = regexp.MustCompile(`^arn:aws[a-z-]*:states:::lambda:invoke$`)
	bareLambda   = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?$`)
)

const tokenSuffix = ".waitForTaskToken"

func (o *object) task(s *state) {
	t := &taskFields{}
	s.task = t
	o.required("Resource")
	t.shown, _ = o.text("Resource")
	t.resource, t.token = strings.CutSuffix(t.shown, tokenSuffix)
	t.bareLambda = bareLambda.MatchString(t.resource)
	switch {
	case t.bareLambda && t.token:
		o.problem("Resource", "%s works with lambda:invoke only", tokenSuffix)
	case t.shown != "" && !t.bareLambda && !lambdaInvoke.MatchString(t.resource):
		o.problem("Resource", "%q is not supported: only lambda:invoke, with or without %s, and function ARNs are", t.shown, tokenSuffix)
	case !t.bareLambda && t.shown != "":
		o.invokeParameters()
	}
	o.unsupported("is not supported", "Credentials")
	t.timeout = o.either("TimeoutSeconds", 1, maxSeconds)
	t.heartbeat = o.either("HeartbeatSeconds", 1, maxSeconds)
	if t.heartbeat.set && !t.token {
		o.problem(o.given("HeartbeatSeconds"), "only a %s task can send heartbeats", tokenSuffix)
	}
	if t.heartbeat.set && t.heartbeat.at == nil && t.timeout.set && t.timeout.at == nil && t.heartbeat.value >= t.timeout.value {
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

// invokeParameters checks the names of lambda:invoke's arguments, as CreateStateMachine does.
func (o *object) invokeParameters() {
	known := []string{"FunctionName", "Payload", "InvocationType", "Qualifier", "ClientContext", "LogType"}
	n := o.node("Parameters")
	if n == nil {
		o.problem("", "Parameters with FunctionName is missing")
		return
	}
	fields, ok := n.Value.([]Field)
	if !ok {
		return // reported already
	}
	named := false
	for _, f := range fields {
		key := strings.TrimSuffix(f.Key, ".$")
		named = named || key == "FunctionName"
		if !slices.Contains(known, key) {
			o.l.problem(f.Line, o.at+"/Parameters/"+f.Key, "lambda:invoke has no parameter %q", key)
		}
	}
	if !named {
		o.problem("Parameters", "FunctionName is missing")
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
		s.catch = append(s.catch, catcher{errors: c.errorEquals(i == len(list)-1), resultPath: c.resultPath(), assign: c.assign()})
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
