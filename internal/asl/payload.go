package asl

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxPayload is the largest input or output of a task, state or execution, in bytes of UTF-8.
// Source: Step Functions quotas, "Input or output size for a task, state, or execution", 256 KiB.
const maxPayload = 262_144

// payload is a JSON value that travels between states: decoded, and encoded at most once. Neither form is ever
// written to after it was made, so that states, histories and variables share them freely.
type payload struct {
	v   any // nil, bool, float64, string, []any, map[string]any
	raw json.RawMessage
}

func newPayload(v any) *payload { return &payload{v: v} }

// decodePayload fails when raw is not one JSON value.
func decodePayload(raw json.RawMessage) (*payload, error) {
	p := &payload{raw: raw}
	if err := json.Unmarshal(raw, &p.v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return p, nil
}

func (p *payload) json() json.RawMessage {
	if p.raw == nil {
		p.raw = encode(p.v)
	}
	return p.raw
}

// encode writes v compactly, keys sorted, so that equal values have equal bytes.
func encode(v any) json.RawMessage { return appendJSON(make([]byte, 0, 128), v) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case float64:
		return appendNumber(b, v)
	case string:
		return appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case map[string]any:
		return appendObject(b, v)
	}
	// Unreachable: payloads are made by encoding/json and by this package from the six types above.
	return append(b, "null"...)
}

func appendObject(b []byte, m map[string]any) []byte {
	var space [16]string
	keys := space[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		b = appendJSON(b, m[k])
	}
	return append(b, '}')
}

func appendNumber(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		b = appendEscape(b, c)
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// equalValues compares as JSON does: numbers by value, objects without regard to order.
func equalValues(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValues)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equalValues(v, w) {
				return false
			}
		}
		return true
	}
	if _, ok := b.([]any); ok {
		return false
	}
	if _, ok := b.(map[string]any); ok {
		return false
	}
	return a == b
}
