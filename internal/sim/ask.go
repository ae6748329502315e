package sim

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"ec2patch/internal/decision"
)

// asking serves the approval page on this machine until somebody decides.
type asking struct {
	link     *url.URL // as the mail has it
	server   *http.Server
	origin   string // of the local server
	requests chan localRequest
	closed   chan struct{} // the server has ended
}

// localRequest is one request of the browser, answered by the rehearsal's one thread.
type localRequest struct {
	r     *http.Request
	body  []byte
	reply chan events.APIGatewayV2HTTPResponse
}

const (
	// maxLocalBody bounds what a browser may send.
	maxLocalBody = 64 << 10
	// defaultLinger is how long the local page stays after the last request that follows a decision.
	defaultLinger = 2 * time.Second
	// maxLingering bounds the requests that are answered after the decision.
	maxLingering = 1000
)

// ask begins to serve the page. A reminder finds it served already.
func (h *human) ask(u *url.URL) {
	if h.asking != nil {
		h.asking.link = u
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.say("cannot serve the approval page: %v", err)
		h.does = ApproveTimeout
		return
	}
	a := &asking{link: u, origin: "http://" + listener.Addr().String(), requests: make(chan localRequest),
		closed: make(chan struct{})}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_ = a.server.Serve(listener) // ends with an error always; wait tells that it did
		close(a.closed)
	}()
	h.asking = a
	page := fmt.Sprintf("%s%s?%s", a.origin, u.Path, u.RawQuery)
	h.tell(page, fmt.Sprintf("%s waits: decide at %s", h.question(u), page))
}

// ServeHTTP hands a request to the rehearsal and waits for its answer.
func (a *asking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLocalBody))
	if err != nil {
		http.Error(w, "request not read", http.StatusBadRequest)
		return
	}
	req := localRequest{r: r, body: body, reply: make(chan events.APIGatewayV2HTTPResponse, 1)}
	select {
	case a.requests <- req:
	case <-r.Context().Done():
		return
	}
	res := <-req.reply
	for k, v := range res.Headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.WriteString(w, Mark(res.Body)) // a browser that left needs no answer
}

// waiting tells whether the rehearsal stands still for a person.
func (h *human) waiting() bool { return h != nil && h.asking != nil }

// wait answers the browser until a decision was taken; virtual time stands still.
func (h *human) wait(r *rehearsal) error {
	a := h.asking
	for {
		var req localRequest
		select {
		case req = <-a.requests:
		case <-a.closed:
			return fmt.Errorf("the local approval page could not be served")
		}
		if !h.local(a, req) {
			continue
		}
		h.asking = nil
		if r.Input.RequireDistinct > 1 {
			h.expectOperators(1) // the others are played
		}
		return a.last(h)
	}
}

// last serves the pages after the decision for a moment: where the browser is
// sent to, and other windows that have the page open.
func (a *asking) last(h *human) error {
	linger := h.r.options.AskLinger
	if linger == 0 {
		linger = defaultLinger
	}
	for range maxLingering {
		select {
		case req := <-a.requests:
			h.local(a, req)
			continue
		case <-time.After(linger):
		}
		break
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		return a.server.Close()
	}
	return nil
}

// localLogin is the subject of who sits at the local page, where a login is needed.
const localLogin = "you@rehearsal.invalid"

// local answers a local request as the API would, and tells whether that decided.
func (h *human) local(a *asking, req localRequest) (done bool) {
	e := event(req.r.Method, req.r.URL.Path, req.r.URL.RawQuery, a.link.Host)
	e.Body = string(req.body)
	e.RequestContext.HTTP.SourceIP = "127.0.0.1"
	for name := range req.r.Header {
		e.Headers[strings.ToLower(name)] = req.r.Header.Get(name)
	}
	e.Headers["host"] = a.link.Host
	if e.Headers["origin"] == a.origin {
		e.Headers["origin"] = "https://" + a.link.Host
	}
	if h.r.Input.RequireDistinct > 1 { // a link is nobody then: the person at the page is logged in
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"sub": localLogin}},
		}
	}
	res := h.send(e)
	req.reply <- res
	if req.r.Method != http.MethodPost || res.StatusCode != http.StatusSeeOther {
		return false
	}
	form, err := url.ParseQuery(e.Body)
	if err != nil {
		return true
	}
	choice := decision.Choice(form.Get("decision"))
	h.say("%s %s by %s at the local page", h.question(a.link), choice.Status(), form.Get("name"))
	if h.r.Input.RequireDistinct <= 1 || choice == decision.Reject {
		h.r.checks.DecidedOn(a.link.Query().Get("a"), choice == decision.Approve)
	}
	return true
}
