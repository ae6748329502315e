package asl

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the intrinsic functions. Source: Developer Guide, "Intrinsic functions", read 2026-11.
const (
	maxRange    = 1_000
	maxHashText = 10_000
)

// intrinsic describes one function; max -1 means any number of arguments.
type intrinsic struct {
	name     string
	min, max int
	run      func(s *scope, args []any) (any, error)
	check    func(args []expr) error // what can be told when the machine is loaded
}

func (f intrinsic) arity() string {
	switch {
	case f.max < 0:
		return fmt.Sprintf("at least %d argument(s)", f.min)
	case f.min == f.max:
		return fmt.Sprintf("%d argument(s)", f.min)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

// findIntrinsic knows the eighteen functions of JSONPath mode.
func findIntrinsic(name string) (intrinsic, bool) {
	all := [...]intrinsic{
		{name: "Array", max: -1, run: array},
		{name: "ArrayContains", min: 2, max: 2, run: arrayContains},
		{name: "ArrayGetItem", min: 2, max: 2, run: arrayGetItem},
		{name: "ArrayLength", min: 1, max: 1, run: arrayLength},
		{name: "ArrayPartition", min: 2, max: 2, run: arrayPartition},
		{name: "ArrayRange", min: 3, max: 3, run: arrayRange},
		{name: "ArrayUnique", min: 1, max: 1, run: arrayUnique},
		{name: "Base64Decode", min: 1, max: 1, run: base64Decode},
		{name: "Base64Encode", min: 1, max: 1, run: base64Encode},
		{name: "Format", min: 1, max: -1, run: format, check: checkFormat},
		{name: "Hash", min: 2, max: 2, run: hashText, check: checkHash},
		{name: "JsonMerge", min: 3, max: 3, run: jsonMerge, check: checkMerge},
		{name: "JsonToString", min: 1, max: 1, run: jsonToString},
		{name: "MathAdd", min: 2, max: 2, run: mathAdd},
		{name: "MathRandom", min: 2, max: 3, run: mathRandom},
		{name: "StringSplit", min: 2, max: 2, run: stringSplit},
		{name: "StringToJson", min: 1, max: 1, run: stringToJSON},
		{name: "UUID", run: func(s *scope, _ []any) (any, error) { return s.host.UUID(), nil }},
	}
	i := slices.IndexFunc(all[:], func(f intrinsic) bool { return f.name == name })
	if i < 0 {
		return intrinsic{}, false
	}
	return all[i], true
}

func listArg(v any) ([]any, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, errors.New("the argument must be an array")
	}
	return l, nil
}

func textArg(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errors.New("the argument must be a text")
	}
	return s, nil
}

// intArg wants a 32-bit whole number, as the arithmetic functions do.
func intArg(v any) (int, error) {
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || f < math.MinInt32 || f > math.MaxInt32 {
		return 0, errors.New("the argument must be a 32-bit whole number")
	}
	return int(f), nil
}

func array(_ *scope, args []any) (any, error) { return args, nil }

func arrayContains(_ *scope, args []any) (any, error) {
	l, err := listArg(args[0])
	if err != nil {
		return nil, err
	}
	return slices.ContainsFunc(l, func(v any) bool { return equalValues(v, args[1]) }), nil
}

func arrayGetItem(_ *scope, args []any) (any, error) {
	l, err := listArg(args[0])
	if err != nil {
		return nil, err
	}
	n, err := intArg(args[1])
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= len(l) {
		return nil, fmt.Errorf("index %d is outside an array of %d", n, len(l))
	}
	return l[n], nil
}

func arrayLength(_ *scope, args []any) (any, error) {
	l, err := listArg(args[0])
	return float64(len(l)), err
}

func arrayPartition(_ *scope, args []any) (any, error) {
	l, err := listArg(args[0])
	if err != nil {
		return nil, err
	}
	n, err := intArg(args[1])
	if err != nil || n <= 0 {
		return nil, errors.New("the size of a part must be a positive whole number")
	}
	out := []any{}
	for part := range slices.Chunk(l, n) {
		out = append(out, part)
	}
	return out, nil
}

func arrayRange(_ *scope, args []any) (any, error) {
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = intArg(args[i]); err != nil {
			return nil, err
		}
	}
	if n[2] <= 0 {
		return nil, errors.New("the step must be positive")
	}
	out := []any{}
	for v := n[0]; v <= n[1]; v += n[2] {
		if len(out) == maxRange {
			return nil, fmt.Errorf("more than %d elements", maxRange)
		}
		out = append(out, float64(v))
	}
	return out, nil
}

func arrayUnique(_ *scope, args []any) (any, error) {
	l, err := listArg(args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range l {
		if !slices.ContainsFunc(out, func(w any) bool { return equalValues(v, w) }) {
			out = append(out, v)
		}
	}
	return out, nil
}

func shortText(v any) (string, error) {
	s, err := textArg(v)
	if err == nil && utf8.RuneCountInString(s) > maxHashText {
		err = fmt.Errorf("more than %d characters", maxHashText)
	}
	return s, err
}

func base64Encode(_ *scope, args []any) (any, error) {
	s, err := shortText(args[0])
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

func base64Decode(_ *scope, args []any) (any, error) {
	s, err := shortText(args[0])
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err
}

func checkFormat(args []expr) error {
	t, ok := args[0].(*formatText)
	if !ok {
		return nil
	}
	if got, want := len(args)-1, len(t.parts)-1; got != want {
		return fmt.Errorf("the text has %d places {}, there are %d values", want, got)
	}
	return nil
}

func format(_ *scope, args []any) (any, error) {
	var parts []string
	switch t := args[0].(type) {
	case *formatText:
		parts = t.parts
	case string:
		parts = strings.Split(t, "{}")
	default:
		return nil, errors.New("the first argument must be a text")
	}
	if len(parts) != len(args) {
		return nil, fmt.Errorf("the text has %d places {}, there are %d values", len(parts)-1, len(args)-1)
	}
	var b strings.Builder
	b.WriteString(parts[0])
	for i, v := range args[1:] {
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case nil, bool, float64:
			b.Write(encode(v))
		default:
			return nil, errors.New("values must be texts, numbers, booleans or null")
		}
		b.WriteString(parts[i+1])
	}
	return b.String(), nil
}

func newHash(name string) hash.Hash {
	switch name {
	case "MD5":
		return md5.New()
	case "SHA-1":
		return sha1.New()
	case "SHA-256":
		return sha256.New()
	case "SHA-384":
		return sha512.New384()
	case "SHA-512":
		return sha512.New()
	}
	return nil
}

var errHashName = errors.New("the algorithm must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512")

func checkHash(args []expr) error {
	if t, ok := args[1].(*formatText); ok && newHash(t.text) == nil {
		return errHashName
	}
	return nil
}

func hashText(_ *scope, args []any) (any, error) {
	s, err := shortText(args[0])
	if err != nil {
		return nil, err
	}
	name, _ := args[1].(string)
	h := newHash(name)
	if h == nil {
		return nil, errHashName
	}
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil)), nil
}

var errDeepMerge = errors.New("the third argument must be false: deep merging does not exist")

func checkMerge(args []expr) error {
	if l, ok := args[2].(literalExpr); ok && l.value != false {
		return errDeepMerge
	}
	return nil
}

func jsonMerge(_ *scope, args []any) (any, error) {
	a, okA := args[0].(map[string]any)
	b, okB := args[1].(map[string]any)
	if !okA || !okB {
		return nil, errors.New("the first two arguments must be objects")
	}
	if args[2] != false {
		return nil, errDeepMerge
	}
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out, nil
}

func jsonToString(_ *scope, args []any) (any, error) { return string(encode(args[0])), nil }

func stringToJSON(_ *scope, args []any) (any, error) {
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	var v any
	err = json.Unmarshal([]byte(s), &v)
	return v, err
}

func mathAdd(_ *scope, args []any) (any, error) {
	a, err := intArg(args[0])
	if err != nil {
		return nil, err
	}
	b, err := intArg(args[1])
	if err != nil {
		return nil, err
	}
	return intResult(a + b)
}

func intResult(n int) (any, error) {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return nil, errors.New("the sum does not fit 32 bits")
	}
	return float64(n), nil
}

// mathRandom draws from start (included) to end (not included); a seed makes the draw repeatable.
func mathRandom(s *scope, args []any) (any, error) {
	var n [3]int
	for i := range args {
		var err error
		if n[i], err = intArg(args[i]); err != nil {
			return nil, err
		}
	}
	if n[0] >= n[1] {
		return nil, errors.New("the end must be above the start")
	}
	r := s.host.Rand()
	if len(args) == 3 {
		r = rand.New(rand.NewPCG(uint64(int64(n[2])), 0))
	}
	return float64(n[0] + r.IntN(n[1]-n[0])), nil
}

// stringSplit takes each character of the second argument as a separator; empty parts are dropped.
func stringSplit(_ *scope, args []any) (any, error) {
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	separators, err := textArg(args[1])
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		out = append(out, part)
	}
	return out, nil
}
