package sim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/follow"
	"ec2patch/internal/patch"
)

// person answers each question that is asked at a local page, once.
func person(t *testing.T, choice decision.Choice) func(follow.Progress) {
	seen := ""
	return func(p follow.Progress) {
		at := p.Played.Page
		if at == "" || at == seen {
			return
		}
		seen = at
		go func() {
			u, err := url.Parse(at)
			if !assert.NoError(t, err) {
				return
			}
			typed, ok := code(fetch(t, http.MethodGet, at, nil))
			assert.True(t, ok)
			form := url.Values{"a": u.Query()["a"], "c": u.Query()["c"], "decision": {string(choice)}, "name": {"Ann"},
				"reason": {"tested"}, "code": {typed}}
			u.RawQuery = ""
			page := fetch(t, http.MethodPost, u.String(), form)
			assert.Contains(t, page, "Ann")
			assert.Contains(t, page, "<strong>Rehearsal.</strong>")
		}()
	}
}

func fetch(t *testing.T, method, at string, form url.Values) string {
	req, err := http.NewRequest(method, at, strings.NewReader(form.Encode()))
	if !assert.NoError(t, err) {
		return ""
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	if !assert.NoError(t, err) {
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	return string(body)
}

func TestAsk(t *testing.T) {
	perWave := `{"waves":[
		{"name":"a","accounts":["` + first + `"],"regions":["` + region + `"]` + generous + `},
		{"name":"b","accounts":["` + second + `"],"regions":["` + region + `"]` + generous + `}],"approval":"perWave"}`
	tests := []struct {
		name, input     string
		decision        decision.Choice
		questions       int
		sends           bool
		settledBy, says string
	}{
		{"one question", asks(""), decision.Approve, 1, true, "link", "the whole plan approved by Ann at the local page"},
		{"rejected", asks(""), decision.Reject, 1, false, "link", "the whole plan rejected by Ann at the local page"},
		{"each wave has a page", perWave, decision.Approve, 2, true, "link", "wave b approved by Ann at the local page"},
		{"the second of two is played", asks(`,"requireDistinct":2`), decision.Approve, 1, true, operatorName(1), "the whole plan approved by operator-2, 2 of 2"},
		{"one rejection is enough", asks(`,"requireDistinct":2`), decision.Reject, 1, false, localLogin, "the whole plan rejected by Ann at the local page"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, tt.input)
			answer, told := person(t, tt.decision), []string{}
			o.Instances, o.Approve, o.AskLinger = 3, ApproveAsk, 50*time.Millisecond
			o.Progress = func(p follow.Progress) {
				told = append(told, string(p.Phase)+": "+p.Played.Approval)
				answer(p)
			}
			res := rehearse(t, o)
			assert.Empty(t, res.Violations)
			require.Len(t, res.Report.Approvals, tt.questions)
			assert.Contains(t, told, "waiting for approval: "+tt.says, "before anything is sent")
			assert.Equal(t, tt.sends, res.APICalls["ssm:SendCommand"] > 0)
			assert.Equal(t, tt.decision == decision.Reject, res.Status == patch.RunRejected, string(res.Status))
			for _, a := range res.Report.Approvals {
				assert.Equal(t, tt.settledBy, a.Identity)
			}
		})
	}
}
