package guard_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"ec2patch/internal/cfn"
	"ec2patch/internal/guard"
)

type workflow struct {
	Permissions yaml.Node      `yaml:"permissions"`
	Concurrency yaml.Node      `yaml:"concurrency"`
	Jobs        map[string]job `yaml:"jobs"`
}

type job struct {
	Permissions map[string]string `yaml:"permissions"`
	Timeout     int               `yaml:"timeout-minutes"`
	Steps       []step            `yaml:"steps"`
}

type step struct {
	Name string            `yaml:"name"`
	Uses yaml.Node         `yaml:"uses"`
	Run  string            `yaml:"run"`
	Env  map[string]string `yaml:"env"`
	With map[string]string `yaml:"with"`
}

var (
	pinned = regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`)
	semver = regexp.MustCompile(`^# v[0-9]+\.[0-9]+\.[0-9]+$`)
)

// problems lists what is wrong with a workflow: whatever lets somebody else's text or code run with our rights.
func problems(text string) []string {
	var out []string
	var w workflow
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		return []string{err.Error()}
	}
	if strings.Contains(text, "pull_request_target") || strings.Contains(text, "workflow_run") {
		out = append(out, "runs with our rights for code of others")
	}
	if w.Permissions.Kind != yaml.MappingNode {
		out = append(out, "does not list its permissions")
	} else if given := texts(&w.Permissions); !slices.Equal(given, []string{"contents", "read"}) {
		out = append(out, "gives every job more than to read")
	}
	if w.Concurrency.IsZero() {
		out = append(out, "has no concurrency group")
	}
	for name, j := range w.Jobs {
		if j.Timeout == 0 || j.Timeout > 120 {
			out = append(out, name+" has no timeout")
		}
		for permission, level := range j.Permissions {
			if level == "write" && permission != "id-token" && permission != "issues" {
				out = append(out, name+" may write "+permission)
			}
		}
		for _, s := range j.Steps {
			if s.Uses.Value != "" && (!pinned.MatchString(s.Uses.Value) || !semver.MatchString(s.Uses.LineComment)) {
				out = append(out, s.Uses.Value+" is not pinned to a commit with its version beside it")
			}
			if strings.Contains(s.Run, "${{") {
				out = append(out, name+": "+s.Name+": an expression becomes a part of a script")
			}
			if strings.HasPrefix(s.Uses.Value, "actions/checkout@") && s.With["persist-credentials"] != "false" {
				out = append(out, name+" leaves a token in the checkout")
			}
			if unquoted := unquoted(s); unquoted != "" {
				out = append(out, name+": "+s.Name+": $"+unquoted+" is not quoted")
			}
		}
	}
	return out
}

// unquoted finds a variable of the step's environment that the shell would split: one with an even number of quotes
// between it and the beginning of its line or of its command substitution.
func unquoted(s step) string {
	for line := range strings.Lines(s.Run) {
		for name := range s.Env {
			for _, at := range regexp.MustCompile(`\$\{?`+name+`\b`).FindAllStringIndex(line, -1) {
				before := line[:at[0]]
				before = before[strings.LastIndex(before, "$(")+1:]
				if strings.Count(before, `"`)%2 == 0 {
					return name
				}
			}
		}
	}
	return ""
}

func texts(n *yaml.Node) []string {
	var out []string
	for _, c := range n.Content {
		out = append(out, c.Value)
	}
	return out
}

func workflowFiles(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../.github/workflows/*.yml")
	require.NoError(t, err)
	out := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		out[filepath.Base(path)] = string(data)
	}
	return out
}

func TestWorkflows(t *testing.T) {
	files := workflowFiles(t)
	for _, name := range []string{"ci.yml", "patch-canary.yml", "patch-matrix.yml", "deploy.yml"} {
		require.Contains(t, files, name)
	}
	for name, text := range files {
		assert.Empty(t, problems(text), name)
	}
	for _, pattern := range []string{"../../.github/workflows/*.yml", "../../.ci/*", "../../Makefile"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, hiding := range []string{"|| true", "|| :", "continue-on-error: true", "set +e"} {
				assert.NotContains(t, string(data), hiding, "%s hides failures", path)
			}
		}
	}
}

func TestWorkflows_inputs(t *testing.T) {
	files := workflowFiles(t)
	for _, test := range []struct {
		file   string
		inputs []string
	}{
		{"patch-canary.yml", []string{"scenario", "state_machine_arn", "aws_region", "role_to_assume", "wait_minutes"}},
		{"patch-matrix.yml", []string{"scenarios", "inputs_prefix", "state_machine_arn", "aws_region", "role_to_assume",
			"wait_minutes"}},
	} {
		var w struct {
			On struct {
				Dispatch struct {
					Inputs map[string]struct{ Options []string }
				} `yaml:"workflow_dispatch"`
			} `yaml:"on"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(files[test.file]), &w))
		for _, name := range test.inputs {
			assert.Contains(t, w.On.Dispatch.Inputs, name, test.file)
		}
		assert.Len(t, w.On.Dispatch.Inputs, len(test.inputs), test.file)
		assert.Contains(t, files[test.file], `ec2patch-$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT`, test.file)
		assert.Less(t, strings.Index(files[test.file], ".ci/patch check"), strings.Index(files[test.file],
			".ci/patch start"), "%s must look before it starts", test.file)
		if test.file != "patch-canary.yml" {
			continue
		}
		scenarios, err := filepath.Glob("../../examples/run-inputs/*.json")
		require.NoError(t, err)
		var names []string
		for _, path := range scenarios {
			names = append(names, strings.TrimSuffix(filepath.Base(path), ".json"))
		}
		assert.Equal(t, names, w.On.Dispatch.Inputs["scenario"].Options,
			"every example can be chosen, and nothing else")
	}
}

// Who may take the roles is named one by one, each with its repository.
func TestSubjects(t *testing.T) {
	template, err := cfn.Load(guard.GitHub, read(t, guard.GitHub))
	require.NoError(t, err)
	for subjects, good := range map[string]bool{
		"repo:org/repo:environment:patching":                                     true,
		"repo:org@1/repo@2:environment:patching, repo:org/repo:ref:refs/heads/*": true,
		"repo:org/repo:ref:refs/tags/v1,repo:*":                                  false,
		"repo:org/repo:ref:refs/heads/main,*":                                    false,
		"repo:org/repo:ref:refs/heads/main,":                                     false,
		"repo:org/*:environment:patching":                                        false,
		"repo:org/repo:pull_request":                                             false,
	} {
		_, err := template.Deploy(cfn.Deployment{StackName: "s", Account: hubAccount, Region: "us-east-1",
			Parameters: map[string]string{
				"RunSubjects": subjects, "DataBucketName": "data", "DataKeyArn": dataKey,
				"ArtifactBucket": "artifacts"}})
		assert.Equal(t, good, err == nil, "%s: %v", subjects, err)
	}
}

func TestWorkflows_mutants(t *testing.T) {
	files := workflowFiles(t)
	for _, m := range []struct{ file, old, new string }{
		{"patch-canary.yml", "11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2", "v4"},
		{"patch-canary.yml", "d35c59abb061a4a6fb18e82ac0862c26744d6ab5 # v5.5.0",
			"d35c59abb061a4a6fb18e82ac0862c26744d6ab5"},
		{"patch-canary.yml", `"$SCENARIO" examples`, `"${{ inputs.scenario }}" examples`},
		{"patch-canary.yml", `"$SCENARIO" examples`, `$SCENARIO examples`},
		{"patch-matrix.yml", `"$FOLDER")`, `${FOLDER})`},
		{"patch-matrix.yml", "workflow_dispatch:", "pull_request_target:\n  workflow_dispatch:"},
		{"patch-matrix.yml", "permissions:\n  contents: read\n\nconcurrency", "concurrency"},
		{"deploy.yml", "permissions:\n  contents: read\n\nconcurrency", "permissions: write-all\n\nconcurrency"},
		{"deploy.yml", "id-token: write", "contents: write"},
		{"deploy.yml", "timeout-minutes: 55\n", "\n"},
		{"deploy.yml", "persist-credentials: false", "persist-credentials: true"},
		{"deploy.yml", "concurrency:\n  group: deploy-${{ inputs.environment }}\n  cancel-in-progress: false\n", ""},
		{"ci.yml", `echo "Commit $COMMIT"`, `echo "Commit ${{ github.event.head_commit.message }}"`},
		{"ci.yml", "permissions:\n  contents: read\n", "permissions:\n  contents: write\n"},
	} {
		require.Contains(t, files[m.file], m.old, m.file)
		changed := strings.Replace(files[m.file], m.old, m.new, 1)
		assert.NotEmpty(t, problems(changed), "%s with %q", m.file, m.new)
	}
}
