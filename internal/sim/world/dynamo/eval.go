package dynamo

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Binding gives the placeholders of a request their meaning.
type Binding struct {
	Names  map[string]string
	Values Item
}

// Bind checks the placeholders of a request against its expressions, as
// DynamoDB does: none may be undefined and none unused. nil expressions do not count.
func Bind(names map[string]string, values Item, expressions ...*Expression) (*Binding, error) {
	used := slices.DeleteFunc(slices.Clone(expressions), func(e *Expression) bool { return e == nil })
	if err := checkPlaceholders(names, values, len(used) > 0); err != nil {
		return nil, err
	}
	for _, e := range used {
		for _, n := range e.names {
			if _, ok := names[n]; !ok {
				return nil,
					Invalid("Invalid %s: An expression attribute name used in the document path is not defined; attribute name: %s",
						e.kind, n)
			}
		}
		for _, v := range e.values {
			if _, ok := values[v]; !ok {
				return nil,
					Invalid("Invalid %s: An expression attribute value used in expression is not defined; attribute value: %s", e.kind,
						v)
			}
		}
	}
	if err := checkUnused(names, values, used); err != nil {
		return nil, err
	}
	b := &Binding{Names: names}
	if len(values) > 0 {
		own, err := CopyItem(values)
		if err != nil {
			return nil, err
		}
		b.Values = own
	}
	for _, e := range used {
		if err := b.check(e.kind, e.Cond); err != nil {
			return nil, err
		}
		if err := b.checkOverlap(e.kind, e.paths); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func checkPlaceholders(names map[string]string, values Item, expressions bool) error {
	switch {
	case names != nil && !expressions:
		return Invalid("ExpressionAttributeNames can only be specified when using expressions")
	case values != nil && !expressions:
		return Invalid("ExpressionAttributeValues can only be specified when using expressions")
	case names != nil && len(names) == 0:
		return Invalid("ExpressionAttributeNames must not be empty")
	case values != nil && len(values) == 0:
		return Invalid("ExpressionAttributeValues must not be empty")
	}
	return nil
}

func checkUnused(names map[string]string, values Item, used []*Expression) error {
	var unused []string
	for n := range names {
		if !slices.ContainsFunc(used, func(e *Expression) bool { return slices.Contains(e.names, n) }) {
			unused = append(unused, n)
		}
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		return Invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}",
			strings.Join(unused, ", "))
	}
	for v := range values {
		if !slices.ContainsFunc(used, func(e *Expression) bool { return slices.Contains(e.values, v) }) {
			unused = append(unused, v)
		}
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		return Invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}",
			strings.Join(unused, ", "))
	}
	return nil
}

// check refuses literal operands that no item could ever satisfy.
func (b *Binding) check(kind string, c *Condition) error {
	if c == nil {
		return nil
	}
	for _, child := range c.Children {
		if err := b.check(kind, child); err != nil {
			return err
		}
	}
	for i, o := range c.Operands {
		if o.Value == "" {
			continue
		}
		if t := TypeName(b.Values[o.Value]); !literalFits(c.Op, i, t) {
			return Invalid("Invalid %s: Incorrect operand type for operator or function; operator or function: %s, operand "+
				"type: %s", kind, c.Op, t)
		}
	}
	switch c.Op {
	case "BETWEEN":
		return b.checkBetween(kind, c)
	case "attribute_type":
		if s, ok := b.Values[c.Operands[1].Value].(*ddb.AttributeValueMemberS); !ok ||
			!slices.Contains(typeNames(), s.Value) {
			return Invalid("Invalid %s: Invalid attribute type name found; valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", kind)
		}
	}
	return nil
}

func typeNames() []string { return []string{"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"} }

// literalFits tells whether a literal of a type may stand at a place of an operator.
func literalFits(op string, at int, t string) bool {
	switch op {
	case "<", "<=", ">", ">=", "BETWEEN":
		return t == "S" || t == "N" || t == "B"
	case "begins_with":
		return t == "S" || (t == "B" && at == 1)
	}
	return true
}

func (b *Binding) checkBetween(kind string, c *Condition) error {
	low, high := b.Values[c.Operands[1].Value], b.Values[c.Operands[2].Value]
	if low == nil || high == nil {
		return nil
	}
	if TypeName(low) != TypeName(high) {
		return Invalid("Invalid %s: The BETWEEN operator requires same data type for lower and upper bounds; lower bound "+
			"operand: %s, upper bound operand: %s",
			kind, describe(low), describe(high))
	}
	if order, _ := CompareValues(low, high); order > 0 {
		return Invalid("Invalid %s: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "+
			"lower bound operand: %s, upper bound operand: %s",
			kind, describe(low), describe(high))
	}
	return nil
}

// Name is the attribute that a step of a path means.
func (b *Binding) Name(s pathStep) string {
	if s.name != "" && s.name[0] == '#' {
		return b.Names[s.name]
	}
	return s.name
}

// find follows a path into an item; nil when it leads nowhere.
func (b *Binding) find(in Item, path docPath) Value {
	var v Value
	for i, s := range path {
		if s.index >= 0 {
			list, ok := v.(*ddb.AttributeValueMemberL)
			if !ok || s.index >= len(list.Value) {
				return nil
			}
			v = list.Value[s.index]
			continue
		}
		m := in
		if i > 0 {
			inner, ok := v.(*ddb.AttributeValueMemberM)
			if !ok {
				return nil
			}
			m = inner.Value
		}
		v = m[b.Name(s)]
		if v == nil {
			return nil
		}
	}
	return v
}

// operand is the value of an operand, nil for an attribute that is not there.
func (b *Binding) operand(in Item, o Operand) Value {
	if o.Path == nil {
		return b.Values[o.Value]
	}
	v := b.find(in, o.Path)
	if v == nil || !o.Size {
		return v
	}
	n, ok := sizeOf(v)
	if !ok {
		return nil
	}
	return &ddb.AttributeValueMemberN{Value: strconv.Itoa(n)}
}

// sizeOf is what the function size says. Source: D23:OperatorsAndFunctions.
func sizeOf(v Value) (int, bool) {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return len(v.Value), true
	case *ddb.AttributeValueMemberB:
		return len(v.Value), true
	case *ddb.AttributeValueMemberL:
		return len(v.Value), true
	case *ddb.AttributeValueMemberM:
		return len(v.Value), true
	}
	kind, members := SetMembers(v)
	return len(members), kind != ""
}

// Holds evaluates a condition on an item; nil holds always.
func (b *Binding) Holds(in Item, c *Condition) bool {
	if c == nil {
		return true
	}
	switch c.Op {
	case "AND":
		return !slices.ContainsFunc(c.Children, func(d *Condition) bool { return !b.Holds(in, d) })
	case "OR":
		return slices.ContainsFunc(c.Children, func(d *Condition) bool { return b.Holds(in, d) })
	case "NOT":
		return !b.Holds(in, c.Children[0])
	}
	left := b.operand(in, c.Operands[0])
	switch c.Op {
	case "attribute_exists":
		return left != nil
	case "attribute_not_exists":
		return left == nil
	case "IN":
		return left != nil && slices.ContainsFunc(c.Operands[1:], func(o Operand) bool {
			return equalValues(left, b.operand(in, o))
		})
	case "BETWEEN":
		return ordered(left, ">=", b.operand(in, c.Operands[1])) && ordered(left, "<=", b.operand(in, c.Operands[2]))
	}
	right := b.operand(in, c.Operands[1])
	switch c.Op {
	case "=":
		return left != nil && right != nil && equalValues(left, right)
	case "<>":
		// An attribute that is not there differs from every value.
		return left == nil || right == nil || !equalValues(left, right)
	case "attribute_type":
		s, ok := right.(*ddb.AttributeValueMemberS)
		return left != nil && ok && TypeName(left) == s.Value
	case "begins_with":
		return beginsWith(left, right)
	case "contains":
		return contains(left, right)
	}
	return ordered(left, c.Op, right)
}

// ordered compares two values of one type; false for anything else.
func ordered(a Value, op string, b Value) bool {
	order, ok := CompareValues(a, b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func beginsWith(v, prefix Value) bool {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		p, ok := prefix.(*ddb.AttributeValueMemberS)
		return ok && strings.HasPrefix(v.Value, p.Value)
	case *ddb.AttributeValueMemberB:
		p, ok := prefix.(*ddb.AttributeValueMemberB)
		return ok && bytes.HasPrefix(v.Value, p.Value)
	}
	return false
}

// contains is a substring, a member of a set or an element of a list.
func contains(v, part Value) bool {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		p, ok := part.(*ddb.AttributeValueMemberS)
		return ok && strings.Contains(v.Value, p.Value)
	case *ddb.AttributeValueMemberB:
		p, ok := part.(*ddb.AttributeValueMemberB)
		return ok && bytes.Contains(v.Value, p.Value)
	case *ddb.AttributeValueMemberL:
		return part != nil && slices.ContainsFunc(v.Value, func(e Value) bool { return equalValues(e, part) })
	case *ddb.AttributeValueMemberSS:
		p, ok := part.(*ddb.AttributeValueMemberS)
		return ok && slices.Contains(v.Value, p.Value)
	case *ddb.AttributeValueMemberNS:
		p, ok := part.(*ddb.AttributeValueMemberN)
		return ok && slices.Contains(v.Value, p.Value)
	case *ddb.AttributeValueMemberBS:
		p, ok := part.(*ddb.AttributeValueMemberB)
		return ok && slices.ContainsFunc(v.Value, func(e []byte) bool { return bytes.Equal(e, p.Value) })
	}
	return false
}
