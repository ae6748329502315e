package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cli"
	"ec2patch/internal/decision"
	"ec2patch/internal/golden"
	"ec2patch/internal/operator"
)

const hubURL = "https://abc123.execute-api.us-east-1.amazonaws.com/operator"

// aHub answers like a hub's function; every request to it must be signed.
type aHub struct {
	t      *testing.T
	state  operator.State
	answer func(operator.Request) (int, any) // to what is no status
	got    []operator.Request
}

func (h *aHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth := r.Header.Get("Authorization")
	assert.True(h.t, strings.HasPrefix(auth,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261201/us-east-1/execute-api/aws4_request"), auth)
	assert.Equal(h.t, "POST", r.Method)
	var in operator.Request
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	assert.NoError(h.t, dec.Decode(&in))
	h.got = append(h.got, in)
	status, body := 200, any(h.state)
	if in.Action != operator.Status || h.state.Run == "" {
		status, body = h.answer(in)
	}
	w.WriteHeader(status)
	assert.NoError(h.t, json.NewEncoder(w).Encode(body))
}

// reach makes the program speak to the hub, whatever the URL says.
func (h *aHub) reach(p *cli.Program) {
	server := httptest.NewServer(h)
	h.t.Cleanup(server.Close)
	p.Operator = func(_ context.Context, url string) (cli.Operator, error) {
		return &operator.Client{
			URL: server.URL, Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
			Now:         func() time.Time { return time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC) },
		}, nil
	}
}

func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-12-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func waiting(change ...func(*operator.Question)) operator.State {
	q := operator.Question{
		Scope: "run", Status: "pending", Instances: 412, Code: "412-9f3c", Digest: "9f3c" + strings.Repeat("ab", 30),
		Asked: at("10:00"), Expires: at("14:00"), Needed: 1, Told: true, Decisions: []operator.Decision{},
	}
	for _, f := range change {
		f(&q)
	}
	return operator.State{Run: "october", Status: "Running", Digest: q.Digest, Planned: 412,
		Questions: []operator.Question{q}}
}

func decidedBy(who string, choice decision.Choice, status decision.Status) func(*operator.Question) {
	return func(q *operator.Question) {
		q.Status = status
		q.Decisions = append(q.Decisions,
			operator.Decision{Decision: choice, Identity: "arn:aws:sts::999999999999:assumed-role/Operators/" + who,
				Reason: "as agreed\x1b[2J", At: at("10:20")})
	}
}

// records answers with the state as it is after the request.
func records(s operator.State) func(operator.Request) (int, any) {
	s.Recorded = true
	return func(operator.Request) (int, any) { return 200, s }
}

func refuses(status int, code, message string, state *operator.State) func(operator.Request) (int, any) {
	return func(operator.Request) (int, any) {
		return status, operator.Refusal{Code: code, Message: message, State: state}
	}
}

func TestDecisions(t *testing.T) {
	approved, rejected := waiting(decidedBy("ann", "approve", "approved")), waiting(decidedBy("bob", "reject", "rejected"))
	half := waiting(func(q *operator.Question) { q.Needed = 2 }, decidedBy("ann", "approve", "pending"))
	two := waiting()
	two.Questions = append(two.Questions, waiting(func(q *operator.Question) { q.Scope = "soak:canary" }).Questions...)
	aborted := waiting()
	aborted.Aborted = &operator.Aborted{By: "arn:aws:sts::999999999999:assumed-role/Operators/bob", Reason: "fire",
		At: at("10:05")}
	slow := waiting(decidedBy("ann", "approve", "approved"))
	slow.Delayed = true
	yes := []string{operatorEnv}
	tests := []struct {
		name  string
		args  string
		env   []string
		typed string // empty: stdin is no terminal
		hub   aHub
		sends int // requests that reach the hub
	}{
		{name: "approve", args: "approve october --yes", env: yes, hub: aHub{state: waiting(), answer: records(approved)},
			sends: 2},
		{name: "approve-typed", args: "approve october --reason ok --url " + hubURL, typed: "412-9F3C\n",
			hub: aHub{state: waiting(), answer: records(approved)}, sends: 2},
		{name: "approve-mistyped", args: "approve october", env: yes, typed: "412\n", hub: aHub{state: waiting()}, sends: 1},
		{name: "approve-nothing-typed", args: "approve october", env: yes, typed: "\n", hub: aHub{state: waiting()},
			sends: 1},
		{name: "approve-no-terminal", args: "approve october", env: yes},
		{name: "approve-no-url", args: "approve october --yes"},
		{name: "approve-plain-url", args: "approve october --yes --url http://hub.example.com/operator"},
		{name: "approve-no-run", args: "approve --yes", env: yes},
		{name: "approve-json", args: "approve october --yes --format json", env: yes,
			hub: aHub{state: waiting(), answer: records(approved)}, sends: 2},
		{name: "approve-first-of-two", args: "approve october --yes", env: yes,
			hub: aHub{state: waiting(func(q *operator.Question) {
				q.Needed, q.Told = 2, false
			}), answer: records(half)}, sends: 2},
		{name: "approve-once-more", args: "approve october --yes", env: yes,
			hub: aHub{state: half, answer: refuses(409, "already_decided", "decided before", &half)}, sends: 2},
		{name: "approve-slow", args: "approve october --yes", env: yes, hub: aHub{state: waiting(), answer: records(slow)},
			sends: 2},
		{name: "approve-approved", args: "approve october --yes", env: yes, hub: aHub{state: approved}, sends: 1},
		{name: "approve-rejected", args: "approve october --yes", env: yes, hub: aHub{state: rejected}, sends: 1},
		{name: "approve-rejected-json", args: "approve october --yes --format json", env: yes, hub: aHub{state: rejected},
			sends: 1},
		{name: "approve-too-late", args: "approve october --yes", env: yes,
			hub: aHub{state: waiting(), answer: refuses(409, "already_decided", "decided before; this answer changed nothing",
				&rejected)}, sends: 2},
		{name: "approve-at-the-same-time", args: "approve october --yes", env: yes,
			hub: aHub{state: waiting(), answer: refuses(409, "already_decided", "decided before", &approved)}, sends: 2},
		{name: "approve-own-run", args: "approve october --yes", env: yes,
			hub: aHub{state: waiting(), answer: refuses(403, "own_run", "you requested this run; others must decide on it",
				nil)}, sends: 2},
		{name: "approve-expired", args: "approve october --yes --format json", env: yes,
			hub: aHub{state: waiting(), answer: refuses(410, "expired", "the time to decide is over", nil)}, sends: 2},
		{name: "approve-other-plan", args: "approve october --yes", env: yes,
			hub: aHub{state: waiting(), answer: refuses(422, "wrong_code", "this is not the plan", nil)}, sends: 2},
		{name: "approve-denied", args: "approve october --yes", env: yes,
			hub: aHub{answer: refuses(403, "", "Forbidden", nil)}, sends: 1},
		{name: "approve-unknown-run", args: "approve october --yes", env: yes,
			hub: aHub{answer: refuses(404, "not_found", "there is no such run or approval request", nil)}, sends: 1},
		{name: "approve-unavailable", args: "approve october --yes", env: yes,
			hub: aHub{state: waiting(), answer: refuses(503, "unavailable", "not possible just now", nil)}, sends: 2},
		{name: "approve-several", args: "approve october --yes", env: yes, hub: aHub{state: two}, sends: 1},
		{name: "approve-scope", args: "approve october --yes --scope soak:canary", env: yes,
			hub: aHub{state: two, answer: records(waiting(func(q *operator.Question) {
				q.Scope = "soak:canary"
			}, decidedBy("ann", "approve", "approved")))}, sends: 2},
		{name: "approve-unknown-scope", args: "approve october --yes --scope wave:x", env: yes, hub: aHub{state: two},
			sends: 1},
		{name: "approve-nothing-asked", args: "approve october --yes", env: yes,
			hub: aHub{state: operator.State{Run: "october", Status: "Running"}}, sends: 1},
		{name: "approve-aborted", args: "approve october --yes", env: yes,
			hub: aHub{state: aborted, answer: records(approved)}, sends: 2},
		{name: "reject", args: "reject october --yes --reason freeze", env: yes,
			hub: aHub{state: waiting(), answer: records(rejected)}, sends: 2},
		{name: "reject-no-reason", args: "reject october --yes", env: yes},
		{name: "reject-approved", args: "reject october --yes --reason freeze", env: yes, hub: aHub{state: approved},
			sends: 1},
		{name: "abort", args: "abort october --yes --reason fire --cancel-in-flight", env: yes,
			hub: aHub{state: waiting(), answer: records(aborted)}, sends: 2},
		{name: "abort-typed", args: "abort october --reason fire", env: yes, typed: "october\n",
			hub: aHub{state: waiting(), answer: records(aborted)}, sends: 2},
		{name: "abort-mistyped", args: "abort october --reason fire", env: yes, typed: "yes\n", hub: aHub{state: waiting()},
			sends: 1},
		{name: "abort-twice", args: "abort october --yes --reason fire", env: yes,
			hub: aHub{state: aborted, answer: func(operator.Request) (int, any) {
				return 200, aborted
			}}, sends: 2},
		{name: "abort-ended", args: "abort october --yes --reason fire --format json", env: yes,
			hub: aHub{state: waiting(), answer: refuses(410, "run_ended", "the run has ended", nil)}, sends: 2},
		{name: "help-approve", args: "help approve"},
		{name: "help-abort", args: "abort --help"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			tt.hub.t = t
			tt.hub.reach(&p)
			p.Interactive = func(io.Reader) bool { return tt.typed != "" }
			c := run(t.Context(), p, tt.env, tt.typed, strings.Fields(tt.args)...)
			assert.Len(t, tt.hub.got, tt.sends)
			text := transcript(tt.args, c)
			if len(tt.hub.got) > 1 {
				sent, err := json.Marshal(tt.hub.got[1])
				require.NoError(t, err)
				text += "-- sent --\n" + string(sent) + "\n"
			}
			golden.Equal(t, "script/"+tt.name+".txt", []byte(text))
		})
	}
}

const operatorEnv = "EC2PATCH_OPERATOR_URL=" + hubURL

func TestDecisions_NoCredentials(t *testing.T) {
	p := program()
	p.Operator = func(_ context.Context, url string) (cli.Operator, error) {
		return &operator.Client{URL: url, Now: time.Now,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, errors.New("the SSO session has expired")
			})}, nil
	}
	c := run(t.Context(), p, []string{operatorEnv}, "", "approve", "october", "--yes")
	assert.Equal(t, cli.ExitDenied, c.code)
	assert.Contains(t, c.stderr, "no AWS credentials: the SSO session has expired")
	assert.Empty(t, c.stdout)
}

func TestDecisions_NoRegion(t *testing.T) {
	p := program()
	p.Operator = func(context.Context, string) (cli.Operator, error) {
		return &operator.Client{URL: "https://patching.example.com/operator", Now: time.Now}, nil
	}
	c := run(t.Context(), p, []string{operatorEnv}, "", "approve", "october", "--yes")
	assert.Equal(t, cli.ExitUsage, c.code)
	assert.Contains(t, c.stderr, "set AWS_REGION")
}

// hangUp loses the answer of what decides.
type hangUp struct{ state operator.State }

func (h hangUp) Do(_ context.Context, in operator.Request) (operator.State, error) {
	if in.Action == operator.Status {
		return h.state, nil
	}
	return operator.State{}, errors.New("no answer from the hub: EOF")
}

func TestDecisions_AnswerLost(t *testing.T) {
	p := program()
	p.Operator = func(context.Context, string) (cli.Operator, error) { return hangUp{waiting()}, nil }
	c := run(t.Context(), p, []string{operatorEnv}, "", "reject", "october", "--yes", "--reason", "x")
	assert.Equal(t, cli.ExitUnexpected, c.code)
	assert.Contains(t, c.stderr, "whether it was recorded is not known")
}

func TestDecisions_Interrupted(t *testing.T) {
	p := program()
	ctx, cancel := context.WithCancel(t.Context())
	p.Operator = func(context.Context, string) (cli.Operator, error) { return hangUp{waiting()}, nil }
	p.Interactive = func(io.Reader) bool { return true }
	never, hold := io.Pipe()
	t.Cleanup(func() { hold.Close() })
	var stdout, stderr strings.Builder
	go cancel()
	err := p.Run(ctx, []string{"approve", "october"}, []string{operatorEnv}, never, &stdout, &stderr)
	assert.Equal(t, cli.ExitInterrupted, cli.ExitCode(err))
	assert.Contains(t, stderr.String(), "nothing was decided")
	assert.Empty(t, stdout.String())
}
