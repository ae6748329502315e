package cli_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

// The operator finds every outcome that is not good, and every reason of NotSent, with what to do about it.
func TestOperations_outcomes(t *testing.T) {
	page, err := os.ReadFile("../../docs/runbook-operations.md")
	require.NoError(t, err)
	row := func(name string) bool {
		return regexp.MustCompile("(?m)^\\|[^|]*`" + regexp.QuoteMeta(name) + "`[^|]*\\|[^|]*[a-z][^|]*\\|").Match(page)
	}
	told := 0
	for _, o := range outcome.Outcomes() {
		if o.Class(patch.RebootIfNeeded, true) == outcome.Good && o != outcome.NonCompliant {
			continue
		}
		told++
		assert.True(t, row(string(o)), "docs/runbook-operations.md has no row for the outcome %s", o)
	}
	for _, reason := range []outcome.Reason{outcome.ReasonBudget, outcome.ReasonAbort, outcome.ReasonStopped,
		outcome.ReasonLease,
		outcome.ReasonAccount, outcome.ReasonRejected, outcome.ReasonExpired, outcome.ReasonOffline, outcome.ReasonOptedOut} {
		told++
		assert.True(t, row(string(reason)), "docs/runbook-operations.md has no row for the reason %s", reason)
	}
	assert.Greater(t, told, 17)
}
