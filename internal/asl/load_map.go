package asl

import (
	"regexp"
	"strings"
)

// maxLabel and labelText: source: Developer Guide, "Distributed Map state", Label.
const maxLabel = 40

var (
	labelText = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	s3Get     = regexp.MustCompile(`^arn:aws[a-z-]*:states:::s3:getObject$`)
	s3Put     = regexp.MustCompile(`^arn:aws[a-z-]*:states:::s3:putObject$`)
)

func (o *object) mapState(s *state) {
	m := &mapFields{}
	s.mapping = m
	o.unsupported("is the old name: use ItemProcessor", "Iterator")
	o.unsupported("is the old name: use ItemSelector", "Parameters")
	o.unsupported("is not supported", "ItemBatcher")
	o.results(s)
	m.items = o.one("ItemsPath")
	m.selector = o.objectTemplate("ItemSelector")
	m.concurrency = o.either("MaxConcurrency", 0, maxSeconds)
	m.toleratedShare = o.either("ToleratedFailurePercentage", 0, 100)
	m.toleratedNo = o.either("ToleratedFailureCount", 0, maxSeconds)
	o.label(m)
	o.reader(m)
	o.writer(m)
	if p := o.l.object(o.required("ItemProcessor"), o.at+"/ItemProcessor"); p != nil {
		o.processor(p, m)
	}
	if !m.distributed {
		for _, key := range []string{"ItemReader", "ResultWriter", "Label", "ToleratedFailurePercentage",
			"ToleratedFailurePercentagePath",
			"ToleratedFailureCount", "ToleratedFailureCountPath"} {
			if o.has(key) {
				o.problem(key, "needs a processor with Mode DISTRIBUTED")
			}
		}
	}
}

func (o *object) processor(p *object, m *mapFields) {
	p.text("Comment")
	if c := o.l.object(p.node("ProcessorConfig"), p.at+"/ProcessorConfig"); c != nil {
		mode, ok := c.text("Mode")
		m.distributed = mode == "DISTRIBUTED"
		if ok && mode != "INLINE" && !m.distributed {
			c.problem("Mode", "must be INLINE or DISTRIBUTED, is %q", mode)
		}
		kind, haveKind := c.text("ExecutionType")
		switch {
		case m.distributed && !haveKind:
			c.problem("", "ExecutionType is missing: DISTRIBUTED needs it")
		case haveKind && !m.distributed:
			c.problem("ExecutionType", "needs Mode DISTRIBUTED")
		case haveKind && kind != "STANDARD":
			c.problem("ExecutionType", "%s is not supported, only STANDARD", kind)
		}
		c.finish()
	}
	parent := o.l.scope
	if m.distributed {
		parent = nil
	}
	m.processor = o.l.flow(p, parent)
	p.finish()
}

func (o *object) label(m *mapFields) {
	label, ok := o.text("Label")
	if !ok {
		return
	}
	m.label = label
	if len(label) > maxLabel || !labelText.MatchString(label) {
		o.problem("Label", "must be 1 to %d of A-Z, a-z, 0-9, - and _, is %q", maxLabel, label)
	}
	if line, taken := o.l.labels[label]; taken {
		o.problem("Label", "%q is the label of the map in line %d, too", label, line)
		return
	}
	o.l.labels[label] = o.lineOf("Label")
}

func (o *object) reader(m *mapFields) {
	r := o.l.object(o.node("ItemReader"), o.at+"/ItemReader")
	if r == nil {
		return
	}
	defer r.finish()
	if o.has("ItemsPath") {
		o.problem("ItemsPath", "stands beside ItemReader: the items come from one of them")
	}
	r.resource(s3Get, "s3:getObject")
	m.reader = &readerFields{parameters: r.location("Bucket", "Key")}
	c := o.l.object(r.required("ReaderConfig"), r.at+"/ReaderConfig")
	if c == nil {
		return
	}
	c.required("InputType")
	if kind, ok := c.text("InputType"); ok && kind != "JSON" {
		c.problem("InputType", "%s is not supported, only JSON", kind)
	}
	m.reader.maxItems = c.either("MaxItems", 1, 100_000_000)
	if text, ok := c.text("ItemsPointer"); ok {
		if !strings.HasPrefix(text, "/") {
			c.problem("ItemsPointer", "must be a JSON pointer, which starts with /")
		}
		for _, part := range strings.Split(strings.TrimPrefix(text, "/"), "/") {
			m.reader.pointer = append(m.reader.pointer, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
	}
	c.finish()
}

func (o *object) writer(m *mapFields) {
	w := o.l.object(o.node("ResultWriter"), o.at+"/ResultWriter")
	if w == nil {
		return
	}
	w.resource(s3Put, "s3:putObject")
	w.unsupported("is not supported", "WriterConfig")
	m.writer = w.location("Bucket", "Prefix")
	w.finish()
}

func (o *object) resource(want *regexp.Regexp, name string) {
	o.required("Resource")
	if r, ok := o.text("Resource"); ok && !want.MatchString(r) {
		o.problem("Resource", "%q is not supported, only %s", r, name)
	}
}

// location reads Parameters that name an object or a prefix.
func (o *object) location(required, second string) *template {
	o.required("Parameters")
	p := o.l.object(o.node("Parameters"), o.at+"/Parameters")
	if p == nil {
		return nil
	}
	t := o.objectTemplate("Parameters")
	for _, key := range []string{required, second} {
		if !p.has(key) && !p.has(key+".$") && !(key == "Prefix") {
			p.problem("", "%s is missing", key)
		}
		p.node(key)
		p.node(key + ".$")
	}
	p.finish()
	return t
}
