package house

import (
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/cfn"
)

func template(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../../cloudformation/hub-cfn.yaml")
	require.NoError(t, err)
	return data
}

// states are those of all machines.
func states(t *testing.T) []asl.StateInfo {
	t.Helper()
	hub, err := cfn.Load("hub-cfn.yaml", template(t))
	require.NoError(t, err)
	stack, err := hub.Deploy(cfn.Deployment{StackName: "ec2patch-hub", Account: "999999999999", Region: "us-east-1",
		Parameters: map[string]string{
			"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
			"CrossAccountExternalId": "an-external-id-of-some-length",
		}})
	require.NoError(t, err)
	var all []asl.StateInfo
	for _, r := range stack.OfType("AWS::StepFunctions::StateMachine") {
		node, err := stack.Definition(r.LogicalID)
		require.NoError(t, err)
		m, err := asl.Load(node)
		require.NoError(t, err, r.LogicalID)
		all = append(all, m.States()...)
	}
	return all
}

// kinds are the error kinds with their doc comments.
func kinds(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range sources(t, "./internal/patch") {
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Kind" {
				value := spec.Values[0].(*ast.BasicLit).Value
				all[strings.Trim(value, `"`)] = spec.Doc.Text()
			}
			return true
		})
	}
	require.NotEmpty(t, all)
	return all
}

// Every name in a Retry or Catch is one that can come, and every kind is named
// there or says why it is not.
func TestErrors(t *testing.T) {
	named := map[string]bool{}
	for _, s := range states(t) {
		for _, e := range append(slices.Clone(s.Retry), s.Catch...) {
			named[e] = true
		}
	}
	of := kinds(t)
	service := regexp.MustCompile(`^(States|Lambda|Sandbox|Runtime|StepFunctions)\.[A-Za-z]+$`)
	for _, e := range slices.Sorted(maps.Keys(named)) {
		_, ours := of[e]
		assert.True(t, ours || service.MatchString(e), "nobody fails with %s", e)
	}
	failed := regexp.MustCompile(`Error: (\S+)`).FindAllStringSubmatch(string(template(t)), -1)
	for _, e := range slices.Sorted(maps.Keys(of)) {
		doc := strings.Join(strings.Fields(of[e]), " ") // however its lines are broken
		fatal := strings.Contains(doc, "Fatal") || strings.Contains(doc, "never leaves")
		ends := slices.ContainsFunc(failed, func(m []string) bool { return m[1] == e })
		assert.True(t, named[e] || fatal || ends,
			"%s is neither retried nor caught, and its comment does not say that it is fatal", e)
		assert.NotEmpty(t, doc, e)
	}
}

// What had no effect may be tried again by name; nothing is retried whatever happened.
func TestStates_retryByName(t *testing.T) {
	for _, s := range states(t) {
		for _, e := range s.Retry {
			assert.NotContains(t, []string{"States.ALL", "States.TaskFailed", "States.Timeout"}, e,
				"%s retries %s", s.Path, e)
		}
		for i, n := range s.Attempts {
			assert.True(t, n > 0 && n <= 10, "%s: retrier %d tries %d times", s.Path, i, n)
		}
	}
}

// Every state says why it is there; every task has a timeout, a retry, a catch
// and says where its result goes.
func TestStates(t *testing.T) {
	word := regexp.MustCompile(`^([A-Z][a-z0-9]+)+$`)
	// their payload replaces what was before
	whole := []string{"PlanRun", "CloseMissedRun", "DiscoverTarget", "FreezePlan", "PatchTarget", "RollUpAccount"}
	seen := map[string]bool{}
	for _, s := range states(t) {
		assert.NotEmpty(t, s.Comment, s.Path)
		assert.Regexp(t, word, s.Name, s.Path)
		assert.False(t, seen[s.Name], "%s has the name of another state", s.Path)
		seen[s.Name] = true
		if s.Type != "Task" {
			continue
		}
		assert.True(t, s.HasTimeout, "%s has no timeout", s.Path)
		assert.NotEmpty(t, s.Retry, "%s has no retry", s.Path)
		assert.Contains(t, s.Catch, "States.ALL", "%s does not catch everything", s.Path)
		assert.True(t, s.ResultPath != "" || slices.Contains(whole, s.Name),
			"%s does not say where its result goes", s.Path)
	}
	assert.Greater(t, len(seen), 20)
}
