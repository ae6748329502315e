package world

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// binding gives the placeholders of a request their meaning.
type binding struct {
	names  map[string]string
	values item
}

// bind checks the placeholders of a request against its expressions, as
// DynamoDB does: none may be undefined and none unused. nil expressions do not count.
func bind(names map[string]string, values item, expressions ...*expression) (*binding, error) {
	used := slices.DeleteFunc(slices.Clone(expressions), func(e *expression) bool { return e == nil })
	if err := checkPlaceholders(names, values, len(used) > 0); err != nil {
		return nil, err
	}
	for _, e := range used {
		for _, n := range e.names {
			if _, ok := names[n]; !ok {
				return nil, validation("Invalid %s: An expression attribute name used in the document path is not defined; attribute name: %s", e.kind, n)
			}
		}
		for _, v := range e.values {
			if _, ok := values[v]; !ok {
				return nil, validation("Invalid %s: An expression attribute value used in expression is not defined; attribute value: %s", e.kind, v)
			}
		}
	}
	if err := checkUnused(names, values, used); err != nil {
		return nil, err
	}
	b := &binding{names: names}
	if len(values) > 0 {
		own, err := copyItem(values)
		if err != nil {
			return nil, err
		}
		b.values = own
	}
	for _, e := range used {
		if err := b.check(e.kind, e.cond); err != nil {
			return nil, err
		}
		if err := b.checkOverlap(e.kind, e.paths); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func checkPlaceholders(names map[string]string, values item, expressions bool) error {
	switch {
	case names != nil && !expressions:
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	case values != nil && !expressions:
		return validation("ExpressionAttributeValues can only be specified when using expressions")
	case names != nil && len(names) == 0:
		return validation("ExpressionAttributeNames must not be empty")
	case values != nil && len(values) == 0:
		return validation("ExpressionAttributeValues must not be empty")
	}
	return nil
}

func checkUnused(names map[string]string, values item, used []*expression) error {
	var unused []string
	for n := range names {
		if !slices.ContainsFunc(used, func(e *expression) bool { return slices.Contains(e.names, n) }) {
			unused = append(unused, n)
		}
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		return validation("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	for v := range values {
		if !slices.ContainsFunc(used, func(e *expression) bool { return slices.Contains(e.values, v) }) {
			unused = append(unused, v)
		}
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		return validation("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", strings.Join(unused, ", "))
	}
	return nil
}

// check refuses literal operands that no item could ever satisfy.
func (b *binding) check(kind string, c *condition) error {
	if c == nil {
		return nil
	}
	for _, child := range c.children {
		if err := b.check(kind, child); err != nil {
			return err
		}
	}
	for i, o := range c.operands {
		if o.value == "" {
			continue
		}
		if t := typeName(b.values[o.value]); !literalFits(c.op, i, t) {
			return validation("Invalid %s: Incorrect operand type for operator or function; operator or function: %s, operand type: %s", kind, c.op, t)
		}
	}
	switch c.op {
	case "BETWEEN":
		return b.checkBetween(kind, c)
	case "attribute_type":
		if s, ok := b.values[c.operands[1].value].(*ddb.AttributeValueMemberS); !ok || !slices.Contains(typeNames(), s.Value) {
			return validation("Invalid %s: Invalid attribute type name found; valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", kind)
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

func (b *binding) checkBetween(kind string, c *condition) error {
	low, high := b.values[c.operands[1].value], b.values[c.operands[2].value]
	if low == nil || high == nil {
		return nil
	}
	if typeName(low) != typeName(high) {
		return validation("Invalid %s: The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: %s, upper bound operand: %s",
			kind, describe(low), describe(high))
	}
	if order, _ := compareValues(low, high); order > 0 {
		return validation("Invalid %s: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: %s, upper bound operand: %s",
			kind, describe(low), describe(high))
	}
	return nil
}

// name is the attribute that a step of a path means.
func (b *binding) name(s pathStep) string {
	if s.name != "" && s.name[0] == '#' {
		return b.names[s.name]
	}
	return s.name
}

// find follows a path into an item; nil when it leads nowhere.
func (b *binding) find(in item, path docPath) value {
	var v value
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
		v = m[b.name(s)]
		if v == nil {
			return nil
		}
	}
	return v
}

// operand is the value of an operand, nil for an attribute that is not there.
func (b *binding) operand(in item, o operand) value {
	if o.path == nil {
		return b.values[o.value]
	}
	v := b.find(in, o.path)
	if v == nil || !o.size {
		return v
	}
	n, ok := sizeOf(v)
	if !ok {
		return nil
	}
	return &ddb.AttributeValueMemberN{Value: strconv.Itoa(n)}
}

// sizeOf is what the function size says. Source: D23:OperatorsAndFunctions.
func sizeOf(v value) (int, bool) {
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
	kind, members := setMembers(v)
	return len(members), kind != ""
}

// holds evaluates a condition on an item; nil holds always.
func (b *binding) holds(in item, c *condition) bool {
	if c == nil {
		return true
	}
	switch c.op {
	case "AND":
		return !slices.ContainsFunc(c.children, func(d *condition) bool { return !b.holds(in, d) })
	case "OR":
		return slices.ContainsFunc(c.children, func(d *condition) bool { return b.holds(in, d) })
	case "NOT":
		return !b.holds(in, c.children[0])
	}
	left := b.operand(in, c.operands[0])
	switch c.op {
	case "attribute_exists":
		return left != nil
	case "attribute_not_exists":
		return left == nil
	case "IN":
		return left != nil && slices.ContainsFunc(c.operands[1:], func(o operand) bool { return equalValues(left, b.operand(in, o)) })
	case "BETWEEN":
		return ordered(left, ">=", b.operand(in, c.operands[1])) && ordered(left, "<=", b.operand(in, c.operands[2]))
	}
	right := b.operand(in, c.operands[1])
	switch c.op {
	case "=":
		return left != nil && right != nil && equalValues(left, right)
	case "<>":
		// An attribute that is not there differs from every value.
		return left == nil || right == nil || !equalValues(left, right)
	case "attribute_type":
		s, ok := right.(*ddb.AttributeValueMemberS)
		return left != nil && ok && typeName(left) == s.Value
	case "begins_with":
		return beginsWith(left, right)
	case "contains":
		return contains(left, right)
	}
	return ordered(left, c.op, right)
}

// ordered compares two values of one type; false for anything else.
func ordered(a value, op string, b value) bool {
	order, ok := compareValues(a, b)
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

func beginsWith(v, prefix value) bool {
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
func contains(v, part value) bool {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		p, ok := part.(*ddb.AttributeValueMemberS)
		return ok && strings.Contains(v.Value, p.Value)
	case *ddb.AttributeValueMemberB:
		p, ok := part.(*ddb.AttributeValueMemberB)
		return ok && bytes.Contains(v.Value, p.Value)
	case *ddb.AttributeValueMemberL:
		return part != nil && slices.ContainsFunc(v.Value, func(e value) bool { return equalValues(e, part) })
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
