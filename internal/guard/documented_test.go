package guard_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
)

// TestChecks_documented compares the table of checks in docs/security.md with the checks.
func TestChecks_documented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(doc), "## Checks of the templates\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	var want []string
	for _, c := range guard.Checks() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", c.ID, c.Rule))
	}
	var have []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			have = append(have, strings.TrimSpace(line))
		}
	}
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(have, "\n"), "docs/security.md must list every check")
}

// TestOperations_documented looks for every alarm and every saved query in docs/runbook-operations.md: whoever is woken
// by one reads there what to do.
func TestOperations_documented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/runbook-operations.md")
	require.NoError(t, err)
	hub := deployed(t, guard.Hub)
	for _, r := range append(hub.OfType("AWS::CloudWatch::Alarm"),
		deployed(t, guard.Schedule).OfType("AWS::CloudWatch::Alarm")...) {
		name := strings.TrimPrefix(strings.TrimPrefix(r.Name, "ec2patch-"), "monthly-")
		if strings.HasSuffix(r.LogicalID, "ErrorsAlarm") {
			continue // one row for all six functions
		}
		assert.Contains(t, string(doc), "`"+name+"`", "docs/runbook-operations.md must explain the alarm %s", name)
	}
	queries := hub.OfType("AWS::Logs::QueryDefinition")
	require.NotEmpty(t, queries)
	for _, r := range queries {
		name, _ := r.Properties["Name"].(string)
		assert.Contains(t, string(doc), "`"+strings.TrimPrefix(name, "ec2patch/")+"`",
			"docs/runbook-operations.md must explain the query %s", name)
	}
}

// TestDeploy_linesToChange looks for every line of the parameters that is an example, or that a small account cannot
// have, in the step of docs/deployment-guide.md that uses the file.
func TestDeploy_linesToChange(t *testing.T) {
	doc, err := os.ReadFile("../../docs/deployment-guide.md")
	require.NoError(t, err)
	_, step, found := strings.Cut(string(doc), "\n## The hub\n")
	require.True(t, found)
	step, _, found = strings.Cut(step, "make deploy-hub ENV=prod")
	require.True(t, found)
	data, err := os.ReadFile("../../params/hub.prod.json")
	require.NoError(t, err)
	var lines []string
	require.NoError(t, json.Unmarshal(data, &lines))
	told := 0
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		if strings.Contains(value, "example") || strings.HasSuffix(key, "Bucket") || strings.HasSuffix(key,
			"ReservedConcurrency") && value != "0" {
			told++
			assert.Contains(t, step, "`"+key+"`", "whoever deploys with %s must be told to change it", line)
		}
	}
	assert.GreaterOrEqual(t, told, 5)
}
