package approval_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// The code is shown as "412-9f3c" and typed as people write.
func TestCallback_codeAsPeopleTypeIt(t *testing.T) {
	s := newStand(t)
	typed := strings.ToUpper(strings.Replace(s.rec.Code(), "-", " - ", 1))
	res := s.do(t, s.form(string(decision.Approve), "code", "  "+typed+" "))
	require.Equal(t, 303, res.Status, string(res.Body))
}

// One is one, and a limit that cannot be reached is not told.
func TestCallback_pageOfOneAccount(t *testing.T) {
	s := newStand(t, func(a *decision.Approval, _ *store.RunRow, x *plan.Index) {
		x.Waves = x.Waves[:1]
		x.Waves[0].AccountsMax = 1
		a.Instances = x.Waves[0].Planned
	})
	res := s.get(t, s.query())
	require.Equal(t, 200, res.Status, string(res.Body))
	page := string(res.Body)
	for _, want := range []string{"<dt>account</dt><dd>1</dd>", "<dt>region</dt><dd>1</dd>",
		"<dt>account-region not reached</dt><dd>1</dd>", "<dt>instances</dt>"} {
		assert.Contains(t, page, want)
	}
	assert.NotContains(t, page, "failed account")
}
