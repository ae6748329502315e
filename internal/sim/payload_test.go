//go:build !race

package sim

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/lambdas"
	"ec2patch/internal/sim/check"
)

// kindOfTask names what a function is asked for: one binary has several tasks.
func kindOfTask(binary string, payload []byte) string {
	var in struct {
		Task string `json:"task"`
	}
	if json.Unmarshal(payload, &in) == nil && in.Task != "" {
		return in.Task
	}
	return binary
}

// What any task of the state machine is given and answers stays far below 16 KiB
// for an account with 5,000 instances in one region: I-53.
func TestPayloads_manyInstances(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds; make test and CI run it")
	}
	o := options(t, `{"waves":[{"name":"only","accounts":["`+first+`"],"regions":["`+region+`"],"budget":{"maxFailedInstances":"50%","perAccount":"100%"},"ssm":{"maxErrors":"50%"}}],"approval":"once","budget":{"maxFailedInstances":"50%"}}`)
	o.Instances = 5_000
	r, err := prepare(o)
	require.NoError(t, err)
	largest := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l := r.Lambdas[name]
		if l.Function.Handler == lambdas.ApprovalCallback {
			continue // people call it, with pages for an answer
		}
		handle := l.Handle
		l.Handle = func(ctx context.Context, payload []byte) ([]byte, error) {
			out, err := handle(ctx, payload)
			kind := kindOfTask(l.Function.Handler, payload)
			largest[kind] = max(largest[kind], len(payload), len(out))
			if err != nil {
				largest[kind] = max(largest[kind], len(err.Error()))
			}
			return out, err
		}
	}
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	assert.Greater(t, res.Planned, 4_500)
	for _, kind := range []string{"plan", "discover", "freeze", "request", "settle", lambdas.SendCommand, lambdas.Poll,
		"verify", "rollup", "judge", "report"} {
		assert.Positive(t, largest[kind], "no %s was seen", kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(largest)) {
		t.Logf("%-14s %5d bytes", kind, largest[kind])
		assert.Less(t, largest[kind], check.PayloadLimit/8, kind)
	}
	t.Logf("%d instances planned, %d bytes between states at most", res.Planned, res.MaxPayloadBytes)
	assert.Less(t, res.MaxPayloadBytes, check.PayloadLimit)
}
