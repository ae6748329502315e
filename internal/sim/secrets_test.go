package sim

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/asl"
	"ec2patch/internal/decision"
	"ec2patch/internal/lambdamain"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/sim/stage"
)

// written is one thing that a run left somewhere.
type written struct{ where, text string }

// eavesdropper keeps everything that a rehearsal shows to somebody.
type eavesdropper struct {
	log     bytes.Buffer // of the functions, and their metrics
	written []written
	tokens  []string // task tokens that the machine made
}

func (e *eavesdropper) note(where, text string) {
	if text != "" {
		e.written = append(e.written, written{where, text})
	}
}

// listen is put between a rehearsal's functions and the rest. What ApprovalRequest
// is given holds the token, what ApprovalCallback is given and answers is the page: they
// are kept under names of their own.
func (e *eavesdropper) listen(r *rehearsal) {
	out := lambdamain.Metrics{Out: &e.log, Now: r.World.Now}
	r.Metrics.Seen = out.Count
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l, inner := r.Lambdas[name], r.Lambdas[name].Handle
		l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
			var in struct{ Token string }
			if l.Function.Handler == lambdas.ApprovalRequest && json.Unmarshal(payload, &in) == nil && in.Token != "" {
				e.tokens = append(e.tokens, in.Token)
				e.note("input of "+name, strings.Replace(string(payload), in.Token, "", 1))
			} else if l.Function.Handler != lambdas.ApprovalCallback {
				e.note("input of "+name, string(payload))
			}
			out, err := inner(ctx, payload)
			where := "answer of " + name
			if l.Function.Handler == lambdas.ApprovalCallback {
				where = "page"
			}
			e.note(where, string(out))
			if err != nil {
				e.note("error of "+name, err.Error())
			}
			if named, ok := errors.AsType[messages.InvokeResponse_Error](err); ok {
				e.note("error of "+name, named.Message)
			}
			return out, err
		}
	}
}

// collect reads what stands when the run is over.
func (e *eavesdropper) collect(t *testing.T, r *rehearsal, res *Result) {
	t.Helper()
	e.note("log", e.log.String())
	for _, x := range r.Engine.Executions() {
		for _, event := range x.History() {
			details, err := json.Marshal(details(event))
			require.NoError(t, err)
			e.note("history: "+event.Type+" of "+event.State, string(details))
		}
	}
	for _, key := range r.World.Objects(r.Bucket(), "") {
		for _, data := range r.World.ObjectVersions(r.Bucket(), key) {
			e.note("object "+key, string(data))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(res.Files)) {
		if name != "history.json" { // looked at above, event by event
			e.note("file "+name, string(res.Files[name]))
		}
	}
	for _, table := range r.Hub.OfType("AWS::DynamoDB::Table") {
		for _, item := range r.World.Items(table.ARN) {
			e.note("table "+table.Name, plainItem(t, item))
		}
	}
	for _, m := range r.World.Mailbox(stage.Approver) {
		body := m.Body
		if u, ok := stage.Link(body); ok {
			body = strings.Replace(body, u.String(), "", 1)
		}
		e.note("mail", m.Subject+"\n"+body)
	}
}

// details are an event's, without the one parameter that must carry the token.
func details(e asl.Event) map[string]any {
	if e.Type != "TaskScheduled" || e.State != "RequestApproval" {
		return e.Details
	}
	kept := map[string]any{}
	for k, v := range e.Details {
		if k == "parameters" {
			v = regexp.MustCompile(`"token":"[^"]*"`).ReplaceAllString(string(v.(json.RawMessage)), "")
		}
		kept[k] = v
	}
	return kept
}

// plainItem is a row as text, without the two members that only rows may hold.
func plainItem(t *testing.T, item map[string]types.AttributeValue) string {
	t.Helper()
	var row map[string]any
	require.NoError(t, unmarshal(item, &row))
	if strings.HasPrefix(fmt.Sprint(row["pk"]), "APPROVAL#") {
		delete(row, "taskToken")
		delete(row, "mac")
	}
	text, err := json.Marshal(row)
	require.NoError(t, err)
	return string(text)
}

// secret is a text that nobody may read, with the places where it belongs.
type secret struct {
	name, text string
	at         string // the one kind of place where it may stand
}

// secrets are those of one run, in each spelling that a leak could have.
func (e *eavesdropper) secrets(t *testing.T, r *rehearsal) []secret {
	t.Helper()
	all := []secret{{"external id", stage.ExternalID, ""}, {"secret key", "secret-of-ASIA", ""},
		{"session token", "token-of-ASIA", ""}}
	for _, token := range e.tokens {
		all = append(all, secret{"task token", token, ""})
	}
	for _, m := range requests(r) {
		u, _ := stage.Link(m.Body)
		capability := u.Query().Get("c")
		mac, ok := decision.ParseCapability(capability)
		require.True(t, ok)
		all = append(all, secret{"capability", capability, "page"})
		all = append(all, spellings("MAC of a link", mac)...)
	}
	for _, d := range decisions(t, r) {
		all = append(all, spellings("MAC of a decision", d.MAC)...)
	}
	return all
}

func spellings(name string, mac []byte) []secret {
	return []secret{
		{name, hex.EncodeToString(mac), ""}, {name, base64.StdEncoding.EncodeToString(mac), ""},
		{name, base64.RawURLEncoding.EncodeToString(mac), "page"}, {name, string(mac), ""},
		{name, strings.Trim(fmt.Sprint(mac), "[]"), ""}, // as %v prints it
	}
}

// decisions are the sealed rows.
func decisions(t *testing.T, r *rehearsal) []decision.Decision {
	t.Helper()
	var all []decision.Decision
	for _, table := range r.Hub.OfType("AWS::DynamoDB::Table") {
		for _, item := range r.World.Items(table.ARN) {
			var d struct {
				Key string `json:"sk"`
				decision.Decision
			}
			require.NoError(t, unmarshal(item, &d))
			if strings.HasPrefix(d.Key, "DECISION#") {
				all = append(all, d.Decision)
			}
		}
	}
	return all
}

// leaks are the secrets that stand where they do not belong.
func (e *eavesdropper) leaks(secrets []secret) []string {
	var found []string
	for _, w := range e.written {
		for _, s := range secrets {
			if strings.Contains(w.text, s.text) && w.where != s.at {
				found = append(found, s.name+" in "+w.where)
			}
		}
		if id := accessKey.FindString(w.text); id != "" {
			found = append(found, "access key id in "+w.where)
		}
	}
	return found
}

var accessKey = regexp.MustCompile(`ASIA[0-9A-F]{16}`)

// overhear runs one rehearsal and listens.
func overhear(t *testing.T, o Options) (*rehearsal, *eavesdropper) {
	t.Helper()
	e := &eavesdropper{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&e.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	r, err := prepare(o)
	require.NoError(t, err)
	e.listen(r)
	res, err := r.run()
	require.NoError(t, err)
	e.collect(t, r, res)
	return r, e
}

// I-59, T-10: what is secret stands where it must, and nowhere else.
func TestSecrets(t *testing.T) {
	tokens, sealed, logged := 0, 0, 0
	for seed := range uint64(100) {
		o := options(t, asks(`,"requestedBy":"arn:aws:iam::`+stage.HubAccount+`:user/x"`))
		if seed%10 == 0 {
			o.Input = []byte(`{"waves":[
				{"name":"a","accounts":["` + first + `"],"regions":["` + region + `"]},
				{"name":"b","accounts":["` + second + `"],"regions":["` + region + `"]}],"approval":"perWave","requireDistinct":2}`)
		}
		o.Seed, o.Instances = seed+1, 2
		o.Faults = []string{"light", "storm"}[seed%2]
		o.Approve = []Approve{ApproveAuto, ApproveAuto, ApproveAuto, ApproveReject, ApproveTimeout}[seed%5]
		r, e := overhear(t, o)
		secrets := e.secrets(t, r)
		assert.Empty(t, e.leaks(secrets), "seed %d", o.Seed)
		tokens, sealed, logged = tokens+len(e.tokens), sealed+len(decisions(t, r)), logged+e.log.Len()
	}
	assert.Greater(t, tokens, 100, "every run has its tokens")
	assert.Greater(t, sealed, 50)
	assert.Positive(t, logged)
}

// The listener itself: each secret is found wherever it is put.
func TestSecrets_areFound(t *testing.T) {
	o := options(t, asks(""))
	o.Instances = 3
	r, e := overhear(t, o)
	secrets := e.secrets(t, r)
	require.Empty(t, e.leaks(secrets))
	kinds := map[string]bool{}
	for _, s := range secrets {
		kinds[s.name] = true
		spilt := &eavesdropper{written: []written{{"log", "before " + s.text + " after"}}}
		assert.NotEmpty(t, spilt.leaks(secrets), s.name)
	}
	for _, name := range []string{"external id", "secret key", "session token", "task token", "capability",
		"MAC of a link", "MAC of a decision"} {
		assert.True(t, kinds[name], name)
	}
	places := map[string]bool{}
	for _, w := range e.written {
		place, _, _ := strings.Cut(w.where, " ")
		places[strings.TrimSuffix(place, ":")] = true
	}
	assert.Equal(t, []string{"answer", "file", "history", "input", "log", "mail", "object", "page", "table"},
		slices.Sorted(maps.Keys(places)))
	var requestSeen bool
	for _, x := range r.Engine.Executions() {
		for _, event := range x.History() {
			raw, err := json.Marshal(event.Details)
			require.NoError(t, err)
			requestSeen = requestSeen || strings.Contains(string(raw), e.tokens[0])
		}
	}
	assert.True(t, requestSeen, "the history's one parameter has the token, so its absence elsewhere means something")
}

func unmarshal(item map[string]types.AttributeValue, into any) error {
	return attributevalue.UnmarshalMapWithOptions(item, into, func(o *attributevalue.DecoderOptions) { o.TagKey = "json" })
}
