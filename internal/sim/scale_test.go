//go:build !race

package sim

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
)

// large is an input of many accounts in two regions.
func large(tb testing.TB, accounts int) string {
	tb.Helper()
	ids := make([]string, accounts)
	for i := range ids {
		ids[i] = fmt.Sprintf("%012d", 100_000_000_000+i)
	}
	data, err := json.Marshal(map[string]any{
		"waves": []any{map[string]any{
			"name": "all", "accounts": ids, "regions": []string{"us-east-1", "us-west-2"}, "maxConcurrentAccounts": 50,
			"ssm":    map[string]any{"maxErrors": "10"},
			"budget": map[string]any{"maxFailedInstances": "50%", "perAccount": "100%", "maxFailedAccounts": "100%"},
		}},
	})
	require.NoError(tb, err)
	return string(data)
}

// Sixteen hundred instances in ninety accounts run within the limits of half
// of a history and a payload that does not grow.
func TestRun_large(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds; make test and CI run it")
	}
	small, big := options(t, large(t, 10)), options(t, large(t, 90))
	small.Instances, big.Instances = 9, 9 // so few hold none that cannot be patched
	few, many := rehearse(t, small), rehearse(t, big)
	assert.Empty(t, many.Violations)
	assert.Equal(t, patch.RunSucceeded, many.Status, many.Report.StatusReason)
	assert.Greater(t, many.Planned, 1_500)
	assert.LessOrEqual(t, many.MaxHistoryEvents, 12_500)
	assert.LessOrEqual(t, many.MaxPayloadBytes, few.MaxPayloadBytes+256, "payloads do not grow with the fleet")
	calls := func(r *Result) float64 {
		n := 0
		for _, c := range r.APICalls {
			n += c
		}
		return float64(n) / float64(r.Planned)
	}
	assert.Less(t, calls(many), 1.2*calls(few), "calls for each instance do not grow with the fleet")
}

func BenchmarkRun_large(b *testing.B) {
	o := options(b, large(b, 200))
	o.Instances = 25
	for b.Loop() {
		rehearse(b, o)
	}
}
