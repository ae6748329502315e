package dynamo

import (
	"maps"
	"slices"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Paths are all paths that an update writes, in the order of its clauses.
func (u *update) Paths() []docPath {
	var all []docPath
	for _, a := range u.set {
		all = append(all, a.path)
	}
	all = append(all, u.remove...)
	for _, c := range u.add {
		all = append(all, c.path)
	}
	for _, c := range u.del {
		all = append(all, c.path)
	}
	return all
}

// CheckPaths refuses an update of key attributes and two writes of one place.
func (b *Binding) CheckPaths(paths []docPath, keys []string) error {
	for _, p := range paths {
		if name := b.Name(p[0]); slices.Contains(keys, name) {
			return Invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of "+
				"the key", name)
		}
	}
	return b.checkOverlap("UpdateExpression", paths)
}

// checkOverlap refuses two paths to one place of an item.
func (b *Binding) checkOverlap(kind string, paths []docPath) error {
	for i, p := range paths {
		for _, q := range paths[:i] {
			if b.overlap(p, q) {
				return Invalid("Invalid %s: Two document paths overlap with each other; must remove or rewrite one of these "+
					"paths; path one: [%s], path two: [%s]",
					kind, b.Name(q[0]), b.Name(p[0]))
			}
		}
	}
	return nil
}

// overlap tells whether one path leads to the other's place or to a part of it.
func (b *Binding) overlap(p, q docPath) bool {
	for i := range min(len(p), len(q)) {
		if p[i].index != q[i].index || b.Name(p[i]) != b.Name(q[i]) {
			return false
		}
	}
	return true
}

// Apply is the item after the update. Every right side sees the item as it was.
func (b *Binding) Apply(old Item, u *update) (Item, error) {
	type write struct {
		path docPath
		to   Value
	}
	var writes []write
	for _, a := range u.set {
		v, err := b.assigned(old, a)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write{a.path, v})
	}
	for _, c := range u.add {
		v, err := addTo(old[b.Name(c.path[0])], b.Values[c.value])
		if err != nil {
			return nil, err
		}
		writes = append(writes, write{c.path, v})
	}
	out := maps.Clone(old)
	for _, w := range writes {
		if err := b.put(out, w.path, w.to); err != nil {
			return nil, err
		}
	}
	for _, c := range u.del {
		if err := removeFrom(out, b.Name(c.path[0]), b.Values[c.value]); err != nil {
			return nil, err
		}
	}
	for _, p := range laterIndexFirst(u.remove) {
		if err := b.put(out, p, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// laterIndexFirst orders removals so that none shifts an element that another one means.
func laterIndexFirst(paths []docPath) []docPath {
	if len(paths) < 2 {
		return paths
	}
	sorted := slices.Clone(paths)
	slices.SortStableFunc(sorted, func(p, q docPath) int {
		for i := range min(len(p), len(q)) {
			if p[i].index != q[i].index {
				return q[i].index - p[i].index
			}
		}
		return 0
	})
	return sorted
}

func (b *Binding) assigned(old Item, a assignment) (Value, error) {
	left, err := b.term(old, a.left)
	if err != nil || a.sign == "" {
		return left, err
	}
	right, err := b.term(old, a.right)
	if err != nil {
		return nil, err
	}
	x, okX := left.(*ddb.AttributeValueMemberN)
	y, okY := right.(*ddb.AttributeValueMemberN)
	if !okX || !okY {
		return nil, Invalid("An operand in the update expression has an incorrect data type")
	}
	sum, err := addNumbers(x.Value, y.Value, a.sign == "-")
	return &ddb.AttributeValueMemberN{Value: sum}, err
}

func (b *Binding) term(old Item, t *term) (Value, error) {
	switch t.function {
	case "if_not_exists":
		if v := b.find(old, t.args[0].operand.Path); v != nil {
			return v, nil
		}
		return b.term(old, t.args[1])
	case "list_append":
		return b.listAppend(old, t)
	}
	v := b.operand(old, t.operand)
	if v == nil {
		return nil, Invalid("The provided expression refers to an attribute that does not exist in the item")
	}
	return v, nil
}

func (b *Binding) listAppend(old Item, t *term) (Value, error) {
	var all []Value
	for _, arg := range t.args {
		v, err := b.term(old, arg)
		if err != nil {
			return nil, err
		}
		list, ok := v.(*ddb.AttributeValueMemberL)
		if !ok {
			return nil, Invalid("An operand in the update expression has an incorrect data type")
		}
		all = append(all, list.Value...)
	}
	return &ddb.AttributeValueMemberL{Value: all}, nil
}

// addTo is what ADD makes of a number or a set; nothing there counts as 0 or empty.
func addTo(old, more Value) (Value, error) {
	kind, members := SetMembers(more)
	n, number := more.(*ddb.AttributeValueMemberN)
	if !number && kind == "" {
		return nil,
			Invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: %s",
				TypeName(more))
	}
	if old == nil {
		return more, nil
	}
	if TypeName(old) != TypeName(more) {
		return nil, Invalid("An operand in the update expression has an incorrect data type")
	}
	if number {
		sum, err := addNumbers(old.(*ddb.AttributeValueMemberN).Value, n.Value, false)
		return &ddb.AttributeValueMemberN{Value: sum}, err
	}
	_, union := SetMembers(old)
	union = slices.Clone(union)
	for _, m := range members {
		if !slices.Contains(union, m) {
			union = append(union, m)
		}
	}
	return makeSet(kind, union), nil
}

// removeFrom takes members out of a set; an empty set goes away.
func removeFrom(out Item, name string, gone Value) error {
	kind, members := SetMembers(gone)
	if kind == "" {
		return Invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, "+
			"operand type: %s", TypeName(gone))
	}
	old := out[name]
	if old == nil {
		return nil
	}
	if TypeName(old) != kind {
		return Invalid("An operand in the update expression has an incorrect data type")
	}
	_, left := SetMembers(old)
	left = slices.DeleteFunc(slices.Clone(left), func(m string) bool { return slices.Contains(members, m) })
	if len(left) == 0 {
		delete(out, name)
		return nil
	}
	out[name] = makeSet(kind, left)
	return nil
}

// put writes a value at a path, or removes what is there when to is nil. The
// lists and maps on the way are copied, since old versions of the item share them.
func (b *Binding) put(out Item, path docPath, to Value) error {
	name := b.Name(path[0])
	if len(path) > 1 {
		inner, err := b.putInside(out[name], path[1:], to)
		if err != nil {
			return err
		}
		to = inner
	}
	if to == nil {
		delete(out, name)
		return nil
	}
	out[name] = to
	return nil
}

func (b *Binding) putInside(container Value, path docPath, to Value) (Value, error) {
	invalid := Invalid("The document path provided in the update expression is invalid for update")
	if path[0].index < 0 {
		m, ok := container.(*ddb.AttributeValueMemberM)
		if !ok {
			return nil, invalid
		}
		inner := maps.Clone(m.Value)
		if inner == nil {
			inner = Item{}
		}
		err := b.put(inner, path, to)
		return &ddb.AttributeValueMemberM{Value: inner}, err
	}
	list, ok := container.(*ddb.AttributeValueMemberL)
	if !ok {
		return nil, invalid
	}
	i, elements := path[0].index, slices.Clone(list.Value)
	if len(path) > 1 {
		if i >= len(elements) {
			return nil, invalid
		}
		inner, err := b.putInside(elements[i], path[1:], to)
		if err != nil {
			return nil, err
		}
		elements[i] = inner
		return &ddb.AttributeValueMemberL{Value: elements}, nil
	}
	switch {
	case to == nil && i < len(elements):
		elements = slices.Delete(elements, i, i+1)
	case to != nil && i < len(elements):
		elements[i] = to
	case to != nil:
		elements = append(elements, to)
	}
	return &ddb.AttributeValueMemberL{Value: elements}, nil
}
