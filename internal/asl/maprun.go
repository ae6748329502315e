package asl

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Limits of a Map Run. Source: Step Functions quotas and Developer Guide, "Distributed Map state", read 2026-11.
const (
	maxChildren  = 10_000
	dispatchTime = 10 * time.Millisecond // 100 STANDARD children a second
)

// mapRun is one run of a distributed Map state: a retry makes a new one.
type mapRun struct {
	v        *visit
	arn      string
	label    string
	source   string // $$.Map.Item.Source
	items    []mapInput
	children []*Execution
	limit    int
	order    []int // of the items to start
	next     int   // of order
	redrives int
	running  int
	over     int // children that have ended
	failed   int // FAILED and TIMED_OUT
	share    number
	count    number
	earliest time.Time // of the next start
	waiting  bool      // a timer for it is set
	closed   bool
	bucket   string
	prefix   string
}

func (v *visit) beginMapRun() {
	m := v.s.mapping
	run := &mapRun{v: v, label: m.label, source: "STATE_DATA"}
	if run.label == "" {
		run.label = v.engine().host.UUID()
	}
	run.arn = v.mapRunARN(run.label)
	if m.reader == nil {
		value, f := v.mapItems()
		var ok bool
		if f == nil {
			if run.items, ok = inputsOf(value); !ok {
				f = runtimeFault("the items of a Map state must be an array or an object")
			}
		}
		if f != nil {
			v.failEarly(f)
			return
		}
	}
	v.b.emit(record{typ: "MapStateStarted", s: v.s, number: int32(len(run.items))})
	if f := run.settings(); f != nil {
		v.fail(f) // fails the execution: no Map Run starts, the state leaves no event
		return
	}
	v.started = true
	v.b.emit(record{typ: "MapRunStarted", s: v.s, data: json.RawMessage(run.arn)})
	if v.closed {
		return
	}
	v.run = run
	run.begin()
}

// settings evaluates everything that must be right before a Map Run starts.
func (r *mapRun) settings() (f *fault) {
	v, m := r.v, r.v.s.mapping
	concurrency, f := v.number(m.concurrency, "MaxConcurrencyPath", 0, maxSeconds)
	if f != nil {
		return f
	}
	r.limit = min(int(concurrency), maxChildren)
	if r.limit == 0 {
		r.limit = maxChildren
	}
	r.share, r.count = m.toleratedShare, m.toleratedNo
	if r.share.value, f = v.number(m.toleratedShare, "ToleratedFailurePercentagePath", 0, 100); f != nil {
		return f
	}
	if r.count.value, f = v.number(m.toleratedNo, "ToleratedFailureCountPath", 0, maxSeconds); f != nil {
		return f
	}
	if m.writer != nil {
		r.bucket, r.prefix, f = v.location(m.writer, "Prefix", "ResultWriter")
	}
	return f
}

// location evaluates Bucket and Key or Prefix.
func (v *visit) location(t *template, second, field string) (bucket, key string, f *fault) {
	out, f := t.eval(v.scope(v.effective.v))
	if f != nil {
		return "", "", f
	}
	m, _ := out.(map[string]any)
	bucket, okBucket := m["Bucket"].(string)
	key, okKey := m[second].(string)
	if _, given := m[second]; !okBucket || given && !okKey {
		return "", "", runtimeFault("Bucket and %s of %s must be texts", second, field)
	}
	return bucket, key, nil
}

// mapRunARN is arn:…:mapRun:MACHINE/LABEL:UUID.
func (v *visit) mapRunARN(label string) string {
	parts := strings.Split(v.b.x.MachineARN, ":")
	parts[5] = "mapRun"
	return fmt.Sprintf("%s/%s:%s", strings.Join(parts, ":"), label, v.engine().host.UUID())
}

func (r *mapRun) begin() {
	v, e := r.v, r.v.engine()
	if refused := e.host.Authorize(v.b.x.ARN, "states:StartExecution", v.b.x.MachineARN); refused != nil {
		r.fail(&fault{name: errPermissions, cause: refused.Cause})
		return
	}
	if v.s.mapping.reader != nil {
		if f := r.read(); f != nil {
			r.fail(f)
			return
		}
	}
	r.children = make([]*Execution, len(r.items))
	for i := range r.items {
		r.order = append(r.order, i)
	}
	r.earliest = e.host.Now()
	r.dispatch()
}

// read takes the items from an object in S3.
func (r *mapRun) read() *fault {
	v, reader := r.v, r.v.s.mapping.reader
	bucket, key, f := v.location(reader.parameters, "Key", "ItemReader")
	if f != nil {
		return f
	}
	most, f := v.number(reader.maxItems, "MaxItemsPath", 1, 100_000_000)
	if f != nil {
		return f
	}
	body, failure := v.engine().host.GetObject(v.b.x.ARN, bucket, key)
	if failure != nil {
		return faultf(errItemReader, "s3://%s/%s: %s: %s", bucket, key, failure.Error, failure.Cause)
	}
	p, err := decodePayload(body)
	if err != nil {
		return faultf(errItemReader, "s3://%s/%s is %v", bucket, key, err)
	}
	value := p.v
	for _, name := range reader.pointer {
		m, _ := value.(map[string]any)
		value = m[name]
	}
	items, ok := inputsOf(value)
	if !ok {
		return faultf(errItemReader, "s3://%s/%s holds no array or object of items", bucket, key)
	}
	if reader.maxItems.set && len(items) > int(most) {
		items = items[:int(most)]
	}
	r.items, r.source = items, fmt.Sprintf("S3://%s/%s", bucket, key)
	return nil
}

// dispatch starts children as concurrency and the rate of starts allow.
func (r *mapRun) dispatch() {
	e := r.v.engine()
	for !r.closed && !r.waiting && r.running < r.limit && r.next < len(r.order) {
		now := e.host.Now()
		if now.Before(r.earliest) {
			r.waiting = true
			e.after(r.earliest.Sub(now), func() {
				r.waiting = false
				r.dispatch()
			})
			return
		}
		r.earliest = now.Add(dispatchTime)
		r.startChild(r.order[r.next])
	}
	if !r.closed && r.over == len(r.items) {
		r.succeed()
	}
}

func (r *mapRun) startChild(i int) {
	parent, e := r.v.b.x, r.v.engine()
	if x := r.children[i]; x != nil {
		r.next++
		r.running++
		x.redrive()
		return
	}
	in, f := r.v.selected(itemContext(i, r.items[i], r.source))
	if f != nil {
		r.fail(f)
		return
	}
	name := e.host.UUID()
	arn, _ := executionARN(parent.MachineARN+"/"+r.label, name)
	x := &Execution{ARN: arn, Name: name, MachineARN: parent.MachineARN, MachineName: parent.MachineName,
		RoleARN: parent.RoleARN, Label: r.label, Parent: parent, MapRunARN: r.arn, engine: e, machine: parent.machine,
		flow: r.v.s.mapping.processor, input: in, run: r, index: i}
	r.children[i] = x
	r.next++
	r.running++
	e.stats.Transitions++
	e.begin(x)
}

// ended takes the end of a child.
func (r *mapRun) ended(x *Execution) {
	if r.closed {
		return
	}
	r.running--
	r.over++
	if x.Status == Failed || x.Status == TimedOut {
		r.failed++
		if r.exceeded() {
			r.fail(faultf(errThreshold, "The specified tolerated failure threshold was exceeded"))
			return
		}
	}
	r.dispatch()
}

// exceeded: without any tolerance the first failure is too many; with both, either of them is.
func (r *mapRun) exceeded() bool {
	if !r.share.set && !r.count.set {
		return r.failed > 0
	}
	return r.count.set && float64(r.failed) > r.count.value ||
		r.share.set && float64(r.failed)*100 > r.share.value*float64(len(r.items))
}

// succeed ends the run with what the state puts out: the results, or where they were written.
func (r *mapRun) succeed() {
	r.closed = true
	out, f := r.output()
	v := r.v
	if f == nil {
		f = v.b.x.tooLarge(out, "the result of the Map state")
	}
	if f != nil {
		r.report(f)
		return
	}
	v.run = nil
	v.b.emit(record{typ: "MapRunSucceeded", s: v.s})
	v.b.emitAside(record{typ: "MapStateSucceeded", s: v.s})
	v.started = false
	v.succeed(out)
}

func (r *mapRun) output() (*payload, *fault) {
	if r.v.s.mapping.writer != nil {
		return r.write()
	}
	results := make([]any, len(r.children))
	for i, x := range r.children {
		if x.Status != Succeeded {
			results[i] = x.row()
			continue
		}
		results[i] = x.result.v
	}
	return newPayload(results), nil
}

// fail aborts the children that run, exports what there is and hands the failure to the state.
func (r *mapRun) fail(f *fault) {
	if r.closed {
		return
	}
	r.abort(false)
	if r.v.s.mapping.writer != nil && r.children != nil {
		// The run has failed already: a writer that fails as well changes nothing.
		_, _ = r.write()
	}
	r.report(f)
}

func (r *mapRun) report(f *fault) {
	v := r.v
	v.run = nil
	if f.name != errDataLimit && f.name != errRuntime { // after these a redrive begins a new run
		v.haltedRun = r
	}
	v.b.emit(record{typ: "MapRunFailed", s: v.s, fault: f})
	v.fail(f)
}

// abort stops all children that run.
func (r *mapRun) abort(loud bool) {
	if r.closed {
		return
	}
	r.closed = true
	for _, x := range r.children {
		if x != nil {
			x.finish(Aborted, nil, nil)
		}
	}
	if loud {
		r.v.b.emit(record{typ: "MapRunAborted", s: r.v.s})
	}
}

// write exports the results: one file for each status that occurs, and a manifest.
func (r *mapRun) write() (*payload, *fault) {
	prefix := r.prefix
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	prefix += r.arn[strings.LastIndexByte(r.arn, ':')+1:] + "/"
	files := map[string]any{}
	for _, status := range []string{"SUCCEEDED", "FAILED", "PENDING"} {
		list := []any{}
		if rows := r.rows(status); len(rows) > 0 {
			body := encode(rows)
			key := prefix + status + "_0.json"
			if f := r.put(key, body); f != nil {
				return nil, f
			}
			list = append(list, map[string]any{"Key": key, "Size": float64(len(body))})
		}
		files[status] = list
	}
	manifest := map[string]any{"DestinationBucket": r.bucket, "MapRunArn": r.arn, "ResultFiles": files}
	key := prefix + "manifest.json"
	if f := r.put(key, encode(manifest)); f != nil {
		return nil, f
	}
	return newPayload(map[string]any{"MapRunArn": r.arn,
		"ResultWriterDetails": map[string]any{"Bucket": r.bucket, "Key": key}}), nil
}

func (r *mapRun) put(key string, body json.RawMessage) *fault {
	if failure := r.v.engine().host.PutObject(r.v.b.x.ARN, r.bucket, key, body); failure != nil {
		return faultf(errResultWriter, "s3://%s/%s: %s: %s", r.bucket, key, failure.Error, failure.Cause)
	}
	return nil
}

// rows are the records of one file: what succeeded, what ended otherwise, what was never started.
func (r *mapRun) rows(status string) []any {
	var rows []any
	for i, x := range r.children {
		switch {
		case x == nil && status == "PENDING":
			in, f := r.v.selected(itemContext(i, r.items[i], r.source))
			if f == nil {
				rows = append(rows, map[string]any{"Input": string(in.json()), "InputDetails": included(),
					"Status": "PENDING"})
			}
		case x != nil && (x.Status == Succeeded) == (status == "SUCCEEDED") && status != "PENDING":
			rows = append(rows, x.row())
		}
	}
	return rows
}

func included() map[string]any { return map[string]any{"Included": true} }

// row is a child in the form of ResultWriter's transformation NONE.
func (x *Execution) row() map[string]any {
	row := map[string]any{
		"ExecutionArn": x.ARN, "Name": x.Name, "Status": string(x.Status), "StateMachineArn": x.MachineARN,
		"Input": string(x.Input), "InputDetails": included(),
		"StartDate": formatTime(x.Start), "StopDate": formatTime(x.Stop),
		"RedriveCount": float64(x.Redrives), "RedriveStatus": "REDRIVABLE_BY_MAP_RUN",
	}
	if x.Status == Succeeded {
		row["Output"], row["OutputDetails"], row["RedriveStatus"] = string(x.Output), included(), "NOT_REDRIVABLE"
		return row
	}
	if x.Error != "" {
		row["Error"] = x.Error
	}
	if x.Cause != "" {
		row["Cause"] = x.Cause
	}
	return row
}
