package cli_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/cloudformation"
	"ec2patch/internal/cli"
	"ec2patch/internal/sim"
)

// shared is a stream that one goroutine writes and another reads.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// asked is a rehearsal of the whole program that waits for a click.
type asked struct {
	t      *testing.T
	stderr *shared
	stdout bytes.Buffer
	ended  chan error
	url    string
}

var localLink = regexp.MustCompile(`http://127\.0\.0\.1:\d+/callback\?a=[0-9a-f]{32}&c=[\w-]{43}`)

func askPerson(t *testing.T) *asked {
	t.Helper()
	p := program()
	p.Rehearse = func(o sim.Options) (*sim.Result, error) {
		o.AskLinger = 100 * time.Millisecond
		return sim.Run(o)
	}
	p.Hub, p.Spoke, p.Reader, p.Now = cloudformation.Hub, cloudformation.Spoke, cloudformation.Reader, time.Now
	a := &asked{t: t, stderr: &shared{}, ended: make(chan error, 1)}
	args := []string{"simulate", "-", "--approve", "ask", "--instances", "3", "--out", t.TempDir(), "--progress", "plain"}
	go func() { a.ended <- p.Run(t.Context(), args, nil, strings.NewReader(goodInput), &a.stdout, a.stderr) }()
	require.Eventually(t, func() bool {
		a.url = localLink.FindString(a.stderr.String())
		return a.url != ""
	}, 20*time.Second, 10*time.Millisecond, "no link on stderr")
	return a
}

func (a *asked) get() (int, string) { return a.send(http.MethodGet, a.url, "") }

func (a *asked) send(method, address, form string) (int, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(form))
	require.NoError(a.t, err)
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", a.url[:strings.Index(a.url, "/callback")])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(a.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(a.t, err)
	return res.StatusCode, string(body)
}

// post sends the page's form with these fields.
func (a *asked) post(pairs ...string) (int, string) {
	a.t.Helper()
	u, err := url.Parse(a.url)
	require.NoError(a.t, err)
	form := url.Values{"a": {u.Query().Get("a")}, "c": {u.Query().Get("c")}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return a.send(http.MethodPost, strings.Split(a.url, "?")[0], form.Encode())
}

func (a *asked) code() string {
	a.t.Helper()
	status, page := a.get()
	require.Equal(a.t, 200, status)
	m := regexp.MustCompile(`<kbd>([^<]+)</kbd>`).FindStringSubmatch(page)
	require.NotNil(a.t, m)
	return m[1]
}

func (a *asked) end() (stdout string, code int) {
	a.t.Helper()
	select {
	case err := <-a.ended:
		return a.stdout.String(), cli.ExitCode(err)
	case <-time.After(30 * time.Second):
		a.t.Fatal("the rehearsal does not end")
		return "", 0
	}
}

func TestAsk_Approve(t *testing.T) {
	a := askPerson(t)
	typed := a.code()
	for range 20 {
		a.get()
	}
	status, _ := a.post("decision", "approve", "name", "Ann", "code", "0-0000")
	assert.Equal(t, 422, status)
	status, _ = a.post("decision", "approve")
	assert.Equal(t, 422, status, "the form as found")
	status, _ = a.send(http.MethodPut, a.url, "decision=approve")
	assert.Equal(t, 405, status)
	assert.Empty(t, a.ended, "nothing was decided yet")

	status, page := a.post("decision", "approve", "name", "Ann", "code", typed)
	assert.Equal(t, 200, status, "after the redirect")
	assert.Contains(t, page, "Approved")
	stdout, code := a.end()
	assert.NotEqual(t, cli.ExitNotApproved, code)
	assert.NotContains(t, stdout, "RULES BROKEN")
	assert.Contains(t, stdout, "none broken")
	assert.Regexp(t, `Patched=\d`, stdout)
}

func TestAsk_Reject(t *testing.T) {
	a := askPerson(t)
	status, page := a.post("decision", "reject", "name", "Bob", "reason", "not today", "code", a.code())
	assert.Equal(t, 200, status)
	assert.Contains(t, page, "Rejected")
	stdout, code := a.end()
	assert.Equal(t, cli.ExitNotApproved, code)
	assert.Contains(t, stdout, "Rejected")
	_, err := http.Get(a.url)
	assert.Error(t, err, "the page is gone with the rehearsal")
}
