package dynamo

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// value is one attribute of an item; item is one row, or what an update makes
// of it. Values that are stored are never written to.
type (
	Value = ddb.AttributeValue
	Item  = map[string]ddb.AttributeValue
)

// maxNesting is how deep lists and maps may stand in each other. Source: D23:ServiceQuotas.
const maxNesting = 32

// validation is the error that DynamoDB answers to a request that is wrong in itself.
func Invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...),
		Fault: smithy.FaultClient}
}

// CopyItem is a copy of a request's item with its numbers in canonical form, or
// the reason why DynamoDB refuses it.
func CopyItem(in Item) (Item, error) {
	out := make(Item, len(in))
	var failed bool
	for name, v := range in {
		c, err := CopyValue(v, 0)
		if err != nil {
			failed = true
			break
		}
		out[name] = c
	}
	if !failed {
		return out, nil
	}
	// The first refusal by name, whatever the order in which the map was ranged.
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if _, err := CopyValue(in[name], 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CopyValue is such a copy of one value, which stands so deep in its item.
func CopyValue(v Value, depth int) (Value, error) {
	if depth > maxNesting {
		return nil,
			Invalid("Nesting Levels have exceeded supported limits: Attributes nesting level cannot exceed %d", maxNesting)
	}
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return &ddb.AttributeValueMemberS{Value: v.Value}, nil
	case *ddb.AttributeValueMemberN:
		n, err := canonicalNumber(v.Value)
		return &ddb.AttributeValueMemberN{Value: n}, err
	case *ddb.AttributeValueMemberB:
		return &ddb.AttributeValueMemberB{Value: bytes.Clone(v.Value)}, nil
	case *ddb.AttributeValueMemberBOOL:
		return &ddb.AttributeValueMemberBOOL{Value: v.Value}, nil
	case *ddb.AttributeValueMemberNULL:
		if !v.Value {
			return nil,
				Invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return &ddb.AttributeValueMemberNULL{Value: true}, nil
	case *ddb.AttributeValueMemberL:
		return copyList(v.Value, depth)
	case *ddb.AttributeValueMemberM:
		return copyMap(v.Value, depth)
	case *ddb.AttributeValueMemberSS, *ddb.AttributeValueMemberNS, *ddb.AttributeValueMemberBS:
		return copySet(v)
	}
	return nil, Invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func copyList(in []Value, depth int) (Value, error) {
	out := make([]Value, len(in))
	for i, v := range in {
		c, err := CopyValue(v, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return &ddb.AttributeValueMemberL{Value: out}, nil
}

func copyMap(in Item, depth int) (Value, error) {
	out := make(Item, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		c, err := CopyValue(in[name], depth+1)
		if err != nil {
			return nil, err
		}
		out[name] = c
	}
	return &ddb.AttributeValueMemberM{Value: out}, nil
}

func copySet(v Value) (Value, error) {
	kind, members := SetMembers(v)
	if len(members) == 0 {
		return nil, Invalid("One or more parameter values were invalid: An %s set may not be empty", setName(kind))
	}
	clean := make([]string, 0, len(members))
	for _, m := range members {
		if kind == "NS" {
			n, err := canonicalNumber(m)
			if err != nil {
				return nil, err
			}
			m = n
		}
		if slices.Contains(clean, m) {
			return nil,
				Invalid("One or more parameter values were invalid: Input collection [%s] contains duplicates.",
					strings.Join(members, ", "))
		}
		clean = append(clean, m)
	}
	return makeSet(kind, clean), nil
}

func setName(kind string) string {
	return map[string]string{"SS": "string", "NS": "number", "BS": "binary"}[kind]
}

// SetMembers are the members of a set as strings; no kind for what is no set.
func SetMembers(v Value) (kind string, members []string) {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberSS:
		return "SS", v.Value
	case *ddb.AttributeValueMemberNS:
		return "NS", v.Value
	case *ddb.AttributeValueMemberBS:
		for _, b := range v.Value {
			members = append(members, string(b))
		}
		return "BS", members
	}
	return "", nil
}

func makeSet(kind string, members []string) Value {
	switch kind {
	case "SS":
		return &ddb.AttributeValueMemberSS{Value: members}
	case "NS":
		return &ddb.AttributeValueMemberNS{Value: members}
	}
	set := make([][]byte, len(members))
	for i, m := range members {
		set[i] = []byte(m)
	}
	return &ddb.AttributeValueMemberBS{Value: set}
}

// CloneItem is a copy for a caller, who may write to it. The values come from
// a stored item, which was checked when it was written.
func CloneItem(in Item) Item {
	if in == nil {
		return nil
	}
	out := make(Item, len(in))
	for name, v := range in {
		out[name] = CloneValue(v)
	}
	return out
}

// CloneValue is a copy of a value that is stored.
func CloneValue(v Value) Value {
	c, err := CopyValue(v, 0)
	if err != nil {
		return v // cannot happen: stored values passed the same check
	}
	return c
}

// TypeName is DynamoDB's short name of a value's type.
func TypeName(v Value) string {
	switch v.(type) {
	case *ddb.AttributeValueMemberS:
		return "S"
	case *ddb.AttributeValueMemberN:
		return "N"
	case *ddb.AttributeValueMemberB:
		return "B"
	case *ddb.AttributeValueMemberBOOL:
		return "BOOL"
	case *ddb.AttributeValueMemberNULL:
		return "NULL"
	case *ddb.AttributeValueMemberL:
		return "L"
	case *ddb.AttributeValueMemberM:
		return "M"
	}
	kind, _ := SetMembers(v)
	return kind
}

// equalValues compares by type and content; sets without regard to order.
func equalValues(a, b Value) bool {
	switch x := a.(type) {
	case *ddb.AttributeValueMemberBOOL:
		y, ok := b.(*ddb.AttributeValueMemberBOOL)
		return ok && x.Value == y.Value
	case *ddb.AttributeValueMemberNULL:
		_, ok := b.(*ddb.AttributeValueMemberNULL)
		return ok
	case *ddb.AttributeValueMemberL:
		y, ok := b.(*ddb.AttributeValueMemberL)
		return ok && slices.EqualFunc(x.Value, y.Value, equalValues)
	case *ddb.AttributeValueMemberM:
		y, ok := b.(*ddb.AttributeValueMemberM)
		return ok && maps.EqualFunc(x.Value, y.Value, equalValues)
	}
	if order, ok := CompareValues(a, b); ok {
		return order == 0
	}
	kindA, setA := SetMembers(a)
	kindB, setB := SetMembers(b)
	if kindA == "" || kindA != kindB || len(setA) != len(setB) {
		return false
	}
	for _, m := range setA {
		if !slices.Contains(setB, m) {
			return false
		}
	}
	return true
}

// CompareValues orders two strings, two numbers or two binaries; nothing else has an order.
func CompareValues(a, b Value) (order int, ok bool) {
	switch x := a.(type) {
	case *ddb.AttributeValueMemberS:
		if y, ok := b.(*ddb.AttributeValueMemberS); ok {
			return strings.Compare(x.Value, y.Value), true
		}
	case *ddb.AttributeValueMemberN:
		if y, ok := b.(*ddb.AttributeValueMemberN); ok {
			return compareNumbers(x.Value, y.Value), true
		}
	case *ddb.AttributeValueMemberB:
		if y, ok := b.(*ddb.AttributeValueMemberB); ok {
			return bytes.Compare(x.Value, y.Value), true
		}
	}
	return 0, false
}

// ItemSize is what an item counts against the limit of 400 KB: names and values.
// Source: D23:CapacityUnitCalculations.
func ItemSize(in Item) int {
	size := 0
	for name, v := range in {
		size += len(name) + valueSize(v)
	}
	return size
}

func valueSize(v Value) int {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return len(v.Value)
	case *ddb.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *ddb.AttributeValueMemberB:
		return len(v.Value)
	case *ddb.AttributeValueMemberL:
		size := 3
		for _, e := range v.Value {
			size += 1 + valueSize(e)
		}
		return size
	case *ddb.AttributeValueMemberM:
		return 3 + len(v.Value) + ItemSize(v.Value)
	}
	kind, members := SetMembers(v)
	if kind == "" {
		return 1
	}
	size := 0
	for _, m := range members {
		size += len(m)
	}
	return size
}

// describe names a value in an error text.
func describe(v Value) string {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return fmt.Sprintf("{S:%s}", v.Value)
	case *ddb.AttributeValueMemberN:
		return fmt.Sprintf("{N:%s}", v.Value)
	}
	return "{" + TypeName(v) + "}"
}
