//go:build !race

package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/lambdas"
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

// A report of more than a slice comes to its end through the state machine's own
// loop, and is rebuilt with the same bytes.
func TestRun_reportInSlices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds; make test and CI run it")
	}
	regions := []string{
		"us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1",
		"eu-north-1", "ca-central-1",
		"sa-east-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
		"eu-south-1", "ap-east-1", "me-south-1",
	}
	in := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(large(t, 51)), &in))
	in["waves"].([]any)[0].(map[string]any)["regions"] = regions
	in["dryRun"] = true
	data, err := json.Marshal(in)
	require.NoError(t, err)
	o := options(t, string(data))
	o.Instances = 1
	r, err := prepare(o)
	require.NoError(t, err)
	calls := 0
	l := r.lambdaOf(lambdas.Verify)
	handle := l.Handle
	l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
		if bytes.Contains(payload, []byte(`"task":"report"`)) {
			calls++
		}
		return handle(ctx, payload)
	}
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	assert.Equal(t, patch.RunSucceeded, res.Status, res.Report.StatusReason)
	assert.Greater(t, res.Planned, 1000)
	assert.Equal(t, 2, calls, "1,020 account-regions are two slices")
	assert.Empty(t, r.rebuilt(t))
}

func BenchmarkRun_large(b *testing.B) {
	o := options(b, large(b, 200))
	o.Instances = 25
	for b.Loop() {
		rehearse(b, o)
	}
}
