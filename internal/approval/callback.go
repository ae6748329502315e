package approval

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Callback is the task of ApprovalCallback: the page on which people decide,
// and the operator's door. Whoever can reach it may send anything, so nothing
// is believed before the link's MAC, or the caller's IAM identity, was checked.
type Callback struct {
	Table     store.Table
	Objects   store.Objects
	Links     port.Verifier
	Decisions port.Signer // also checks: a MAC of this key can be made again and compared
	Waiter    port.Waiter
	Notices   port.Mail
	Auditor   store.Signer
	People    decision.People // who counts as whom, of those who decide
	Now       port.Clock

	OldDecisions    port.Signer // the previous key, after a rotation; nil: there is none
	HubAccount      patch.AccountID
	StateMachineARN string // runs of any other machine are unknown here; empty: not compared
}

// HTTPRequest is one request, as the HTTP API delivers it.
type HTTPRequest struct {
	Method   string
	Path     string // without the stage
	RawQuery string
	Header   map[string]string // names in lower case; "host" is the API's own domain
	Body     []byte
	Caller   string // ARN of the AWS_IAM caller, empty if there is none
	Subject  string // subject of a verified JWT, empty if there is none
	SourceIP string
}

// HTTPResponse is the answer to one request.
type HTTPResponse struct {
	Status int
	Header map[string]string
	Body   []byte
}

// The paths that there are. Each is compared byte by byte.
const (
	callbackPath = "/callback"
	operatorPath = "/operator"
)

// Handle answers one request. It returns no error for anything that a stranger
// can cause; a failure of AWS is logged and answered with 503.
func (c *Callback) Handle(ctx context.Context, r HTTPRequest) (HTTPResponse, error) {
	switch r.Path {
	case callbackPath:
		return c.callback(ctx, r)
	case operatorPath:
		if r.Method != http.MethodPost {
			return notAllowed(http.MethodPost), nil
		}
		return c.operator(ctx, r), nil
	}
	return plain(http.StatusNotFound, "Not found."), nil
}

func (c *Callback) callback(ctx context.Context, r HTTPRequest) (HTTPResponse, error) {
	switch r.Method {
	case http.MethodGet:
		return c.show(ctx, r)
	case http.MethodPost:
		return c.submit(ctx, r)
	}
	return notAllowed(http.MethodGet + ", " + http.MethodPost), nil
}

// show is GET: it writes nothing, whatever the request carries.
func (c *Callback) show(ctx context.Context, r HTTPRequest) (HTTPResponse, error) {
	if prefetched(r) {
		return plain(http.StatusForbidden, "Open the link to see the plan."), nil
	}
	l, ok := linkFrom(r.RawQuery)
	if !ok {
		return pageDamaged.answer()
	}
	q, err := c.open(ctx, l)
	if err != nil {
		return c.failed(err)
	}
	return c.answerState(ctx, r, l, q, http.StatusOK, formView{})
}

// submit is POST: the one way in which the bearer of a link decides.
func (c *Callback) submit(ctx context.Context, r HTTPRequest) (HTTPResponse, error) {
	form, err := readForm(r)
	if err != nil {
		return c.failed(err)
	}
	q, err := c.open(ctx, form.link)
	if err != nil {
		return c.failed(err)
	}
	who, ok := identityOf(r)
	if !ok {
		return pageForeign.answer()
	}
	if _, err := c.decidable(ctx, q); err != nil {
		return c.undecidable(q, err)
	}
	if q.status == decision.ApprovalPending && c.bars(q, who, form.decision) == "" {
		if typed := form.check(q.rec); len(typed.Problems) > 0 {
			return c.answerState(ctx, r, form.link, q, http.StatusUnprocessableEntity, typed)
		}
	}
	done, err := c.decide(ctx, q, answer{
		decision: form.decision, identity: who, name: form.name, reason: form.reason, from: origin(r),
	})
	if err != nil {
		return c.failed(err)
	}
	if done.barred != "" {
		return c.answerState(ctx, r, form.link, done.q, http.StatusForbidden, formView{late: true})
	}
	if !done.recorded {
		return c.answerState(ctx, r, form.link, done.q, http.StatusConflict, formView{late: true})
	}
	if done.slow {
		return c.answerState(ctx, r, form.link, done.q, http.StatusOK, formView{slow: true})
	}
	res := plain(http.StatusSeeOther, "Recorded.")
	res.Header["Location"] = form.link.target() // relative: the stage may be part of the path
	return res, nil
}

// undecidable is the page of a question that cannot be decided.
func (c *Callback) undecidable(q question, err error) (HTTPResponse, error) {
	if no, ok := refusalOf(err); ok && no == pageAborted {
		w := no.words()
		return render(w.status, pageView{Title: w.title, Tone: "none", Sign: "i", Headline: w.title,
			Text: []string{q.abortText()}})
	}
	return c.failed(err)
}

// failed answers what is not the visitor's doing, and hides what it was.
func (c *Callback) failed(err error) (HTTPResponse, error) {
	if no, ok := refusalOf(err); ok {
		return no.answer()
	}
	if patch.KindOf(err) == patch.ErrTampered {
		slog.Error("approval record refused", "err", err)
		return pageTampered.answer()
	}
	slog.Error("approval page unavailable", "err", err)
	return pageBusy.answer()
}

// identityOf is who decides: the subject of a login, or "link" for whoever
// bears the link. A subject can never pass for the bearer or for an IAM caller.
func identityOf(r HTTPRequest) (string, bool) {
	s := r.Subject
	if s == "" {
		return decision.Bearer, true
	}
	if len(s) > maxIdentity || s != words.Clean(s) || s == decision.Bearer || strings.HasPrefix(s, "arn:") {
		return "", false
	}
	return s, true
}

// maxIdentity, in bytes, keeps the sort key of a decision below DynamoDB's 1,024 bytes.
// Source: DynamoDB quotas, sort key values, read 2026-11.
const maxIdentity = 512

// origin says where a request came from, for the audit alone.
func origin(r HTTPRequest) string {
	return fmt.Sprintf("from %s, agent %q",
		words.Clean(r.SourceIP, words.Limit(45)), words.Clean(r.Header["user-agent"], words.Limit(160)))
}

// prefetched tells whether a browser or an unfurling chat asks before anybody clicked.
func prefetched(r HTTPRequest) bool {
	for _, name := range []string{"sec-purpose", "purpose", "x-purpose", "x-moz"} {
		v := strings.ToLower(r.Header[name])
		if strings.Contains(v, "prefetch") || strings.Contains(v, "prerender") || strings.Contains(v, "preview") {
			return true
		}
	}
	return false
}

// over tells whether the question can no longer be answered, decided or not.
func (q question) over(now time.Time) bool { return !now.Before(q.rec.Expires) }
