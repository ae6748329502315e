package asl

import (
	"maps"
	"slices"
)

// maxInline is how many iterations of an inline Map run at once. Source: Developer Guide, "Inline mode", about 40.
const maxInline = 40

// mapInput is one item with its place in the context object.
type mapInput struct {
	key   string // of an object's member
	keyed bool
	value any
}

func (v *visit) beginMap() {
	if v.s.mapping.distributed {
		v.beginMapRun()
		return
	}
	m := v.s.mapping
	value, f := v.mapItems()
	var items []any
	if f == nil {
		var ok bool
		if items, ok = value.([]any); !ok {
			f = runtimeFault("the items of a Map state must be an array")
		}
	}
	limit := float64(maxInline)
	if f == nil && m.concurrency.set {
		limit, f = v.number(m.concurrency, "MaxConcurrencyPath", 0, maxSeconds)
		if limit == 0 || limit > maxInline {
			limit = maxInline
		}
	}
	if f != nil {
		v.failEarly(f)
		return
	}
	v.b.emit(record{typ: "MapStateStarted", s: v.s, number: int32(len(items))})
	v.started = true
	v.kids = &kids{v: v, names: true, make: func(i int) (*branch, *payload, *fault) {
		item := itemContext(i, mapInput{value: items[i]}, "STATE_DATA")
		in, f := v.selected(item)
		return &branch{flow: m.processor, item: item}, in, f
	}}
	v.kids.begin(len(items), int(limit))
}

func (v *visit) mapItems() (any, *fault) {
	if v.s.mapping.items == nil {
		return v.effective.v, nil
	}
	return v.s.mapping.items.eval(v.scope(v.effective.v))
}

// itemContext is $$.Map.Item.
func itemContext(i int, in mapInput, source string) map[string]any {
	out := map[string]any{"Index": float64(i), "Value": in.value, "Source": source}
	if in.keyed {
		out["Key"] = in.key
	}
	return out
}

// selected is the input of one iteration or child: the item, or what ItemSelector makes of it and of the state's input.
func (v *visit) selected(item map[string]any) (*payload, *fault) {
	if v.s.mapping.selector == nil {
		return newPayload(item["Value"]), nil
	}
	s := v.scope(v.effective.v)
	s.context = func() map[string]any {
		out := maps.Clone(v.contextObject())
		out["Map"] = map[string]any{"Item": item}
		return out
	}
	out, f := v.s.mapping.selector.eval(s)
	return newPayload(out), f
}

// inputsOf lists the items of a distributed map: those of an array, or the members of an object by key.
func inputsOf(value any) ([]mapInput, bool) {
	switch value := value.(type) {
	case []any:
		out := make([]mapInput, len(value))
		for i, item := range value {
			out[i].value = item
		}
		return out, true
	case map[string]any:
		out := make([]mapInput, 0, len(value))
		for _, k := range slices.Sorted(maps.Keys(value)) {
			out = append(out, mapInput{key: k, keyed: true, value: value[k]})
		}
		return out, true
	}
	return nil, false
}
