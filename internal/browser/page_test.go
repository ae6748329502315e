package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/follow"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim"
)

// rehearsed is a rehearsal that waits for a click.
type rehearsed struct {
	url  string
	done chan *sim.Result
}

// rehearse starts a rehearsal and returns when its page is served.
func rehearse(t *testing.T, input string) *rehearsed {
	t.Helper()
	r := &rehearsed{done: make(chan *sim.Result, 1)}
	url := make(chan string, 1)
	o := sim.Options{
		Input: []byte(input), Seed: 7, Instances: 6, Approve: sim.ApproveAsk, AskLinger: 4 * time.Second,
		Hub: read(t, "cloudformation", "hub-cfn.yaml"), Spoke: read(t, "cloudformation", "spoke-cfn.yaml"),
		Reader: read(t, "cloudformation", "organization-reader-cfn.yaml"),
		Progress: func(p follow.Progress) {
			if _, at, ok := strings.Cut(p.Played.Approval, "decide at "); ok {
				select {
				case url <- at:
				default:
				}
			}
		},
	}
	go func() {
		res, err := sim.Run(o)
		assert.NoError(t, err)
		r.done <- res
	}()
	select {
	case r.url = <-url:
	case <-time.After(patience):
		t.Fatal("the rehearsal asked nobody")
	}
	return r
}

// still fails if the rehearsal went on.
func (r *rehearsed) still(t *testing.T) {
	t.Helper()
	select {
	case res := <-r.done:
		t.Fatalf("the rehearsal went on by itself and is %s", res.Status)
	default:
	}
}

func (r *rehearsed) result(t *testing.T) *sim.Result {
	t.Helper()
	select {
	case res := <-r.done:
		require.NotNil(t, res)
		assert.Empty(t, res.Violations)
		return res
	case <-time.After(patience):
		t.Fatal("the rehearsal does not end")
		return nil
	}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, elem...)...))
	require.NoError(t, err)
	return data
}

const twoWaves = `{"reason": "monthly patches <b>&amp;", "requestedBy": "platform-team", "waves": [
	{"name": "canary", "accounts": ["111111111111"], "regions": ["us-east-1"]},
	{"name": "main", "accounts": ["222222222222", "333333333333"], "regions": ["us-east-1", "eu-west-1"]}]}`

// alone is how long a page is left alone. EC2PATCH_BROWSER_ALONE=60s leaves it for the minute that a scanner takes.
func alone(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("EC2PATCH_BROWSER_ALONE")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// code is what the page says is to be typed.
func code(t *testing.T, p *tab) string {
	t.Helper()
	var s string
	p.eval(t, `document.querySelector("kbd").innerText`, &s)
	require.Regexp(t, `^\d+-[0-9a-f]{4}$`, s)
	return s
}

// fits tells that nothing has to be scrolled sideways.
func fits(t *testing.T, p *tab) {
	t.Helper()
	var over int
	p.eval(t, "document.documentElement.scrollWidth - window.innerWidth", &over)
	assert.LessOrEqual(t, over, 0, "the page is wider than its window")
}

func TestPage_Approve(t *testing.T) {
	t.Parallel()
	b := open(t)
	r := rehearse(t, twoWaves)
	p, other := b.tab(t), b.tab(t)
	p.visit(t, r.url)
	other.visit(t, r.url)

	// A scanner loads the page, runs everything that is in it, and waits.
	time.Sleep(alone(t))
	r.still(t)
	assert.Empty(t, b.requests("POST"), "the page sent something by itself")
	var scripts, foreign int
	p.eval(t, `document.scripts.length`, &scripts)
	p.eval(t, `performance.getEntriesByType("resource").filter(e => !e.name.startsWith(location.origin)).length`,
		&foreign)
	assert.Zero(t, scripts)
	assert.Zero(t, foreign)

	// It clicks the button, then sends the form past the browser's own checks.
	p.click(t, "button[type=submit]")
	time.Sleep(300 * time.Millisecond)
	assert.Empty(t, b.requests("POST"), "the browser sends no form with empty fields")
	for _, script := range []string{
		`document.querySelector("form").submit()`,
		`document.getElementById("approve").checked = true, document.querySelector("form").submit()`,
		`document.getElementById("reject").checked = true, document.querySelector("form").submit()`,
	} {
		p.load(t, func() { p.eval(t, script, nil) })
		assert.Contains(t, p.text(t), "Not sent yet.")
		r.still(t)
	}
	assert.Len(t, b.requests("POST"), 3)
	p.shoot(t, "problems-desktop")

	// A person reads on a phone and on a desktop, types and clicks.
	p.visit(t, r.url)
	assert.NotContains(t, p.text(t), "Not sent yet.")
	for name, width := range map[string]int{"narrow": 320, "phone": 390, "desktop": 1280} {
		p.size(t, width, 844)
		fits(t, p)
		p.shoot(t, "question-"+name)
	}
	fill := func(p *tab, decision, typed string) {
		p.click(t, "label:has(#"+decision+")")
		p.write(t, "#name", "Ann Example")
		p.write(t, "#reason", "CHG-4711, freeze ends tonight")
		p.write(t, "#code", typed)
	}
	fill(other, "reject", code(t, other))
	fill(p, "approve", "1-0000")
	p.load(t, func() { p.click(t, "button[type=submit]") })
	assert.Contains(t, p.text(t), "Not sent yet.")
	assert.Contains(t, p.text(t), "This is not the code of this plan.")
	r.still(t)
	var kept string
	p.eval(t, `document.getElementById("name").value + "/" + document.getElementById("approve").checked`, &kept)
	assert.Equal(t, "Ann Example/true", kept, "what was typed is kept")
	p.eval(t, `document.getElementById("code").value = ""`, nil)
	p.write(t, "#code", code(t, p))
	p.load(t, func() { p.click(t, "button[type=submit]") })
	assert.Contains(t, p.text(t), "Approved")
	assert.Contains(t, p.text(t), "Ann Example")
	p.shoot(t, "approved-desktop")

	// The other window is too late, and so is the used link.
	other.load(t, func() { other.click(t, "button[type=submit]") })
	assert.Contains(t, other.text(t), "Approved")
	assert.NotContains(t, other.text(t), "Rejected")
	other.shoot(t, "too-late-desktop")
	other.size(t, 390, 844)
	other.visit(t, r.url)
	assert.Contains(t, other.text(t), "Approved")
	var forms int
	other.eval(t, "document.forms.length", &forms)
	assert.Zero(t, forms, "a used link has nothing to send")
	fits(t, other)
	other.shoot(t, "used-phone")

	res := r.result(t)
	assert.Positive(t, res.APICalls["ssm:SendCommand"], "the run went on")
	require.Len(t, res.Report.Approvals, 1)
	assert.Equal(t, decision.ApprovalApproved, res.Report.Approvals[0].Status)
}

func TestPage_Reject(t *testing.T) {
	t.Parallel()
	b := open(t)
	r := rehearse(t, twoWaves)
	p := b.tab(t)
	p.size(t, 390, 844)
	p.visit(t, r.url)
	p.click(t, "label:has(#reject)")
	p.write(t, "#name", "Bob")
	p.write(t, "#code", code(t, p))
	p.load(t, func() { p.click(t, "button[type=submit]") })
	assert.Contains(t, p.text(t), "a rejection needs one")
	r.still(t)
	p.write(t, "#reason", "not before the release")
	p.load(t, func() { p.click(t, "button[type=submit]") })
	assert.Contains(t, p.text(t), "Rejected")
	assert.Contains(t, p.text(t), "not before the release")
	fits(t, p)
	p.shoot(t, "rejected-phone")

	res := r.result(t)
	assert.Equal(t, patch.RunRejected, res.Status)
	assert.Zero(t, res.APICalls["ssm:SendCommand"])
}

func TestPage_DamagedLink(t *testing.T) {
	t.Parallel()
	b := open(t)
	r := rehearse(t, twoWaves)
	p := b.tab(t)
	for _, url := range []string{r.url[:len(r.url)-1], r.url + "x", strings.Replace(r.url, "?a=", "?a=0", 1),
		strings.Split(r.url, "?")[0]} {
		p.visit(t, url)
		assert.NotContains(t, p.text(t), "111111111111", "a guesser sees no account")
		var forms int
		p.eval(t, "document.forms.length", &forms)
		assert.Zero(t, forms)
	}
	p.size(t, 390, 844)
	fits(t, p)
	p.shoot(t, "damaged-phone")
	r.still(t)
	assert.Empty(t, b.requests("POST"))
}
