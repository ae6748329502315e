package runinput

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// SchemaID names the JSON schema of the run input.
const SchemaID = "urn:ec2patch:run-input:1"

// Schema is the JSON schema (draft 2020-12) of the run input, made of the same
// table that ParseInput checks with. What it cannot say is left to ParseInput:
// unique wave names, known partitions, and the size of the whole.
func Schema() []byte {
	w := schemaWriter{defined: map[string]bool{}}
	root := w.object(runShape(HubDefaults()))
	root = append(root, pair{"oneOf", inputForms()})
	root = append(root, pair{"not", pairs{{"required", []string{"approval", "approvalRequired"}}}})
	head := pairs{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", SchemaID},
		{"title", "ec2patch run input"},
	}
	return asciiJSON(append(append(head, root...), pair{"$defs", w.defs}))
}

// inputForms says which fields of the top level exclude each other.
func inputForms() []pairs {
	none := func(keys ...string) pairs {
		var out pairs
		for _, key := range keys {
			out = append(out, pair{key, false})
		}
		return out
	}
	return []pairs{
		{{"required", []string{"waves"}}, {"properties", none(append(flatKeys(), "accountWaves")...)}},
		{{"required", []string{"accountWaves"}}, {"properties", none(append(flatKeys(), "waves")...)}},
		{{"required", []string{"accounts", "regions"}},
			{"properties", append(pairs{{"accounts", pairs{{"minItems", 1}}}}, none("waves", "accountWaves")...)}},
	}
}

// pairs is a JSON object that keeps the order of its keys.
type pairs []pair

type pair struct {
	key   string
	value any
}

// MarshalJSON writes the keys in their order.
func (ps pairs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range ps {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", p.key, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemaWriter turns shapes into schemas; named shapes are written once.
type schemaWriter struct {
	defs    pairs
	defined map[string]bool
}

func (w *schemaWriter) schema(s shape) pairs {
	if s.ref == "" {
		return w.plain(s)
	}
	if !w.defined[s.ref] {
		w.defined[s.ref] = true
		body := w.plain(s)
		w.defs = append(w.defs, pair{s.ref, body})
	}
	return pairs{{"$ref", "#/$defs/" + s.ref}}
}

func (w *schemaWriter) plain(s shape) pairs {
	switch s.form {
	case formInteger:
		return pairs{{"type", "integer"}, {"minimum", s.min}, {"maximum", s.max}}
	case formFlag:
		return pairs{{"type", "boolean"}}
	case formList:
		return w.list(s)
	case formMap:
		return pairs{{"type", "object"}, {"maxProperties", s.max}, {"propertyNames", w.schema(*s.keys)},
			{"additionalProperties", w.schema(*s.items)}}
	case formObject:
		return w.object(s)
	}
	if len(s.options) > 0 {
		return pairs{{"type", "string"}, {"enum", s.options}}
	}
	out := pairs{{"type", "string"}, {"pattern", s.pattern.String()}}
	if len(s.reserved) > 0 {
		out = append(out, pair{"not", pairs{{"enum", s.reserved}}})
	}
	return out
}

func (w *schemaWriter) list(s shape) pairs {
	out := pairs{{"type", "array"}, {"items", w.schema(*s.items)}}
	if s.min > 0 {
		out = append(out, pair{"minItems", s.min})
	}
	out = append(out, pair{"maxItems", s.max})
	if s.unique {
		out = append(out, pair{"uniqueItems", true})
	}
	return out
}

func (w *schemaWriter) object(s shape) pairs {
	var properties pairs
	var required []string
	for _, f := range s.fields {
		value := append(pairs{{"description", f.doc}}, w.schema(f.shape)...)
		if json.Valid([]byte(f.def)) {
			value = append(value, pair{"default", json.RawMessage(f.def)})
		}
		properties = append(properties, pair{f.name, value})
		if f.required && f.only == everyForm {
			required = append(required, f.name)
		}
	}
	out := pairs{{"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		out = append(out, pair{"required", required})
	}
	out = append(out, pair{"additionalProperties", false})
	if len(s.oneFilled) > 0 {
		out = append(out, pair{"anyOf", filled(s.oneFilled)})
	}
	return out
}

// filled asks for an entry in at least one of the lists.
func filled(names []string) []pairs {
	var out []pairs
	for _, name := range names {
		out = append(out, pairs{{"required", []string{name}}, {"properties", pairs{{name, pairs{{"minItems", 1}}}}}})
	}
	return out
}

// asciiJSON writes the value indented and in ASCII alone: the patterns name
// characters that nobody would see in the file.
func asciiJSON(value pairs) []byte {
	plain, err := value.MarshalJSON()
	if err != nil {
		return nil // not reached: pairs hold text, numbers, flags and valid JSON
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, plain, "", "  "); err != nil {
		return nil // not reached: MarshalJSON writes JSON
	}
	var out strings.Builder
	for _, r := range indented.String() {
		if r < 0x7f {
			out.WriteRune(r)
			continue
		}
		fmt.Fprintf(&out, `\u%04x`, r)
	}
	out.WriteByte('\n')
	return []byte(out.String())
}
