package guard_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
)

// mutant is a small wrong edit of a template, and the check that must see it. With several entries in In it is as many
// mutants: the edit is made below each of these keys, once. Without In it is made in the whole file.
type mutant struct {
	check string
	file  string
	in    []string
	old   string // replaced once by new
	new   string
	drop  string // or: a key that is removed with all below it
}

// leastMutants is how many wrong templates the checks have to refuse.
const leastMutants = 150

func TestChecks_refuseMutants(t *testing.T) {
	checks := map[string]guard.Check{}
	proven := map[string]int{}
	for _, c := range guard.Checks() {
		checks[c.ID] = c
	}
	sources, whole := map[string]string{}, map[string]*guard.Template{}
	total := 0
	for _, m := range slices.Concat(templateMutants(), roleMutants(), functionMutants(), machineMutants(),
		dataMutants(), auditMutants(), watchMutants()) {
		if sources[m.file] == "" {
			sources[m.file] = string(read(t, m.file))
			template, err := guard.Parse(m.file, read(t, m.file))
			require.NoError(t, err)
			whole[m.file] = template
		}
		places := m.in
		if len(places) == 0 {
			places = []string{""}
		}
		for _, place := range places {
			total++
			name := fmt.Sprintf("%s %s %s %s%s", m.check, m.file, place, m.drop,
				strings.TrimSpace(strings.ReplaceAll(m.old, "\n", " ")))
			t.Run(name, func(t *testing.T) {
				c, known := checks[m.check]
				require.True(t, known, "no check is called %s", m.check)
				changed, err := m.apply(sources[m.file], place)
				require.NoError(t, err)
				template, err := whole[m.file].Changed(changed)
				require.NoError(t, err, "a mutant must still be YAML")
				assert.NotEmpty(t, c.Findings(template), "%s does not see it", m.check)
				proven[m.check]++
			})
		}
	}
	assert.GreaterOrEqual(t, total, leastMutants)
	for _, c := range guard.Checks() {
		assert.Positive(t, proven[c.ID], "no mutant proves %s", c.ID)
	}
	t.Logf("%d mutants, %d checks", total, len(checks))
}

// TestTemplate_Changed compares what is read of one entry with what is read of the whole text.
func TestTemplate_Changed(t *testing.T) {
	original, err := guard.Parse(guard.Hub, read(t, guard.Hub))
	require.NoError(t, err)
	checks := map[string]guard.Check{}
	for _, c := range guard.Checks() {
		checks[c.ID] = c
	}
	for _, m := range []mutant{
		{check: "H-26", in: []string{"SendRole"}, old: "MaxSessionDuration: 3600", new: "MaxSessionDuration: 43200"},
		{check: "H-73", in: []string{"DataBucket"}, drop: "BucketEncryption"},
		{check: "H-79", in: []string{"Resources"}, drop: "NoticesTopicPolicy"},
		{check: "H-55", in: []string{"SendCommand"}, drop: "Retry"},
		{check: "outputs", in: []string{"Outputs"}, drop: "StateMachineArn"},
		{check: "order", in: []string{""}, old: "\nMappings:", new: "\nTransform: x\n\nMappings:"},
	} {
		text, err := m.apply(string(read(t, guard.Hub)), m.in[0])
		require.NoError(t, err)
		quick, err := original.Changed(text)
		require.NoError(t, err)
		slow, err := guard.Parse(guard.Hub, []byte(text))
		require.NoError(t, err)
		said := func(template *guard.Template) (out []string) {
			for _, f := range checks[m.check].Findings(template) {
				out = append(out, f.Text)
			}
			return out
		}
		assert.NotEmpty(t, said(slow), m.check)
		assert.Equal(t, said(slow), said(quick), m.check)
	}
}

// apply makes the edit below a key, or in the whole text.
func (m mutant) apply(text, place string) (string, error) {
	lines := strings.SplitAfter(text, "\n")
	from, to := 0, len(lines)
	if place != "" {
		var err error
		if from, to, err = block(lines, 0, len(lines), `^\s*`+regexp.QuoteMeta(place)+`:\s*$`); err != nil {
			return "", err
		}
	}
	if m.drop != "" {
		first, last, err := block(lines, from+min(1, len(place)), to, `^\s*`+regexp.QuoteMeta(m.drop)+`:`)
		if err != nil {
			return "", err
		}
		return strings.Join(lines[:first], "") + strings.Join(lines[last:], ""), nil
	}
	inside := strings.Join(lines[from:to], "")
	if !strings.Contains(inside, m.old) {
		return "", fmt.Errorf("%q is not below %q", m.old, place)
	}
	return strings.Join(lines[:from], "") + strings.Replace(inside, m.old, m.new, 1) + strings.Join(lines[to:], ""), nil
}

// block finds the first line that matches between two lines, and the end of what is indented deeper.
func block(lines []string, from, to int, pattern string) (int, int, error) {
	head := regexp.MustCompile(pattern)
	for i := from; i < to; i++ {
		if !head.MatchString(strings.TrimRight(lines[i], "\n")) {
			continue
		}
		end := i + 1
		for end < to && (strings.TrimSpace(lines[end]) == "" || indent(lines[end]) > indent(lines[i])) {
			end++
		}
		return i, end, nil
	}
	return 0, 0, fmt.Errorf("no line matches %s", pattern)
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
