package dynamo

import (
	"maps"
	"slices"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Cut is a copy of what a projection leaves of an item.
func (b *Binding) Cut(in Item, projection *Expression) Item {
	if projection == nil {
		return CloneItem(in)
	}
	return b.Project(in, projection.paths)
}

// selection is a tree of the parts of an item that a projection asks for.
type selection struct {
	whole   bool
	names   map[string]*selection
	indexes map[int]*selection
}

// Project cuts an item down to some paths. The elements of a list move up.
func (b *Binding) Project(in Item, paths []docPath) Item {
	if in == nil {
		return nil
	}
	root := &selection{}
	for _, p := range paths {
		at := root
		for _, s := range p {
			at = at.child(b.Name(s), s.index)
		}
		at.whole = true
	}
	out := Item{}
	for name, s := range root.names {
		if v := s.cut(in[name]); v != nil {
			out[name] = v
		}
	}
	return out
}

func (s *selection) child(name string, index int) *selection {
	if index >= 0 {
		if s.indexes == nil {
			s.indexes = map[int]*selection{}
		}
		if s.indexes[index] == nil {
			s.indexes[index] = &selection{}
		}
		return s.indexes[index]
	}
	if s.names == nil {
		s.names = map[string]*selection{}
	}
	if s.names[name] == nil {
		s.names[name] = &selection{}
	}
	return s.names[name]
}

// cut is the selected part of a value as a copy, nil for nothing.
func (s *selection) cut(v Value) Value {
	if v == nil {
		return nil
	}
	if s.whole {
		return CloneValue(v)
	}
	switch v := v.(type) {
	case *ddb.AttributeValueMemberM:
		out := Item{}
		for name, inner := range s.names {
			if part := inner.cut(v.Value[name]); part != nil {
				out[name] = part
			}
		}
		if len(out) > 0 {
			return &ddb.AttributeValueMemberM{Value: out}
		}
	case *ddb.AttributeValueMemberL:
		var out []Value
		for _, i := range slices.Sorted(maps.Keys(s.indexes)) {
			if i >= len(v.Value) {
				continue
			}
			if part := s.indexes[i].cut(v.Value[i]); part != nil {
				out = append(out, part)
			}
		}
		if len(out) > 0 {
			return &ddb.AttributeValueMemberL{Value: out}
		}
	}
	return nil
}
