package runinput

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"

	"ec2patch/internal/words"
)

// nodeKind is what a JSON value is.
type nodeKind int

const (
	nodeNull nodeKind = iota
	nodeObject
	nodeList
	nodeText
	nodeNumber
	nodeFlag
)

// node is a JSON value that knows where it stands.
type node struct {
	kind       nodeKind
	path       string
	start, end int    // bytes of the document
	text       string // a text's value, a number's or a flag's literal
	members    []member
	items      []*node
}

// member is one field of an object.
type member struct {
	key      string
	keyStart int
	value    *node
}

// member finds the field with exactly this name, or nil.
func (n *node) member(key string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// tree reads the whole document. It is nil when the document is not JSON at
// all; whatever is wrong is in found.
func tree(data []byte, found *findings) *node {
	if p, offset, ok := unreadable(data); !ok {
		found.add(offset, p)
		return nil
	}
	r := treeReader{data: data, tokens: json.NewDecoder(bytes.NewReader(data)), found: found}
	r.tokens.UseNumber()
	root, err := r.value("$", 1)
	if err != nil {
		found.add(r.offset(), Problem{Rule: RuleSize, Path: "$", Message: err.Error(),
			Remedy: "write a run input as docs/run-input.md shows"})
		return nil
	}
	return root
}

// unreadable finds what makes a document no JSON that we would read, and where.
func unreadable(data []byte) (Problem, int, bool) {
	if len(data) > MaxInputBytes {
		return Problem{
			Rule:    RuleSize,
			Path:    "$",
			Message: fmt.Sprintf("the input has %d bytes, more than %d", len(data), MaxInputBytes),
			Remedy: "split the run, or name organizational units and tags in place of accounts and instances; Step " +
				"Functions takes 262144 bytes, and the run needs some of them",
		}, 0, false
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return Problem{Rule: RuleSyntax, Path: "$", Message: "the input starts with a byte order mark",
			Remedy: "save the file as UTF-8 without a byte order mark"}, 0, false
	}
	if at := invalidUTF8(data); at >= 0 {
		return Problem{Rule: RuleSyntax, Path: "$", Message: fmt.Sprintf("byte %d is not UTF-8", at+1),
			Remedy: "save the file as UTF-8"}, at, false
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Problem{Rule: RuleSyntax, Path: "$", Message: "the input is empty",
			Remedy: `write at least {"waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]}`}, 0, false
	}
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	if err == nil {
		return Problem{}, 0, true
	}
	at := len(data)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = max(int(syntax.Offset)-1, 0)
	}
	return Problem{Rule: RuleSyntax, Path: "$", Message: "this is not JSON: " + err.Error(),
		Remedy: "mend the JSON here or just before"}, at, false
}

// invalidUTF8 is the index of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// treeReader builds nodes from the tokens of a document that is valid JSON.
type treeReader struct {
	data   []byte
	tokens *json.Decoder
	found  *findings
}

var errTooDeep = fmt.Errorf("the input nests deeper than %d levels", MaxInputDepth)

// offset is where the next token starts.
func (r *treeReader) offset() int {
	at := int(r.tokens.InputOffset())
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	return at
}

func (r *treeReader) value(path string, depth int) (*node, error) {
	n := &node{path: path, start: r.offset()}
	if depth > MaxInputDepth {
		return nil, errTooDeep
	}
	token, err := r.tokens.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		err = r.inside(n, token, depth)
	case string:
		n.kind, n.text = nodeText, token
	case json.Number:
		n.kind, n.text = nodeNumber, token.String()
	case bool:
		n.kind, n.text = nodeFlag, strconv.FormatBool(token)
	}
	n.end = int(r.tokens.InputOffset())
	return n, err
}

// inside reads what stands between brackets, the closing one included.
func (r *treeReader) inside(n *node, open json.Delim, depth int) error {
	read := r.item
	n.kind = nodeList
	if open == '{' {
		n.kind, read = nodeObject, r.field
	}
	seen := map[string]bool{}
	for r.tokens.More() {
		if err := read(n, seen, depth); err != nil {
			return err
		}
	}
	_, err := r.tokens.Token()
	return err
}

func (r *treeReader) item(n *node, _ map[string]bool, depth int) error {
	value, err := r.value(n.path+"["+strconv.Itoa(len(n.items))+"]", depth+1)
	n.items = append(n.items, value)
	return err
}

// field reads a key and its value. Of two fields with one name the first
// stays, and the second is a problem: readers differ in which one they take.
func (r *treeReader) field(n *node, seen map[string]bool, depth int) error {
	start := r.offset()
	token, err := r.tokens.Token()
	if err != nil {
		return err
	}
	key, _ := token.(string)
	value, err := r.value(fieldPath(n.path, key), depth+1)
	if err != nil {
		return err
	}
	if seen[key] {
		r.found.add(start, Problem{Rule: RuleTwice, Path: value.path, Message: "stands twice in one object",
			Remedy: "keep one of the two"})
		return nil
	}
	seen[key] = true
	n.members = append(n.members, member{key: key, keyStart: start, value: value})
	return nil
}

var plainKey = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]{0,63}$`)

// fieldPath is the path of an object's field. A key that could be mistaken for
// a path, or that would not show, is quoted.
func fieldPath(parent, key string) string {
	if !plainKey.MatchString(key) {
		return parent + "[" + words.Quoted(key) + "]"
	}
	if parent == "$" {
		return key
	}
	return parent + "." + key
}
