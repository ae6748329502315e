package cfn

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

type kind int

const (
	scalar kind = iota
	list
	mapping
	call // an intrinsic function, from its tag or its long form
)

// node is a piece of a template with its line; short and long forms of an intrinsic give the same node.
type node struct {
	line   int
	kind   kind
	value  any     // of a scalar: bool, float64 or string
	text   string  // of a scalar: as it is written
	items  []*node // of a list
	fields []field // of a mapping, in the order of the file
	name   string  // of a call: Ref, Condition, Fn::Sub, ...
	arg    *node   // of a call
}

type field struct {
	key   string
	line  int
	value *node
}

// get returns the value of a key, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	for _, f := range n.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// intrinsics that a template may use, with where: CloudFormation allows the condition functions in Conditions and Rules
// only, and the rule functions in Rules only.
var intrinsics = map[string]place{
	"Ref": anywhere, "Fn::Sub": anywhere, "Fn::GetAtt": inResources, "Fn::If": inResources, "Fn::FindInMap": anywhere,
	"Fn::Join": anywhere, "Fn::Select": anywhere, "Fn::Split": anywhere, "Fn::Base64": inResources,
	"Fn::ImportValue": inResources,
	"Condition":       inConditions, "Fn::Equals": inConditions, "Fn::And": inConditions, "Fn::Or": inConditions,
	"Fn::Not": inConditions, "Fn::Contains": inRules, "Fn::EachMemberEquals": inRules, "Fn::EachMemberIn": inRules,
}

type place int

const (
	anywhere     place = iota
	inResources        // properties and outputs
	inConditions       // the sections Conditions and Rules
	inRules            // the section Rules
	nowhere            // parameters, mappings, metadata and a Definition
)

// maxDepth bounds the nesting of a template; ours need about twenty levels.
const maxDepth = 100

var (
	canonicalNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	accountID       = regexp.MustCompile(`^[0-9]{12}$`)
	// oddNumber is what one YAML reader takes for a number and another for text: octal, hexadecimal, underscores, a
	// sign, minutes and seconds.
	oddNumber = regexp.MustCompile(
		`^([-+]?[0-9][0-9_]*|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?(\.[0-9_]+|[0-9][0-9_]*\.[0-9_]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF|nan|NaN|NAN))$`)
	disguised = regexp.MustCompile(`^(?i:yes|no|on|off|y|n)$`)
)

// reader turns YAML into nodes and refuses what CloudFormation refuses or reads otherwise than other YAML readers.
type reader struct {
	*collector
}

// read parses the one document of a template; nil if it cannot be parsed at all.
func (r *reader) read(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		r.add(0, "not YAML: %v", err)
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.add(second.Line, "a template is one YAML document")
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		r.add(root.Line, "a template is a mapping")
		return nil
	}
	return root
}

func (r *reader) node(y *yaml.Node, where place, depth int) *node {
	n := &node{line: y.Line, value: ""}
	if y.Anchor != "" {
		r.add(y.Line, "YAML anchor &%s: CloudFormation refuses anchors and aliases", y.Anchor)
	}
	switch {
	case depth > maxDepth:
		r.add(y.Line, "nested deeper than %d levels", maxDepth)
		return n
	case y.Kind == yaml.AliasNode:
		r.add(y.Line, "YAML alias *%s: CloudFormation refuses anchors and aliases", y.Value)
		return n
	case strings.HasPrefix(y.Tag, "!") && !strings.HasPrefix(y.Tag, "!!") && y.Tag != "!":
		return r.tagged(y, where, depth)
	case y.Kind == yaml.ScalarNode:
		n.value, n.text = r.scalar(y), y.Value
	case y.Kind == yaml.SequenceNode:
		n.kind = list
		for _, item := range y.Content {
			n.items = append(n.items, r.node(item, where, depth+1))
		}
	case y.Kind == yaml.MappingNode:
		return r.mapping(y, where, depth)
	}
	return n
}

// tagged reads the short form of an intrinsic: !Sub, !GetAtt, ...
func (r *reader) tagged(y *yaml.Node, where place, depth int) *node {
	name := strings.TrimPrefix(y.Tag, "!")
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	plain := *y
	plain.Tag, plain.Anchor = "", ""
	if y.Kind == yaml.ScalarNode {
		plain.Tag = "!!str"
	}
	return r.call(y.Line, name, r.node(&plain, where, depth+1), where)
}

func (r *reader) call(line int, name string, arg *node, where place) *node {
	n := &node{line: line, kind: call, name: name, arg: arg}
	allowed, known := intrinsics[name]
	switch {
	case !known:
		r.add(line, "unknown intrinsic function %s", name)
	case where == nowhere:
		r.add(line, "%s: no intrinsic function is allowed here", name)
	case allowed == inResources && where != inResources,
		allowed == inConditions && where != inConditions && where != inRules,
		allowed == inRules && where != inRules:
		r.add(line, "%s is not allowed in this section", name)
	}
	if name == "Fn::GetAtt" && arg.kind == scalar {
		id, attribute, _ := strings.Cut(arg.text, ".")
		n.arg = &node{line: arg.line, kind: list, items: []*node{
			{line: arg.line, value: id, text: id}, {line: arg.line, value: attribute, text: attribute}}}
	}
	return n
}

func (r *reader) mapping(y *yaml.Node, where place, depth int) *node {
	n := &node{line: y.Line, kind: mapping}
	seen := make(map[string]int, len(y.Content)/2)
	for pair := range slices.Chunk(y.Content, 2) {
		key := r.key(pair[0])
		if first, again := seen[key]; again {
			r.add(pair[0].Line, "key %s stands in line %d already", key, first)
			continue
		}
		seen[key] = pair[0].Line
		n.fields = append(n.fields, field{key: key, line: pair[0].Line, value: r.node(pair[1], where, depth+1)})
	}
	for _, f := range n.fields {
		long := f.key == "Ref" || strings.HasPrefix(f.key, "Fn::")
		if f.key == "Condition" && (where == inConditions || where == inRules) {
			long = f.value.kind == scalar
		}
		if !long {
			continue
		}
		if len(n.fields) > 1 {
			r.add(f.line, "%s must be the only key of its mapping", f.key)
		}
		return r.call(f.line, f.key, f.value, where)
	}
	return n
}

func (r *reader) key(y *yaml.Node) string {
	switch {
	case y.Kind != yaml.ScalarNode:
		r.add(y.Line, "a key must be text")
	case y.Anchor != "":
		r.add(y.Line, "YAML anchor &%s: CloudFormation refuses anchors and aliases", y.Anchor)
	case y.ShortTag() == "!!merge":
		r.add(y.Line, "YAML merge key: CloudFormation refuses anchors and aliases")
	case y.ShortTag() == "!!null":
		r.add(y.Line, "a key must not be null")
	case y.Style == 0 && (disguised.MatchString(y.Value) || y.ShortTag() == "!!bool"):
		r.add(y.Line, "key %s reads as a boolean; quote it", y.Value)
	case y.Style == 0 && (accountID.MatchString(y.Value) || oddNumber.MatchString(y.Value) &&
		!canonicalNumber.MatchString(y.Value)):
		r.add(y.Line, "key %s reads as a number that YAML changes; quote it", y.Value)
	}
	return y.Value
}

// scalar gives bool, float64 or string, as CloudFormation reads it: dates stay text.
func (r *reader) scalar(y *yaml.Node) any {
	tag, plain := y.ShortTag(), y.Style&^yaml.TaggedStyle == 0
	switch {
	case tag == "!!null":
		r.add(y.Line, "null value: CloudFormation refuses it everywhere; leave the key out or use AWS::NoValue")
		return ""
	case y.Style&yaml.TaggedStyle != 0 && tag != "!!str":
		r.add(y.Line, "YAML tag %s is not supported", tag)
		return y.Value
	case !plain || y.Style&yaml.TaggedStyle != 0:
		return y.Value
	case disguised.MatchString(y.Value):
		r.add(y.Line, "%s: one reader takes this for a boolean, another for text; write true, false or quote it",
			y.Value)
		return y.Value
	case accountID.MatchString(y.Value):
		r.add(y.Line, "%s looks like an account id, which YAML takes for a number; quote it", y.Value)
		return y.Value
	case canonicalNumber.MatchString(y.Value):
		number, err := strconv.ParseFloat(y.Value, 64)
		if err != nil {
			r.add(y.Line, "%s is no number that JSON can hold", y.Value)
		}
		return number
	case oddNumber.MatchString(y.Value):
		r.add(y.Line, "%s is a number to one YAML reader and not to another; quote it or write it plainly", y.Value)
		return y.Value
	case tag == "!!bool":
		return strings.EqualFold(y.Value, "true")
	}
	return y.Value // dates too
}
