package approval

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"ec2patch/internal/decision"
	"ec2patch/internal/markup"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// pageView is everything that the page shows. Its texts are cleaned, and escaped
// where they are written.
type pageView struct {
	Title    string
	Tone     string // good, warn, bad or none
	Sign     string
	Headline string
	Text     []string
	Question *questionView
	Form     *formView
}

// answerState is the page of a question as it stands, and the form if the
// visitor may still answer.
func (c *Callback) answerState(ctx context.Context, r HTTPRequest, l link, q question, status int,
	form formView) (HTTPResponse, error) {
	now := c.Now()
	who, ok := identityOf(r)
	if !ok {
		return pageForeign.answer()
	}
	if q.over(now) && q.status != decision.ApprovalPending && q.status != decision.ApprovalExpired {
		return render(status, stateView(q, form, "", now)) // an old link tells how it ended, but not the plan
	}
	p, err := c.decidable(ctx, q)
	if err != nil {
		return c.undecidable(q, err)
	}
	why := c.bars(q, who, decision.Approve)
	v := stateView(q, form, why, now)
	v.Question = newQuestionView(q, p, now)
	if q.status == decision.ApprovalPending && !q.answeredBy(who) && c.bars(q, who, decision.Reject) == "" {
		form.ID, form.Capability = l.id, decision.Capability(l.mac)
		form.NameLimit, form.ReasonLimit = maxName, maxReason
		v.Form = &form
	}
	return render(status, v)
}

// shownPlan is what the page shows beside the question.
type shownPlan struct {
	index plan.Index
	doubt []string // why a judge asks, for a question about going on
}

// plan reads the frozen plan. A plan with another digest than the question's is
// never shown.
func (c *Callback) plan(ctx context.Context, q question) (shownPlan, error) {
	x, err := plan.Load(ctx, c.Objects, q.rec.Run, q.rec.Digest)
	if err != nil {
		return shownPlan{}, err
	}
	if !q.rec.OnTerms(decision.SealOf(&x, c.HubAccount)) || scopeCount(x, q.rec.Scope) != q.rec.Instances {
		return shownPlan{},
			fmt.Errorf("%w: the plan of run %s is not the one that approval %s is about", patch.ErrTampered, q.rec.Run, q.rec.ID)
	}
	p := shownPlan{index: x}
	if q.rec.Scope.Soak() {
		var wave store.WaveRow
		if err := c.Table.Load(ctx, &store.Row{Key: store.WaveKey(q.rec.Run, q.rec.Scope.Wave()), Into: &wave}); err != nil {
			return shownPlan{}, err
		}
		if p.doubt, err = shownDoubt(q.rec, wave); err != nil {
			return shownPlan{}, err
		}
	}
	return p, nil
}

// maxDoubt is how long a cause is on the page: an alarm's ARN, with its state, is shorter.
const maxDoubt = 400

// shownDoubt is the doubt that the question is about, cause by cause, and no other. A question of an earlier release
// has none but in words.
func shownDoubt(rec decision.Approval, wave store.WaveRow) (lines []string, err error) {
	if rec.Doubt == "" {
		return []string{reasonText(wave.Reason)}, nil
	}
	digest, err := wave.Doubt.Digest()
	if err != nil {
		return nil, err
	}
	if digest != rec.Doubt {
		return nil,
			fmt.Errorf("%w: the doubt of wave %s is not the one that approval %s is about", patch.ErrTampered, wave.Wave, rec.ID)
	}
	for _, line := range wave.Doubt.Lines() {
		lines = append(lines, words.Clean(line, words.Limit(maxDoubt)))
	}
	return lines, nil
}

// render writes a page. The policy allows the page's own style by its digest,
// the form to go to where the page came from, and nothing else.
func render(status int, v pageView) (HTTPResponse, error) {
	var b bytes.Buffer
	if err := markup.Document(&b, v.html()); err != nil {
		return HTTPResponse{}, fmt.Errorf("write the page: %w", err)
	}
	policy := "default-src 'none'; style-src " + style().Source() +
		"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return HTTPResponse{Status: status, Header: safeHeader("text/html; charset=utf-8", policy), Body: b.Bytes()}, nil
}

// plain is an answer of one sentence to what is no visit of the page.
func plain(status int, sentence string) HTTPResponse {
	return HTTPResponse{Status: status, Header: safeHeader("text/plain; charset=utf-8", nothingAllowed),
		Body: []byte(sentence + "\n")}
}

func notAllowed(allow string) HTTPResponse {
	res := plain(http.StatusMethodNotAllowed, "Not allowed.")
	res.Header["Allow"] = allow
	return res
}

const nothingAllowed = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// safeHeader is on every answer: it is not kept, framed, guessed at or told to
// other sites.
func safeHeader(kind, policy string) map[string]string {
	return map[string]string{
		"Content-Type":                 kind,
		"Content-Security-Policy":      policy,
		"Cache-Control":                "no-store",
		"Referrer-Policy":              "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"X-Robots-Tag":                 "noindex, nofollow, noarchive",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Strict-Transport-Security":    "max-age=63072000",
	}
}
