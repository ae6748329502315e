package sim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// asks is an input of one wave that asks for approval.
func asks(more string) string {
	return `{"waves":[{"name":"only","accounts":["` + first + `"],"regions":["` + region + `"]` + generous + `}]` + more + `}`
}

func prepared(t *testing.T, input string, approve Approve) *rehearsal {
	t.Helper()
	o := options(t, input)
	o.Approve, o.Instances = approve, 4
	r, err := prepare(o)
	require.NoError(t, err)
	return r
}

func finish(t *testing.T, r *rehearsal) *Result {
	t.Helper()
	res, err := r.run()
	require.NoError(t, err)
	require.NotNil(t, res.Report)
	assert.Empty(t, res.Violations)
	return res
}

// requests are the mails that carry a link.
func requests(r *rehearsal) []backing.Mail {
	var all []backing.Mail
	for _, m := range r.World.Mailbox(stage.Approver) {
		if _, ok := stage.Link(m.Body); ok {
			all = append(all, m)
		}
	}
	return all
}

func TestApproval_Reminders(t *testing.T) {
	r := prepared(t, asks(`,"approvalTimeoutSeconds":3600`), ApproveTimeout)
	res := finish(t, r)
	assert.Equal(t, patch.RunExpired, res.Status)
	assert.Zero(t, res.APICalls["ssm:SendCommand"])
	assert.InDelta(t, 3600, res.VirtualSeconds, 60)

	mails := requests(r)
	require.Len(t, mails, 4, "one request and three reminders in an hour")
	first, _ := stage.Link(mails[0].Body)
	for i, m := range mails {
		u, _ := stage.Link(m.Body)
		assert.Equal(t, first.String(), u.String(), "the same link in each mail")
		assert.Less(t, len(u.String()), 200)
		assert.Less(t, len(m.Subject), 100)
		assert.Equal(t, i > 0, strings.HasPrefix(m.Subject, "Reminder: "), m.Subject)
		assert.Contains(t, m.Body, "\n    ec2patch approve rehearsal-1\n")
		if i > 0 {
			assert.InDelta(t, 15*time.Minute, m.Sent.Sub(mails[i-1].Sent), float64(10*time.Second))
		}
	}
	page := r.human.request(first, "GET", "")
	assert.Equal(t, 410, page.StatusCode)
	assert.Contains(t, page.Body, "over")
}

// The page is opened at the first mail, and the form that was found there sent after a reminder.
func TestApproval_OldPageDecides(t *testing.T) {
	for _, d := range []decision.Choice{decision.Approve, decision.Reject} {
		t.Run(string(d), func(t *testing.T) {
			r := prepared(t, asks(""), ApproveTimeout)
			var typed string
			n := 0
			r.World.OnMail = func(m backing.Mail) {
				u, ok := stage.Link(m.Body)
				if !ok {
					return
				}
				n++
				switch n {
				case 1:
					var found bool
					typed, found = code(r.human.request(u, "GET", "").Body)
					require.True(t, found)
				case 3:
					form := url.Values{"decision": {string(d)}, "name": {"Ann"}, "reason": {"slow reader"}, "code": {typed}}
					r.checks.Decided(d == decision.Approve)
					res := r.human.request(u, "POST", form.Encode())
					assert.Equal(t, 303, res.StatusCode, res.Body)
				}
			}
			res := finish(t, r)
			assert.Equal(t, 3, n, "the decision ends the round at once")
			assert.Equal(t, d == decision.Reject, res.Status == patch.RunRejected, string(res.Status))
			assert.Equal(t, d == decision.Approve, res.APICalls["ssm:SendCommand"] > 0)
		})
	}
}

// An abort ends the wait at once, not at the end of the round.
func TestApproval_Abort(t *testing.T) {
	for _, after := range []time.Duration{time.Minute, 20 * time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			r := prepared(t, asks(""), ApproveTimeout)
			var aborted time.Duration
			r.World.After(after, func() {
				aborted = r.Virtual()
				res := r.human.post(operatorName(0),
					approval.OperatorRequest{Run: r.options.RunID, Action: "abort", Reason: "fire"})
				require.Equal(t, 200, res.StatusCode, res.Body)
				var state approval.OperatorAnswer
				require.NoError(t, json.Unmarshal([]byte(res.Body), &state))
				assert.True(t, state.Recorded)
				assert.False(t, state.Delayed)
				assert.Equal(t, decision.ApprovalPending, question(t, r).Status)
			})
			res := finish(t, r)
			assert.Equal(t, patch.RunAborted, res.Status, res.Report.StatusReason)
			assert.Contains(t, res.Report.StatusReason, "fire")
			assert.Zero(t, res.APICalls["ssm:SendCommand"])
			assert.Less(t, r.Virtual()-aborted, time.Minute)
			for _, i := range res.Report.Instances {
				assert.Equal(t, outcome.NotSent, i.Outcome)
			}
		})
	}
}

// question is the run's question as a status says it.
func question(t *testing.T, r *rehearsal) approval.OperatorApproval {
	t.Helper()
	res := r.human.post(operatorName(9), approval.OperatorRequest{Run: r.options.RunID, Action: "status"})
	require.Equal(t, 200, res.StatusCode, res.Body)
	var state approval.OperatorAnswer
	require.NoError(t, json.Unmarshal([]byte(res.Body), &state))
	require.Len(t, state.Approvals, 1)
	return state.Approvals[0]
}

// A wave is asked about when the pause before it begins, and waits for the rest of the pause.
func TestApproval_PerWaveBeginsThePause(t *testing.T) {
	r := prepared(t, `{"waves":[
		{"name":"a","accounts":["`+first+`"],"regions":["`+region+`"]`+generous+`},
		{"name":"b","accounts":["`+second+`"],"regions":["`+region+`"]`+generous+`}],"approval":"perWave","wavePauseSeconds":7200}`, ApproveAuto)
	var sends []time.Time
	inner := r.World.OnMutating
	r.World.OnMutating = func(e core.Entry) {
		if inner != nil {
			inner(e)
		}
		if e.Name == "ssm:SendCommand" {
			sends = append(sends, e.Time)
		}
	}
	finish(t, r)
	mails := requests(r)
	require.Len(t, mails, 2, "each answer came before its reminder")
	require.NotEmpty(t, sends)
	assert.Contains(t, mails[1].Subject, "wave b")
	assert.GreaterOrEqual(t, sends[len(sends)-1].Sub(mails[1].Sent), 110*time.Minute,
		"the answer came early, the pause goes on")
}

func TestApproval_Distinct(t *testing.T) {
	const requester = "arn:aws:sts::" + stage.HubAccount +
		":assumed-role/AWSReservedSSO_Operators_0123456789abcdef/requester"
	input := asks(`,"requireDistinct":2,"requestedBy":"` + requester + `"`)
	t.Run("two operators approve", func(t *testing.T) {
		r := prepared(t, input, ApproveAuto)
		res := finish(t, r)
		assert.NotContains(t, []patch.RunStatus{patch.RunRejected, patch.RunExpired}, res.Status)
		assert.Positive(t, res.APICalls["ssm:SendCommand"])
		q := question(t, r)
		require.Len(t, q.Decisions, 2)
		assert.Equal(t, decision.ApprovalApproved, q.Status)
		for _, d := range q.Decisions {
			assert.Contains(t, []string{operatorName(0), operatorName(1)}, d.Identity)
		}
	})
	t.Run("the second rejects", func(t *testing.T) {
		res := finish(t, prepared(t, input, ApproveReject))
		assert.Equal(t, patch.RunRejected, res.Status)
		assert.Zero(t, res.APICalls["ssm:SendCommand"])
	})
	t.Run("the report names who settled it", func(t *testing.T) {
		r := prepared(t, input, ApproveTimeout)
		r.World.After(time.Minute, func() { r.human.operate(operatorName(1), decision.Approve) })
		r.World.After(2*time.Minute, func() { r.human.operate(operatorName(0), decision.Reject) })
		res := finish(t, r)
		require.Len(t, res.Report.Approvals, 1)
		assert.Equal(t, decision.ApprovalRejected, res.Report.Approvals[0].Status)
		assert.Equal(t, operatorName(0), res.Report.Approvals[0].Identity, "not the last by name")
	})
	t.Run("one and the requester are not two", func(t *testing.T) {
		r := prepared(t, input, ApproveTimeout)
		statuses := map[string]int{}
		answer := func(who string) {
			q := question(t, r)
			res := r.human.post(who, approval.OperatorRequest{Run: r.options.RunID, Action: string(decision.Approve),
				Code: q.Code})
			statuses[who] = res.StatusCode
		}
		r.World.After(time.Minute, func() { answer(requester) })
		r.World.After(2*time.Minute, func() { answer(operatorName(0)) })
		r.World.After(20*time.Minute, func() { answer(requester) })
		r.World.After(21*time.Minute, func() { // the same person once more
			q := question(t, r)
			assert.Equal(t, 409, r.human.post(operatorName(0),
				approval.OperatorRequest{Run: r.options.RunID, Action: string(decision.Approve), Code: q.Code}).StatusCode)
			assert.Equal(t, decision.ApprovalPending, q.Status)
		})
		res := finish(t, r)
		assert.Equal(t, map[string]int{requester: 403, operatorName(0): 200}, statuses)
		assert.Equal(t, patch.RunExpired, res.Status)
		assert.Zero(t, res.APICalls["ssm:SendCommand"])
	})
	t.Run("the bearer of the link and an operator are not two", func(t *testing.T) {
		r := prepared(t, input, ApproveTimeout)
		asked := 0
		r.World.OnMail = func(m backing.Mail) {
			u, ok := stage.Link(m.Body)
			if !ok {
				return
			}
			asked++
			page := r.human.request(u, "GET", "")
			_, form := code(page.Body)
			assert.False(t, form, "the page of a link asks nothing")
			assert.Contains(t, m.Body, "2 people must approve")
			answer := url.Values{"decision": {"approve"}, "name": {"Ann"}, "code": {question(t, r).Code}}
			assert.Equal(t, 403, r.human.request(u, "POST", answer.Encode()).StatusCode)
			r.human.operate(operatorName(0), decision.Approve)
		}
		res := finish(t, r)
		assert.Positive(t, asked)
		assert.Equal(t, patch.RunExpired, res.Status)
		assert.Zero(t, res.APICalls["ssm:SendCommand"])
	})
}

// With no confirmed subscriber the run waits all the same, and says that nobody was told.
func TestApproval_NobodyTold(t *testing.T) {
	t.Run("nobody answers", func(t *testing.T) {
		r := prepared(t, asks(`,"approvalTimeoutSeconds":3600`), ApproveAuto)
		unsubscribe(r)
		r.World.After(5*time.Minute, func() { assert.False(t, question(t, r).Told) })
		res := finish(t, r)
		assert.Equal(t, patch.RunExpired, res.Status)
		assert.Zero(t, res.APICalls["ssm:SendCommand"])
		assert.Equal(t, 4.0, r.Metrics.Sums["ApprovalUnheard"], "each round counts")
	})
	t.Run("somebody subscribes before a reminder", func(t *testing.T) {
		r := prepared(t, asks(""), ApproveAuto)
		unsubscribe(r)
		r.World.After(5*time.Minute, func() {
			for _, topic := range r.Hub.OfType("AWS::SNS::Topic") {
				r.World.Subscribe(topic.ARN, stage.Approver, true)
			}
		})
		res := finish(t, r)
		assert.Positive(t, res.APICalls["ssm:SendCommand"])
		assert.Equal(t, 1.0, r.Metrics.Sums["ApprovalUnheard"])
		assert.True(t, question(t, r).Told)
	})
	t.Run("by command", func(t *testing.T) {
		r := prepared(t, asks(""), ApproveAuto)
		unsubscribe(r)
		r.World.After(5*time.Minute, func() { r.human.operate(operatorName(0), decision.Approve) })
		assert.Positive(t, finish(t, r).APICalls["ssm:SendCommand"])
	})
}

// A scanner clicks on "unsubscribe" in the first mail: the next round notices.
func TestT17_Unsubscribed(t *testing.T) {
	r := prepared(t, asks(`,"approvalTimeoutSeconds":3600`), ApproveTimeout)
	r.World.OnMail = func(backing.Mail) { unsubscribe(r) }
	told := map[time.Duration]bool{}
	for _, at := range []time.Duration{10 * time.Minute, 20 * time.Minute} {
		r.World.After(at, func() { told[at] = question(t, r).Told })
	}
	res := finish(t, r)
	assert.Equal(t, map[time.Duration]bool{10 * time.Minute: true, 20 * time.Minute: false}, told)
	assert.Equal(t, 3.0, r.Metrics.Sums["ApprovalUnheard"])
	assert.Equal(t, patch.RunExpired, res.Status)
}

// The link in a mail leads to the address that the template gives, and to no other.
func TestT15_LinkOfTheTemplate(t *testing.T) {
	r := prepared(t, asks(""), ApproveReject)
	finish(t, r)
	want := ""
	for _, f := range r.Hub.Functions() {
		if f.Handler == lambdas.ApprovalRequest {
			want = f.Environment["CALLBACK_URL"]
		}
	}
	require.NotEmpty(t, want)
	for _, m := range requests(r) {
		u, _ := stage.Link(m.Body)
		assert.Equal(t, want, u.Scheme+"://"+u.Host+u.Path)
	}
}

func unsubscribe(r *rehearsal) {
	for _, topic := range r.Hub.OfType("AWS::SNS::Topic") {
		r.World.Unsubscribe(topic.ARN, stage.Approver)
	}
}

// unasked keeps SendApprovalRequest from asking again: from some moment on one of its calls fails.
type unasked struct {
	r    *rehearsal
	call string
	from time.Duration
}

func (u unasked) Before(c *core.Call) error {
	if c.Name() == u.call && u.r.Virtual() > u.from && c.SessionOf("ec2patch-SendApprovalRequest") {
		return &smithy.GenericAPIError{Code: "ServiceUnavailable", Message: "out of order", Fault: smithy.FaultServer}
	}
	return nil
}

func (unasked) After(*core.Call) error { return nil }

// Where a question cannot be asked for a week, it expires, and the rounds that
// failed do not fill the history: R-13.
func TestApproval_CannotBeAsked(t *testing.T) {
	for _, call := range []string{"s3:GetObject", "sns:Publish"} {
		for _, from := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s fails after %s", call, from), func(t *testing.T) {
				r := prepared(t, asks(`,"approvalTimeoutSeconds":604800`), ApproveTimeout)
				r.World.Faults = unasked{r, call, from}
				res := finish(t, r)
				if call == "s3:GetObject" && from == 0 { // not even the question can be written
					assert.Equal(t, patch.RunFailed, res.Status)
					return
				}
				assert.Equal(t, patch.RunExpired, res.Status)
				assert.InDelta(t, 7*24*3600, res.VirtualSeconds, 3600)
				assert.Less(t, res.MaxHistoryEvents, 15_000)
			})
		}
	}
}

// Four waves that are each approved after almost a week fit into a history: the
// longer a run lasts, the fewer reminders it sends. R-13.
func TestApproval_AnsweredLate(t *testing.T) {
	const late = 6*24*time.Hour + 20*time.Hour
	var waves []string
	for i, a := range []string{first, second, third, "444444444444"} {
		waves = append(waves, fmt.Sprintf(`{"name":"w%d","accounts":[%q],"regions":[%q]%s}`, i, a, region, generous))
	}
	r := prepared(t, `{"waves":[`+strings.Join(waves, ",")+`],"approval":"perWave","approvalTimeoutSeconds":604800}`, ApproveAuto)
	asked := map[string]bool{}
	r.World.OnMail = func(m backing.Mail) {
		if u, ok := stage.Link(m.Body); ok && !asked[u.String()] {
			asked[u.String()] = true
			r.World.After(late, func() { r.human.mail(m) })
		}
	}
	res := finish(t, r)
	assert.Equal(t, patch.RunSucceeded, res.Status)
	assert.Len(t, asked, 4)
	assert.InDelta(t, 4*late.Seconds(), res.VirtualSeconds, 24*3600)
	assert.Less(t, res.MaxHistoryEvents, 12_500)
	t.Logf("%d events, %d mails", res.MaxHistoryEvents, len(requests(r)))
}

// The second run of the same waves names what is new, gone or ill, in the mail and on the page.
func TestApproval_NamesWhatIsNotable(t *testing.T) {
	o := options(t, asks(""))
	o.Approve, o.Fleet = ApproveAuto, fleet(t, fleetfile.Instance{Name: "web", Count: 4})
	r, err := prepare(o)
	require.NoError(t, err)
	require.Equal(t, patch.RunSucceeded, finish(t, r).Status)
	before := requests(r)
	require.Len(t, before, 1)
	assert.NotContains(t, before[0].Body, "since the last run")

	gone := r.World.Instances()[0]
	r.World.TerminateInstance(gone.ID)
	added,
		err := r.World.AddInstance(world.InstanceSpec{Account: first, Region: region, Name: "sql-7",
		Platform: fleetfile.Windows, Tags: map[string]string{"PatchGroup": "default", "Name": "sql-7"}})
	require.NoError(t, err)
	var page string
	r.World.OnMail = func(m backing.Mail) {
		if u, ok := stage.Link(m.Body); ok {
			page = r.human.request(u, "GET", "").Body
			r.human.mail(m)
		}
	}
	_, err = r.startRun("rehearsal-2")
	require.NoError(t, err)
	for r.open > 0 {
		require.True(t, r.World.Step())
	}
	mails := requests(r)
	require.Len(t, mails, 2)
	assert.Contains(t, mails[1].Body, "  1 new since the last run, 1 gone since the last run\n")
	assert.Contains(t, mails[1].Body, "  "+added.ID+" sql-7, Windows, "+first+" "+region+": new since the last run\n")
	assert.Contains(t, mails[1].Body,
		"  "+gone.ID+" "+gone.Name+", Linux, "+first+" "+region+": gone since the last run\n")
	for _, want := range []string{added.ID, "sql-7", gone.ID, "gone since the last run"} {
		assert.Contains(t, page, want)
	}
}
