package sim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"ec2patch/internal/decision"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/backing"
)

// human is the person who gets the approval mails: a person that the rehearsal
// plays, or the one who sits before it.
type human struct {
	r        *rehearsal
	does     Approve
	doubts   bool // the last question was about a wave that was not good
	callback *stage.Lambda
	said     string // one line for the progress
	page     string // the address at which a person decides, if that line says it
	asking   *asking
}

// expectApprover puts somebody behind the mail address.
func (r *rehearsal) expectApprover() error {
	h := &human{r: r, does: r.options.Approve}
	if h.does == "" {
		h.does = ApproveAuto
	}
	switch h.does {
	case ApproveAuto, ApproveReject, ApproveTimeout, ApproveAsk:
	default:
		return fmt.Errorf("approve %q is none of auto, ask, reject, timeout", h.does)
	}
	for _, l := range r.Lambdas {
		if l.Function.Handler == lambdas.ApprovalCallback {
			h.callback = l
		}
	}
	if h.callback == nil {
		return fmt.Errorf("the hub template has no function %s", lambdas.ApprovalCallback)
	}
	r.human = h
	r.World.OnMail = h.mail
	return nil
}

// say tells at once how an answer goes. Each text names its question, so that
// none is like the one before it.
func (h *human) say(format string, args ...any) { h.tell("", fmt.Sprintf(format, args...)) }

// tell says something, and at which page a person has to act.
func (h *human) tell(page, text string) {
	h.said, h.page = text, page
	h.r.tell()
}

// question names what a link asks about.
func (h *human) question(u *url.URL) string { return h.scope(u).Text() }

// scope is what a link asks about.
func (h *human) scope(u *url.URL) patch.Scope {
	id := u.Query().Get("a")
	for _, w := range h.r.Input.Waves {
		for _, scope := range []patch.Scope{patch.ScopeOfWave(w.Name), patch.ScopeOfSoak(w.Name)} {
			if decision.ApprovalID(h.r.options.RunID, scope) == id {
				return scope
			}
		}
	}
	return patch.ScopeOfRun
}

// rejects tells how the person decides: a plan as the rehearsal was told, and a
// doubtful wave never goes on by itself.
func (h *human) rejects() bool { return h.does == ApproveReject || h.doubts }

// mail is read some minutes after it arrived.
func (h *human) mail(m backing.Mail) {
	u, ok := stage.Link(m.Body)
	if !ok {
		return // a notice
	}
	switch h.does {
	case ApproveTimeout:
		h.say("%s waits; mail sent to %s, nobody answers", h.question(u), m.Endpoint)
		return
	case ApproveAsk:
		h.ask(u)
		return
	}
	h.doubts = h.scope(u).Soak()
	h.say("%s waits; mail sent to %s", h.question(u), m.Endpoint)
	if h.r.Input.RequireDistinct > 1 {
		h.expectOperators(0)
		return
	}
	h.r.World.After(h.patience(), func() { h.answer(u) })
}

// patience is how long somebody takes to answer a mail.
func (h *human) patience() time.Duration {
	return time.Duration(60+h.r.World.Rand("human").IntN(540)) * time.Second
}

// code finds what a person must type: it stands in the page's one kbd element.
func code(page string) (string, bool) {
	m := regexp.MustCompile(`<kbd[^>]*>([^<]+)</kbd>`).FindStringSubmatch(page)
	if m == nil {
		return "", false
	}
	return strings.TrimSpace(m[1]), true
}

// answer opens the page, reads it and sends the form, as a person would.
func (h *human) answer(u *url.URL) {
	page := h.request(u, "GET", "")
	typed, ok := code(page.Body)
	if page.StatusCode != 200 || !ok {
		h.say("%s: the page was answered with %d", h.question(u), page.StatusCode)
		return
	}
	choice := decision.Approve
	if h.rejects() {
		choice = decision.Reject
	}
	form := url.Values{"decision": {string(choice)}, "name": {"Rehearsal"}, "reason": {"rehearsal"}, "code": {typed}}
	// Whoever watches must count an approval from the moment it is on its way, and a rejection once it was taken.
	id := u.Query().Get("a")
	if choice == decision.Approve {
		h.r.checks.DecidedOn(id, true)
	} else {
		h.r.checks.Rejecting(id)
	}
	// The run goes on while the answer is under way, so it is said first.
	h.say("%s %s by Rehearsal", h.question(u), choice.Status())
	switch res := h.request(u, "POST", form.Encode()); {
	case res.StatusCode != 303 && res.StatusCode != 200:
		h.say("%s: the decision was answered with %d", h.question(u), res.StatusCode)
	case choice == decision.Reject:
		h.r.checks.DecidedOn(id, false)
	}
}

// request asks for the page, or sends its form.
func (h *human) request(u *url.URL, method, form string) events.APIGatewayV2HTTPResponse {
	e := event(method, u.Path, u.RawQuery, u.Host)
	e.Body = form
	if form != "" {
		e.Headers["content-type"] = "application/x-www-form-urlencoded"
		e.Headers["origin"] = "https://" + u.Host
	}
	return h.send(e)
}

// event is what API Gateway hands to the function. Source: HTTP API payload format 2.0, read 2026-11.
func event(method, path, query, host string) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: method + " " + path, RawPath: path, RawQueryString: query,
		Headers: map[string]string{"host": host, "user-agent": "rehearsal"},
	}
	e.RequestContext.RouteKey, e.RequestContext.Stage, e.RequestContext.DomainName = e.RouteKey, "$default", host
	e.RequestContext.HTTP.Method, e.RequestContext.HTTP.Path, e.RequestContext.HTTP.SourceIP = method, path, "192.0.2.1"
	return e
}

// send invokes the function as the API does.
func (h *human) send(e events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	failed := events.APIGatewayV2HTTPResponse{StatusCode: 500, Body: `{"message":"Internal Server Error"}`}
	payload, err := json.Marshal(e)
	if err != nil {
		return failed
	}
	before := h.r.checks.Writes
	out, _, failure := h.callback.Invoke(payload)
	h.r.checks.Harmless(e.RequestContext.HTTP.Method, before)
	var res events.APIGatewayV2HTTPResponse
	if failure != nil || json.Unmarshal(out, &res) != nil {
		return failed
	}
	return res
}
