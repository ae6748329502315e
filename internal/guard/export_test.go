package guard

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	sectionLine = regexp.MustCompile(`^[A-Za-z]`)
	entryLine   = regexp.MustCompile(`^  [A-Za-z]`)
)

// Changed reads another text of the template. Where only one entry of a section differs it reads that entry alone,
// which is what makes hundreds of mutants quick; lines of findings then count from the entry.
func (t *Template) Changed(text string) (*Template, error) {
	before, after := strings.SplitAfter(string(t.data), "\n"), strings.SplitAfter(text, "\n")
	head := 0
	for head < min(len(before), len(after)) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	from := head - 1
	for from > 0 && !entryLine.MatchString(after[from]) {
		from--
	}
	section := from
	for section > 0 && !sectionLine.MatchString(after[section]) {
		section--
	}
	to := len(after) - tail
	for to < len(after) && !entryLine.MatchString(after[to]) && !sectionLine.MatchString(after[to]) {
		to++
	}
	until := len(before) - (len(after) - to)
	if section <= 0 || several(before[from+1:until]) || several(after[from+1:to]) {
		return Parse(t.Name, []byte(text))
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(strings.Join(after[from:to], "")), &document); err != nil {
		return nil, err
	}
	entry := document.Content[0]
	name, _, _ := strings.Cut(after[section], ":")
	entries := replaced(child(t.root, name), entry.Content[0].Value, entry.Content[1])
	return newTemplate(t.Name, []byte(text), replaced(t.root, name, entries))
}

// several says whether another entry or section begins in the lines.
func several(lines []string) bool {
	for _, line := range lines {
		if entryLine.MatchString(line) || sectionLine.MatchString(line) {
			return true
		}
	}
	return false
}

// replaced is a copy of a mapping with another value under a key.
func replaced(n *yaml.Node, key string, value *yaml.Node) *yaml.Node {
	out := *n
	out.Content = append([]*yaml.Node(nil), n.Content...)
	for i := 0; i+1 < len(out.Content); i += 2 {
		if out.Content[i].Value == key {
			out.Content[i+1] = value
		}
	}
	return &out
}
