package sim

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"ec2patch/internal/approval"
	"ec2patch/internal/decision"
	"ec2patch/internal/sim/stage"
)

// operatorName is the IAM identity of the nth person who may decide by command: a session of a role of Identity Center,
// which names it after the person.
func operatorName(n int) string {
	return fmt.Sprintf("arn:aws:sts::%s:assumed-role/AWSReservedSSO_Operators_0123456789abcdef/operator-%d",
		stage.HubAccount, n+1)
}

// expectOperators lets as many people answer by command as the run wants. The
// one who asked for the run tries too, and must not count. present is how many
// have answered by other means.
func (h *human) expectOperators(present int) {
	if by := h.r.Input.RequestedBy; strings.HasPrefix(by, "arn:") {
		h.r.World.After(h.patience(), func() { h.operate(by, decision.Approve) })
	}
	for n := present; n < h.r.Input.RequireDistinct; n++ {
		d := decision.Approve
		if h.rejects() && n == h.r.Input.RequireDistinct-1 {
			d = decision.Reject // the last one does not agree
		}
		h.r.World.After(h.patience(), func() { h.operate(operatorName(n), d) })
	}
}

// operate does what `ec2patch approve` does: it asks how the run stands, and
// decides about the plan that it was shown.
func (h *human) operate(who string, d decision.Choice) {
	var state approval.OperatorAnswer
	request := approval.OperatorRequest{Run: h.r.options.RunID, Action: "status"}
	if res := h.post(who, request); res.StatusCode != 200 || json.Unmarshal([]byte(res.Body), &state) != nil {
		h.say("the status of the run was answered with %d", res.StatusCode)
		return
	}
	for _, q := range state.Approvals {
		if q.Status != decision.ApprovalPending {
			continue
		}
		request = approval.OperatorRequest{Run: h.r.options.RunID, Action: string(d), Scope: q.Scope, Code: q.Code,
			Reason: "rehearsal"}
		// Whoever watches must count an approval from the moment it is on its way, and a rejection once it was taken:
		// one that others forestalled changes nothing.
		id := decision.ApprovalID(h.r.options.RunID, q.Scope)
		if d == decision.Approve && len(q.Decisions)+1 >= q.Needed && who != h.r.Input.RequestedBy {
			h.r.checks.DecidedOn(id, true)
		}
		if d == decision.Reject {
			h.r.checks.Rejecting(id)
		}
		// The run goes on while the answer is under way, so it is said first.
		text := fmt.Sprintf("%s %s by %s", q.Scope.Text(), d.Status(), path.Base(who))
		if d == decision.Approve && q.Needed > 1 {
			text += fmt.Sprintf(", %d of %d", len(q.Decisions)+1, q.Needed)
		}
		if who != h.r.Input.RequestedBy {
			h.say("%s", text)
		}
		switch res := h.post(who, request); {
		case res.StatusCode != 200:
			h.say("%s: not %s by %s, the answer was %d", q.Scope.Text(), d.Status(), path.Base(who), res.StatusCode)
		case d == decision.Reject:
			h.r.checks.DecidedOn(id, false)
		}
	}
}

// post is a signed request to the operator's route: API Gateway has proven who sends it.
func (h *human) post(who string, in approval.OperatorRequest) events.APIGatewayV2HTTPResponse {
	body, err := json.Marshal(in)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{StatusCode: 400}
	}
	e := event("POST", "/operator", "", "operator.rehearsal.invalid")
	e.Headers["content-type"] = "application/json"
	e.Body = string(body)
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: who, AccountID: stage.HubAccount},
	}
	return h.send(e)
}
