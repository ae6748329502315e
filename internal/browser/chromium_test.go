package browser_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long the browser may take for one step on a busy machine.
const patience = 60 * time.Second

// chromium finds the browser. EC2PATCH_BROWSER=required makes its absence a failure.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "********** Chromium not found: the approval page was NOT tried in a browser **********"
	if os.Getenv("EC2PATCH_BROWSER") == "required" {
		t.Fatal(missing)
	}
	fmt.Fprintln(os.Stderr, missing)
	t.Skip(missing)
	return ""
}

// browser is one Chromium. Messages are JSON with a zero byte behind each.
// Source: chromedevtools.github.io/devtools-protocol, read 2026-11.
type browser struct {
	to io.WriteCloser

	mu     sync.Mutex
	last   int
	answer map[int]chan message
	events map[string]chan message // by session and method
	sent   []string                // "METHOD URL" of every request that a page made
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// open starts the browser, and ends it with the test.
func open(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	hears, to, err := os.Pipe()
	require.NoError(t, err)
	from, says, err := os.Pipe()
	require.NoError(t, err)
	// Chromium may still write into its profile when it is told to end: t.TempDir would complain.
	profile, err := os.MkdirTemp("", "ec2patch-chromium-")
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{hears, says} // 3 and 4
	require.NoError(t, cmd.Start())
	require.NoError(t, hears.Close())
	require.NoError(t, says.Close())

	b := &browser{to: to, answer: map[int]chan message{}, events: map[string]chan message{}}
	go b.listen(from)
	t.Cleanup(func() {
		_ = b.to.Close() // the end of the pipe ends the browser
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = os.RemoveAll(profile)
	})
	return b
}

// listen takes messages until the browser ends.
func (b *browser) listen(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		data, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			continue
		}
		b.take(m, data[:len(data)-1])
	}
}

func (b *browser) take(m message, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.ID != 0 {
		if c := b.answer[m.ID]; c != nil {
			c <- m
		}
		return
	}
	if m.Method == "Network.requestWillBeSent" {
		var e struct {
			Params struct{ Request struct{ Method, URL string } }
		}
		if json.Unmarshal(data, &e) == nil {
			b.sent = append(b.sent, e.Params.Request.Method+" "+e.Params.Request.URL)
		}
	}
	if c := b.events[m.SessionID+" "+m.Method]; c != nil {
		select {
		case c <- m:
		default: // nobody waits for so many
		}
	}
}

// requests lists what the pages asked for with a method.
func (b *browser) requests(method string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, r := range b.sent {
		if strings.HasPrefix(r, method+" ") {
			all = append(all, r)
		}
	}
	return all
}

// call sends one command and decodes its result.
func (b *browser) call(t *testing.T, session, method string, params, into any) {
	t.Helper()
	b.mu.Lock()
	b.last++
	m := message{ID: b.last, SessionID: session, Method: method, Params: params}
	reply := make(chan message, 1)
	b.answer[m.ID] = reply
	data, err := json.Marshal(m)
	if err == nil {
		_, err = b.to.Write(append(data, 0))
	}
	b.mu.Unlock()
	require.NoError(t, err)
	select {
	case got := <-reply:
		require.Nil(t, got.Error, "%s: %+v", method, got.Error)
		if into != nil {
			require.NoError(t, json.Unmarshal(got.Result, into))
		}
	case <-time.After(patience):
		t.Fatalf("%s: no answer within %s", method, patience)
	}
}

// tab is one page.
type tab struct {
	*browser
	session string
	loaded  chan message
}

// object is the parameters of a command.
type object map[string]any

func (b *browser) tab(t *testing.T) *tab {
	t.Helper()
	var made struct {
		TargetID string `json:"targetId"`
	}
	b.call(t, "", "Target.createTarget", object{"url": "about:blank"}, &made)
	var at struct {
		SessionID string `json:"sessionId"`
	}
	b.call(t, "", "Target.attachToTarget", object{"targetId": made.TargetID, "flatten": true}, &at)
	p := &tab{browser: b, session: at.SessionID, loaded: make(chan message, 100)}
	b.mu.Lock()
	b.events[p.session+" Page.loadEventFired"] = p.loaded
	b.mu.Unlock()
	b.call(t, p.session, "Page.enable", object{}, nil)
	b.call(t, p.session, "Network.enable", object{}, nil)
	p.size(t, 1280, 900)
	return p
}

func (p *tab) size(t *testing.T, width, height int) {
	t.Helper()
	p.call(t, p.session, "Emulation.setDeviceMetricsOverride", object{"width": width, "height": height,
		"deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// load does something that loads a page, and waits for the page.
func (p *tab) load(t *testing.T, do func()) {
	t.Helper()
	for len(p.loaded) > 0 {
		<-p.loaded
	}
	do()
	select {
	case <-p.loaded:
	case <-time.After(patience):
		t.Fatalf("no page within %s", patience)
	}
}

func (p *tab) visit(t *testing.T, url string) {
	t.Helper()
	p.load(t, func() { p.call(t, p.session, "Page.navigate", object{"url": url}, nil) })
}

// eval runs an expression in the page, as a scanner's browser may.
func (p *tab) eval(t *testing.T, expression string, into any) {
	t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	p.call(t, p.session, "Runtime.evaluate", object{"expression": expression, "returnByValue": true,
		"userGesture": true}, &out)
	require.Nil(t, out.ExceptionDetails, "%s: %+v", expression, out.ExceptionDetails)
	if into != nil {
		require.NoError(t, json.Unmarshal(out.Result.Value, into), expression)
	}
}

// text is what the page shows.
func (p *tab) text(t *testing.T) string {
	t.Helper()
	var s string
	p.eval(t, "document.body.innerText", &s)
	return s
}

// click presses and releases the mouse on the middle of an element.
func (p *tab) click(t *testing.T, selector string) {
	t.Helper()
	p.front(t)
	var at struct{ X, Y float64 }
	p.eval(t,
		fmt.Sprintf(
			`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2}; })()`,
			selector), &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.call(t, p.session, "Input.dispatchMouseEvent", object{"type": kind, "x": at.X, "y": at.Y, "button": "left",
			"clickCount": 1}, nil)
	}
}

// write clicks on a field and types.
func (p *tab) write(t *testing.T, selector, text string) {
	t.Helper()
	p.click(t, selector)
	for _, r := range text {
		p.call(t, p.session, "Input.dispatchKeyEvent", object{"type": "char", "text": string(r)}, nil)
	}
}

// front shows a tab: Chromium neither paints the others nor sends them clicks in time.
func (p *tab) front(t *testing.T) {
	t.Helper()
	p.call(t, p.session, "Page.bringToFront", object{}, nil)
}

// shoot keeps a picture if EC2PATCH_SCREENSHOTS names a folder.
func (p *tab) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("EC2PATCH_SCREENSHOTS")
	if dir == "" {
		return
	}
	p.front(t)
	var out struct{ Data string }
	p.call(t, p.session, "Page.captureScreenshot", object{"format": "png", "captureBeyondViewport": true}, &out)
	picture, err := base64.StdEncoding.DecodeString(out.Data)
	require.NoError(t, err)
	require.NotEmpty(t, picture)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}
