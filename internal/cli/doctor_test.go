package cli_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/cli"
	"ec2patch/internal/golden"
	"ec2patch/internal/hub"
	"ec2patch/internal/operator"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
)

func (h *anAccount) Deployed(context.Context) (hub.Deployed, error) { return h.deployed, h.noMachine }

func (h *anAccount) Ringing(_ context.Context, ends []string) (known, on []string, err error) {
	assert.Equal(h.t, []string{"ApprovalUnheard", "PatchFailureRate"}, ends)
	for _, end := range ends {
		known = append(known, "ec2patch-"+end)
	}
	if h.noAlarms {
		known = nil
	}
	return known, h.ringing, h.alarms
}

func (h *anAccount) Audience(context.Context) (hub.Audience, error) {
	if h.audience == nil {
		return hub.Audience{
			Closed: true, Deployed: []string{"team@example.com"},
			Subscribers: []hub.Subscriber{{Protocol: "email", Endpoint: "team@example.com", Confirmed: true}},
		}, h.alarms
	}
	return *h.audience, h.alarms
}

func TestDoctor(t *testing.T) {
	open := &hub.Audience{Subscribers: []hub.Subscriber{{Protocol: "email", Endpoint: "team@example.com",
		Confirmed: true}}}
	strangers := &hub.Audience{Closed: true, Deployed: []string{"team@example.com"}}
	for _, who := range []string{"team", "eve", "b", "c", "d", "e", "f"} {
		strangers.Subscribers = append(strangers.Subscribers,
			hub.Subscriber{Protocol: "email", Endpoint: who + "@example.com", Confirmed: who == "eve"})
	}
	twice := &hub.Audience{Closed: true, Deployed: []string{"https://x"}, Subscribers: []hub.Subscriber{
		{Protocol: "https", Endpoint: "https://x", Confirmed: true},
		{Protocol: "https", Endpoint: "https://x", Confirmed: true},
	}}
	good := hub.Deployed{Active: true, Standard: true, Logged: true, Definition: "ours", Target: "ours"}
	ended := []hub.Execution{{Run: "october", Status: "SUCCEEDED", Started: at("00:00"), Ended: at("00:09")}}
	denied := fmt.Errorf("look at it: %w: AccessDeniedException: no", hub.ErrDenied)
	mayDecide := refuses(404, "not_found", "there is no such run or approval request", nil)
	const versioned = `ours{"FunctionName":"arn:aws:lambda:us-east-1:999999999999:function:ec2patch-PollSsmCommand:7"}`
	good.Definition = versioned
	loud := hub.Deployed{Active: true, Standard: true, Logged: true, LogsData: true, Definition: `{"FunctionName":"arn:aws:lambda:us-east-1:999999999999:function:ec2patch-PollSsmCommand"}`}
	old := append([]hub.Execution{{Run: "november", Status: "FAILED", Started: at("00:10"), Ended: at("00:11")}},
		hub.Execution{Run: "stuck", Status: "RUNNING", Started: at("00:00").Add(-100 * time.Hour)})
	all := story(t, "{}", succeeded())
	full, begun := all[len(all)-1:], all[:1]
	entered := reported(t, 1, func(r *report.Report) { r.Unreachable = nil })
	shut := reported(t, 1, func(r *report.Report) {
		r.Unreachable = nil
		for i := range 7 {
			for _, region := range []patch.Region{"us-east-1", "eu-west-1"} {
				u := plan.UnreachableAccount{Account: patch.AccountID(strings.Repeat(fmt.Sprint(i+1), 12)), Region: region}
				u.Reason = "assume role PatchExecRoleReader in account " + string(u.Account) +
					": Patch.AccessDenied: User: somebody is not authorized"
				r.Unreachable = append(r.Unreachable, u)
			}
		}
		r.Unreachable = append(r.Unreachable, plan.UnreachableAccount{Account: "888888888888", Reason: "discovery failed"})
	})
	tests := []struct {
		name  string
		args  string
		hub   anAccount
		url   string
		says  func(operator.Request) (int, any)
		width int
	}{
		{name: "doctor", hub: anAccount{deployed: good, known: ended, looks: full, reports: entered}, url: hubURL,
			says: mayDecide},
		{name: "doctor-json", args: "--format json",
			hub: anAccount{deployed: good, known: ended, looks: full, reports: entered}, url: hubURL, says: mayDecide},
		{name: "doctor-spokes", hub: anAccount{deployed: good, known: ended, looks: full, reports: shut}, url: hubURL,
			says: mayDecide},
		{
			name: "doctor-strangers",
			hub:  anAccount{deployed: good, known: ended, looks: full, reports: entered, audience: strangers},
			url:  hubURL, says: mayDecide,
		},
		{
			name: "doctor-open-topic",
			hub:  anAccount{deployed: good, known: ended, looks: full, reports: entered, audience: open},
			url:  hubURL, says: mayDecide,
		},
		{
			name: "doctor-twice", hub: anAccount{deployed: good, known: ended, looks: full, reports: entered, audience: twice},
			url: hubURL, says: mayDecide,
		},
		{name: "doctor-no-report", hub: anAccount{deployed: good, known: ended, looks: begun}, url: hubURL, says: mayDecide},
		{name: "doctor-60", hub: anAccount{deployed: good, known: ended, looks: full, reports: entered}, width: 60},
		{name: "doctor-first-day", hub: anAccount{deployed: hub.Deployed{Active: true, Standard: true, Definition: "ours",
			Target: "ours"}, noAlarms: true}, url: hubURL, says: refuses(403, "", "Forbidden", nil)},
		{name: "doctor-sick", hub: anAccount{deployed: loud, known: old,
			ringing: []string{"ec2patch-ApprovalUnheard", "ec2patch-PatchFailureRate"}}, url: "http://hub.example.com/operator"},
		{name: "doctor-warned", hub: anAccount{deployed: good, known: ended, ringing: []string{"ec2patch-PatchFailureRate"}},
			url: hubURL, says: refuses(503, "unavailable", "not possible just now", nil)},
		{name: "doctor-may-not-look", hub: anAccount{noMachine: denied, alarms: denied, known: ended}, url: hubURL,
			says: mayDecide},
		{name: "doctor-no-machine", hub: anAccount{noMachine: fmt.Errorf("look at the state machine: %w: "+
			"StateMachineDoesNotExist", hub.ErrNotFound)}, url: hubURL, says: mayDecide},
		{name: "doctor-deleted", hub: anAccount{deployed: hub.Deployed{Standard: true, Logged: true, Definition: "ours",
			Target: "ours"}}, url: hubURL, says: mayDecide},
		{name: "doctor-no-credentials",
			hub: anAccount{caller: fmt.Errorf("ask who signs: %w: ExpiredToken: over", hub.ErrNoCredentials)}},
		{name: "doctor-no-answer", hub: anAccount{caller: errors.New("ask who signs: no answer from " +
			"sts.us-east-1.amazonaws.com: connection refused")}},
		{name: "doctor-no-answer-json", args: "--format json",
			hub: anAccount{caller: errors.New("ask who signs: no answer from sts.us-east-1.amazonaws.com: connection refused")}},
		{name: "doctor-caller-denied", hub: anAccount{caller: denied}},
		{name: "doctor-argument", args: "october"},
		{name: "help-doctor", args: "--help"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			p.Hub = []byte("AlarmName: !Sub \"${NamePrefix}-ApprovalUnheard\"\nAlarmName: !Sub " +
				"\"${NamePrefix}-PatchFailureRate\"\n")
			tt.hub.t = t
			tt.hub.reach(&p)
			api := aHub{t: t, answer: tt.says}
			if tt.says != nil {
				api.reach(&p)
			}
			if tt.width > 0 {
				onTerminal(tt.width)(&p)
			}
			env := []string{machineEnv, "EC2PATCH_OPERATOR_URL=" + tt.url}
			args := strings.TrimSpace("doctor " + tt.args)
			c := run(t.Context(), p, env, "", strings.Fields(args)...)
			golden.Equal(t, "script/"+tt.name+".txt", []byte(transcript(args, c)))
		})
	}
}

// The alarms that doctor knows are those of the template.
func TestDoctor_alarmsOfTheTemplate(t *testing.T) {
	h := &counting{anAccount: &anAccount{t: t}}
	p := program()
	p.Hub = []byte(page(t, "cloudformation/hub-cfn.yaml"))
	p.Runs = func(context.Context, hub.Machine) (cli.Runs, error) { return h, nil }
	run(t.Context(), p, []string{machineEnv}, "", "doctor")
	assert.Equal(t, strings.Count(string(p.Hub), "AlarmName: "), len(h.ends))
	for _, end := range []string{"ApprovalUnheard", "ApprovalNotDelivered"} {
		assert.Contains(t, h.ends, end)
	}
}

// counting keeps the names that are asked for.
type counting struct {
	*anAccount
	ends []string
}

func (c *counting) Ringing(_ context.Context, ends []string) (known, on []string, err error) {
	c.ends = ends
	return nil, nil, errors.New("not now")
}
