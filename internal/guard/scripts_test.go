package guard_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cfn"
)

// fakeAWS answers as the AWS CLI does for a new stack and for executions, and writes down how it was called, with the
// parameters that it was given. STACK_EXISTS makes the stack exist; NO_LOGIN and NO_LOOK are what a call fails with.
const fakeAWS = `#!/usr/bin/env bash
echo "aws $*" >>"$CALLS"
for word in "$@"; do case $word in file://*) cat "${word#file://}" >>"$CALLS" ;; esac; done
case "$1 $2" in
"cloudformation describe-stacks")
  [ -z "${NO_LOOK:-}" ] || { echo "$NO_LOOK" >&2; exit 255; }
  [ "${STACK_EXISTS:-}" = 1 ] || grep --quiet "cloudformation deploy" "$CALLS" || { echo "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id $4 does not exist" >&2; exit 254; } ;;
"sts get-caller-identity")
  [ -z "${NO_LOGIN:-}" ] || { echo "$NO_LOGIN" >&2; exit 253; }
  echo 999999999999 ;;
esac
`

// fakeProgram answers as ec2patch does to run, watch and report, and writes down how it was called.
const fakeProgram = `#!/usr/bin/env bash
echo "ec2patch $*" >>"$CALLS"
case "$1" in
run) echo '{"run":"ec2patch-1-1","executionArn":"arn:aws:states:us-east-1:999999999999:execution:ec2patch-orchestrator:ec2patch-1-1","console":"https://console","requestedBy":"me"}' ;;
watch) echo "${REPORT:-the table of the report}"; exit "${CODE:-0}" ;;
simulate) echo "${REPORT:-the rehearsal}"; while [ $# -gt 0 ]; do [ "$1" != --out ] || echo '{"violations":[]}' >"$2/result.json"; shift; done ;;
report) echo "the report as $4" ;;
esac
exit "${CODE:-0}"
`

// script runs one of the scripts with a fake AWS CLI; it returns what was printed, what the CLI was asked, and how it
// ended.
func script(t *testing.T, stdin string, env []string, args ...string) (printed, calls string, err error) {
	t.Helper()
	for _, tool := range []string{"bash", "jq", "openssl", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("********** skipped: %s not found, the scripts were not tried **********", tool)
		}
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "aws"), []byte(fakeAWS), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "program"), []byte(fakeProgram), 0o755))
	log := filepath.Join(folder, "calls")
	require.NoError(t, os.WriteFile(log, nil, 0o600))
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = "../.."
	cmd.Env = append([]string{"PATH=" + folder + ":" + os.Getenv("PATH"), "HOME=" + folder, "CALLS=" + log,
		"EC2PATCH=" + filepath.Join(folder, "program")}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	called, readErr := os.ReadFile(log)
	require.NoError(t, readErr)
	return string(out), string(called), err
}

func TestPatchScript(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		want string // is printed
		call string // is asked of AWS
		fail bool
	}{
		{name: "a list is read and sorted", args: []string{"list", "scan-no-reboot, canary-small", "examples/run-inputs"}, want: `["canary-small","scan-no-reboot"]`},
		{name: "any folder will do", args: []string{"list", "wave-canary-east", "examples/custom-inputs"}, want: `["wave-canary-east"]`},
		{name: "an unknown scenario", args: []string{"list", "canary-small,nothing", "examples/run-inputs"},
			want: "there is no", fail: true},
		{name: "no scenario", args: []string{"list", "", "examples/run-inputs"}, want: "name at least one", fail: true},
		{name: "a scenario that is a command", args: []string{"list", "$(id)", "examples/run-inputs"},
			want: "is not the name", fail: true},
		{name: "a scenario that climbs", args: []string{"list", "../../go", "examples/run-inputs"}, want: "is not the name",
			fail: true},
		{name: "a folder that climbs", args: []string{"list", "canary-small", "examples/../../.."}, want: "is not a folder",
			fail: true},
		{name: "a folder elsewhere", args: []string{"list", "canary-small", "/etc"}, want: "is not a folder", fail: true},
		{name: "a run is started", args: []string{"start", "examples/run-inputs/canary-small.json", "ec2patch-1-1"},
			want: "execution:ec2patch-orchestrator:ec2patch-1-1",
			call: "ec2patch run examples/run-inputs/canary-small.json --name ec2patch-1-1 --yes"},
		{name: "a run that is refused", env: []string{"CODE=3"},
			args: []string{"start", "examples/run-inputs/canary-small.json", "ec2patch-1-1"}, fail: true},
		{name: "a run is stopped", args: []string{"stop", "arn:x"}, call: "stop-execution --execution-arn arn:x"},
		{name: "another word", args: []string{"restart"}, want: "usage", fail: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			printed, calls, err := script(t, "", test.env, append([]string{".ci/patch"}, test.args...)...)
			assert.Equal(t, test.fail, err != nil, printed)
			assert.Contains(t, printed, test.want)
			assert.Contains(t, calls, test.call)
		})
	}
}

// What watch leaves behind, and how it ends: as ec2patch does, but for a run that goes on.
func TestPatchScript_watch(t *testing.T) {
	tests := []struct {
		name    string
		env     []string
		code    int
		want    string
		summary string
		files   []string
	}{
		{name: "everything is patched", want: "the table of the report", summary: "## Report of x",
			files: []string{"report.csv", "report.html", "report.json", "report.txt"}},
		{name: "something is not", env: []string{"CODE=5"}, code: 5, want: "the table of the report",
			summary: "the table of the report", files: []string{"report.txt"}},
		{name: "rejected", env: []string{"CODE=6"}, code: 6, summary: "## Report of x", files: []string{"report.txt"}},
		{name: "it goes on", env: []string{"CODE=7", "WAIT_MINUTES=2"}, want: "goes on after 2 minutes",
			summary: "ec2patch watch x"},
		{name: "nobody waits", env: []string{"WAIT_MINUTES=0"}, want: "The run goes on", summary: "ec2patch watch x"},
		{name: "longer than a session", env: []string{"WAIT_MINUTES=51"}, code: 1, want: "not a number from 0 to 50"},
		{name: "a wait that is a command", env: []string{"WAIT_MINUTES=$(id)"}, code: 1, want: "not a number from 0 to 50"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder, page := filepath.Join(t.TempDir(), "report"), filepath.Join(t.TempDir(), "page")
			require.NoError(t, os.WriteFile(page, nil, 0o600))
			printed, calls,
				err := script(t, "", append(test.env, "GITHUB_STEP_SUMMARY="+page), ".ci/patch", "watch", "arn:x", folder)
			if test.code == 0 {
				require.NoError(t, err, printed)
			} else {
				var ended *exec.ExitError
				require.ErrorAs(t, err, &ended)
				assert.Equal(t, test.code, ended.ExitCode())
			}
			assert.Contains(t, printed, test.want)
			shown, err := os.ReadFile(page)
			require.NoError(t, err)
			assert.Contains(t, string(shown), test.summary)
			var files []string
			entries, _ := os.ReadDir(folder)
			for _, e := range entries {
				files = append(files, e.Name())
			}
			assert.Equal(t, test.files, files)
			waits := test.files != nil || strings.Contains(test.want, "goes on after")
			assert.Equal(t, waits, strings.Contains(calls, "ec2patch watch arn:x --timeout "))
		})
	}
}

// A reason or a name of others ends the block of code of a summary, and goes on as a page of its own.
func TestT56_FenceInASummary(t *testing.T) {
	for _, reason := range []string{"```\n# Approved\n[click](https://evil.example)", "x\n`````\n<b>", "    ```",
		"no fence at all", "~~~\n```"} {
		for _, args := range [][]string{{"watch", "arn:x", t.TempDir()}, {"check", "examples/run-inputs/canary-small.json"}} {
			page := filepath.Join(t.TempDir(), "page")
			require.NoError(t, os.WriteFile(page, nil, 0o600))
			printed, _,
				err := script(t, "", []string{"GITHUB_STEP_SUMMARY=" + page, "REPORT=" + reason},
				append([]string{".ci/patch"}, args...)...)
			require.NoError(t, err, printed)
			shown, err := os.ReadFile(page)
			require.NoError(t, err)
			m := regexp.MustCompile("^## .*\n\n(`+)\n").FindStringSubmatch(string(shown))
			require.NotNil(t, m, "%s", shown)
			rest := string(shown)[len(m[0]):]
			closes := regexp.MustCompile("(?m)^ {0,3}`{"+strconv.Itoa(len(m[1]))+",}[ \t]*$").FindAllStringIndex(rest, -1)
			require.Len(t, closes, 1, "%s", shown)
			assert.Equal(t, reason, strings.TrimSuffix(rest[:closes[0][0]], "\n"))
			assert.Empty(t, strings.TrimSpace(rest[closes[0][1]:]))
		}
	}
}

// What the scripts of a deployment call has to be installed first, so docs/deployment-guide.md says so before anything
// else.
func TestDeployScript_tools(t *testing.T) {
	page, err := os.ReadFile("../../docs/deployment-guide.md")
	require.NoError(t, err)
	_, before, found := strings.Cut(string(page), "\n## Before\n")
	require.True(t, found)
	before, _, _ = strings.Cut(before, "\n## ")
	script, err := os.ReadFile("../../.ci/deploy")
	require.NoError(t, err)
	for tool, name := range map[string]string{"aws": "AWS CLI", "jq": "`jq`", "openssl": "`openssl`", "git": "`git`"} {
		assert.Regexp(t, `(^|[^-\w])`+tool+` `, string(script), "the script needs no %s", tool)
		assert.Contains(t, before, name)
	}
	for _, name := range []string{"Go (the version in `go.mod`)", "`make`"} {
		assert.Contains(t, before, name)
	}
}

func TestDeployScript(t *testing.T) {
	id := "EXTERNAL_ID=0123456789abcdef0123456789abcdef"
	zip := filepath.Join(t.TempDir(), "lambda.zip")
	require.NoError(t, os.WriteFile(zip, []byte("not a zip"), 0o600))
	t.Run("a spoke of another account", func(t *testing.T) {
		printed, calls, err := script(t, "", []string{id, "YES=1"}, ".ci/deploy", "spoke", "111111111111")
		require.Error(t, err)
		assert.Contains(t, printed, "credentials of 999999999999, not of 111111111111")
		assert.NotContains(t, calls, "cloudformation deploy")
	})
	t.Run("a spoke is always told about a former hub", func(t *testing.T) {
		for given, want := range map[string]string{"": "FormerHub=false", "true": "FormerHub=true",
			"false": "FormerHub=false"} {
			printed, _, err := script(t, "", []string{id, "YES=1", "FORMER_HUB=" + given}, ".ci/deploy", "spoke", "111111111111")
			require.Error(t, err, "these are not its credentials")
			assert.Contains(t, printed, want)
			assert.Equal(t, 1, strings.Count(printed, "FormerHub="), printed)
		}
	})
	t.Run("nothing without an answer", func(t *testing.T) {
		printed, calls, err := script(t, "", []string{id, "ARTIFACT=" + zip}, ".ci/deploy", "hub", "dev")
		require.Error(t, err)
		assert.Contains(t, printed, "no terminal to ask at")
		assert.Contains(t, printed, "ArtifactBucket=ec2patch-artifacts-dev", "it must say what it would do")
		assert.NotContains(t, calls, "s3 cp")
	})
	t.Run("a new hub needs its external id", func(t *testing.T) {
		printed, _, err := script(t, "", []string{"YES=1"}, ".ci/deploy", "hub", "dev")
		require.Error(t, err)
		assert.Contains(t, printed, "ec2patch-hub is new: set EXTERNAL_ID")
	})
	for name, failure := range map[string]string{
		"no credentials": "NO_LOGIN=Unable to locate credentials. You can configure credentials by running \"aws " +
			"configure\".",
		"expired login":   "NO_LOGIN=Error when retrieving token from sso: Token has expired and refresh failed",
		"unknown profile": "NO_LOGIN=The config profile (prod) could not be found",
		"no region": "NO_LOOK=You must specify a region. You can also configure your region by running \"aws " +
			"configure\".",
		"dead endpoint": `NO_LOOK=Could not connect to the endpoint URL: "http://127.0.0.1:9/"`,
		"no right": "NO_LOOK=An error occurred (AccessDenied) when calling the DescribeStacks operation: User: me is " +
			"not authorized",
		"another answer": "NO_LOOK=An error occurred (ValidationError) when calling the DescribeStacks operation: Stack " +
			"with id other does not exist",
	} {
		t.Run(name+" makes no stack new", func(t *testing.T) {
			for _, env := range [][]string{{"EXTERNAL_ID="}, {id}} {
				_, said, _ := strings.Cut(failure, "=")
				printed, calls,
					err := script(t, "", append(env, failure, "ARTIFACT="+zip, "YES=1", "STACK_EXISTS=1"), ".ci/deploy", "hub", "prod")
				require.Error(t, err)
				assert.Contains(t, printed, said, "the cause")
				assert.Contains(t, printed, "Nothing was deployed. Log in", "the remedy")
				assert.NotContains(t, printed, "is new")
				assert.NotContains(t, printed, "This deploys", "it stops before it offers anything")
				assert.NotRegexp(t, "s3 cp|cloudformation deploy", calls)
			}
		})
	}
	t.Run("a hub", func(t *testing.T) {
		printed, calls,
			err := script(t, "", []string{id, "ARTIFACT=" + zip, "YES=1", "RELEASE=7.1", "STACK_EXISTS=1",
			"SERVICE_ROLE_ARN=arn:aws:iam::999999999999:role/deploy"}, ".ci/deploy", "hub", "dev")
		require.NoError(t, err, printed)
		assert.Contains(t, calls, "aws s3 cp "+zip+" s3://ec2patch-artifacts-dev/ec2patch/7.1/lambda.zip")
		assert.Contains(t, calls, "--s3-bucket ec2patch-artifacts-dev")
		assert.Contains(t, calls, "--role-arn arn:aws:iam::999999999999:role/deploy")
		assert.Contains(t, calls, `"CrossAccountExternalId=0123456789abcdef0123456789abcdef"`)
		assert.Contains(t, calls, `"ReleaseId=7.1"`)
		assert.Regexp(t, `"ArtifactSha256=[A-Za-z0-9+/]{43}="`, calls)
		assert.NotContains(t, printed, "0123456789abcdef0123456789abcdef", "the external id must not be shown")
		assert.Contains(t, printed, "The external id is set again. The hub and every spoke must have the same one")
	})
	t.Run("an update keeps its external id", func(t *testing.T) {
		printed, calls,
			err := script(t, "", []string{"ARTIFACT=" + zip, "YES=1", "STACK_EXISTS=1", "EXTERNAL_ID="}, ".ci/deploy", "hub",
			"prod")
		require.NoError(t, err)
		assert.NotContains(t, calls, "ExternalId")
		assert.NotContains(t, printed, "set again")
	})
	t.Run("a new hub sets its external id once", func(t *testing.T) {
		printed, calls, err := script(t, "", []string{id, "ARTIFACT=" + zip, "YES=1"}, ".ci/deploy", "hub", "prod")
		require.NoError(t, err, printed)
		assert.Contains(t, printed, "ec2patch-hub (new)")
		assert.Contains(t, calls, `"CrossAccountExternalId=0123456789abcdef0123456789abcdef"`)
		assert.NotContains(t, printed, "set again")
	})
	for _, args := range [][]string{{"hub"}, {"hub", "../x"}, {"all", "dev"}, {"hub", "nowhere"}} {
		_, calls, err := script(t, "", []string{id, "YES=1"}, append([]string{".ci/deploy"}, args...)...)
		require.Error(t, err, args)
		assert.NotContains(t, calls, "deploy", args)
	}
}

var templateFile = regexp.MustCompile(`--template-file (\S+\.yaml)|deploy (cloudformation/\S+\.yaml)`)

// inline is the size above which CloudFormation takes a template from a bucket only. Source: CloudFormation quotas,
// read 2026-11.
const inline = 51_200

// TestCommands_deploy looks at every documented and scripted deployment: a large template has to be uploaded first, one
// with roles needs the capability, and the parameters that a command spells out are those that the template wants.
func TestCommands_deploy(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../docs/*.md", "../../README.md", "../../.ci/*", "../../.github/workflows/*.yml",
		"../../Makefile"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	commands := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
			m := templateFile.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			commands[filepath.Base(m[1]+m[2])]++
			template, err := os.ReadFile("../../" + m[1] + m[2])
			require.NoError(t, err, "%s deploys a template that is not there", file)
			if len(template) > inline {
				assert.Contains(t, line, "--s3-bucket", "%s: %s has %d bytes and must be uploaded", file, m[1]+m[2], len(template))
			}
			if m[2] != "" {
				continue // the script adds capability and parameters; it is tried above
			}
			if strings.Contains(string(template), "RoleName: ") && strings.Contains(string(template), "Type: AWS::IAM::") {
				assert.Contains(t, line, "--capabilities CAPABILITY_NAMED_IAM", "%s: %s has roles with names", file, m[1])
			}
			if !strings.Contains(line, "file://") { // files of parameters have a test of their own
				parsed, err := cfn.Load(m[1], template)
				require.NoError(t, err)
				_,
					err = parsed.Deploy(cfn.Deployment{StackName: "ec2patch", Account: hubAccount, Region: "us-east-1",
					Parameters: spelledOut(t, line)})
				assert.NoError(t, err, "%s: the command for %s", file, m[1])
			}
		}
	}
	for _, file := range []string{"hub-cfn.yaml", "spoke-cfn.yaml", "spoke-stackset.yaml", "organization-reader-cfn.yaml",
		"scheduler-example.yaml", "github-oidc.yaml"} {
		assert.Positive(t, commands[file], "no page shows how %s is deployed", file)
	}
}

// assignment is a parameter in a command: in double quotes, in single quotes, or in none.
var assignment = regexp.MustCompile(`"([A-Z]\w+)=([^"]*)"|'([A-Z]\w+)=([^']*)'|\s([A-Z]\w+)=([^\s"']+)`)

// spelledOut are the parameters in a command, with a value in the place of what only the reader's shell or account
// knows.
func spelledOut(t *testing.T, command string) map[string]string {
	t.Helper()
	_, words, found := strings.Cut(command, "--parameter-overrides")
	require.True(t, found, command)
	unknown := map[string]string{"ExternalId": "0123456789abcdef0123456789abcdef", "DataKeyArn": dataKey, "DataBucketName": "data", "RunInput": `{"waves":[]}`,
		"SpokeTemplateUrl": "https://templates.s3.us-east-1.amazonaws.com/spoke-cfn.yaml"}
	given := map[string]string{}
	for _, m := range assignment.FindAllStringSubmatch(words, -1) {
		key, value := m[1]+m[3]+m[5], m[2]+m[4]+m[6]
		if strings.Contains(value, "$") || strings.Contains(value, "...") {
			require.Contains(t, unknown, key, command)
			value = unknown[key]
		}
		given[key] = value
	}
	return given
}
