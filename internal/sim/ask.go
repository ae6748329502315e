package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// asking serves the approval page on this machine until somebody decides.
type asking struct {
	link     *url.URL // as the mail has it
	server   *http.Server
	origin   string // of the local server
	requests chan localRequest
}

// localRequest is one request of the browser, answered by the rehearsal's one thread.
type localRequest struct {
	r     *http.Request
	body  []byte
	reply chan events.APIGatewayV2HTTPResponse
}

// maxLocalBody bounds what a browser may send.
const maxLocalBody = 64 << 10

// ask begins to serve the page. A reminder finds it served already.
func (h *human) ask(u *url.URL) {
	if h.asking != nil {
		h.asking.link = u
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.said = "cannot serve the approval page: " + err.Error()
		h.does = ApproveTimeout
		return
	}
	a := &asking{link: u, origin: "http://" + listener.Addr().String(), requests: make(chan localRequest)}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := a.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			close(a.requests)
		}
	}()
	h.asking = a
	h.said = "decide at " + a.origin + u.Path + "?" + u.RawQuery
	h.r.tell("waiting for approval")
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
	_, _ = io.WriteString(w, res.Body) // a browser that left needs no answer
}

// waiting tells whether the rehearsal stands still for a person.
func (h *human) waiting() bool { return h != nil && h.asking != nil }

// wait answers the browser until a decision was taken; virtual time stands still.
func (h *human) wait(r *rehearsal) error {
	a := h.asking
	for req := range a.requests {
		res := h.local(a, req)
		req.reply <- res
		if req.r.Method == http.MethodPost && res.StatusCode == http.StatusSeeOther {
			h.asking = nil
			h.said = "decided at the local page"
			// The browser still wants the page that it was sent to.
			return a.last(h)
		}
	}
	return fmt.Errorf("the local approval page could not be served")
}

// last serves the page after the decision for a moment, then closes the server.
func (a *asking) last(h *human) error {
	select {
	case req := <-a.requests:
		req.reply <- h.local(a, req)
	case <-time.After(3 * time.Second):
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		return a.server.Close()
	}
	return nil
}

// local turns a local request into the one that the API would pass on.
func (h *human) local(a *asking, req localRequest) events.APIGatewayV2HTTPResponse {
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: req.r.Method + " " + req.r.URL.Path, RawPath: req.r.URL.Path, RawQueryString: req.r.URL.RawQuery,
		Headers: map[string]string{}, Body: string(req.body),
	}
	for name := range req.r.Header {
		e.Headers[strings.ToLower(name)] = req.r.Header.Get(name)
	}
	e.Headers["host"] = a.link.Host
	if e.Headers["origin"] == a.origin {
		e.Headers["origin"] = "https://" + a.link.Host
	}
	e.RequestContext.RouteKey, e.RequestContext.Stage, e.RequestContext.DomainName = e.RouteKey, "$default", a.link.Host
	e.RequestContext.HTTP.Method, e.RequestContext.HTTP.Path, e.RequestContext.HTTP.SourceIP = req.r.Method, req.r.URL.Path, "127.0.0.1"
	return h.send(e)
}
