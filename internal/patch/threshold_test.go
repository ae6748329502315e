package patch_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ec2patch/internal/patch"
)

func TestParseThreshold(t *testing.T) {
	tests := []struct {
		name, text string
		want       patch.Threshold
	}{
		{"a number", "3", patch.Threshold{Value: 3}},
		{"nothing", "0", patch.Threshold{}},
		{"a share", "10%", percent(10)},
		{"all", "100%", percent(100)},
		{"no share", "0%", percent(0)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := patch.ParseThreshold(test.text)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.text, got.String())
		})
	}
}

func TestParseThreshold_refuses(t *testing.T) {
	for _, text := range []string{"", "%", "101%", "-1", "-0", "+3", "010", "10 %", " 10%", "1.5", "1e2", "٣",
		"99999999999999999999", "10%%", "0x10"} {
		_, err := patch.ParseThreshold(text)
		assert.Error(t, err, "%q", text)
	}
}

func TestThreshold_resolves(t *testing.T) {
	tests := []struct {
		name, text         string
		n                  int
		concurrency, limit int
	}{
		{"a share is rounded down", "10%", 25, 2, 2},
		{"a share of little is 1", "1%", 25, 1, 1},
		{"all", "100%", 25, 25, 25},
		{"a number", "3", 25, 3, 3},
		{"more than there are", "30", 25, 25, 30},
		{"no failure tolerated", "0", 25, 1, 0},
		{"no share of failures tolerated", "0%", 25, 1, 0},
		{"no instance planned", "10%", 0, 1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			threshold, err := patch.ParseThreshold(test.text)
			require.NoError(t, err)
			assert.Equal(t, test.concurrency, threshold.Concurrency(test.n), "Concurrency(%d)", test.n)
			assert.Equal(t, test.limit, threshold.Limit(test.n), "Limit(%d)", test.n)
		})
	}
}

// Neither more instances nor a larger threshold ever resolve to less, and the
// concurrency stays between 1 and the number of instances.
func TestThreshold_isMonotone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, p := rapid.IntRange(1, 1_000_000).Draw(rt, "n"), rapid.IntRange(1, 99).Draw(rt, "p")
		at := percent(p).Concurrency(n)
		assert.True(rt, at >= 1 && at <= n, "%d of %d", at, n)
		assert.LessOrEqual(rt, at, percent(p).Concurrency(n+1))
		assert.LessOrEqual(rt, at, percent(p+1).Concurrency(n))
		assert.LessOrEqual(rt, percent(p).Limit(n), percent(p).Limit(n+1))
		assert.LessOrEqual(rt, percent(p).Limit(n), percent(p+1).Limit(n))
	})
}

func TestThreshold_JSON(t *testing.T) {
	data, err := json.Marshal([]patch.Threshold{percent(10), {Value: 3}})
	require.NoError(t, err)
	assert.Equal(t, `["10%","3"]`, string(data))
	var back []patch.Threshold
	require.NoError(t, json.Unmarshal(data, &back))
	assert.Equal(t, []patch.Threshold{percent(10), {Value: 3}}, back)
	for _, bad := range []string{`["101%"]`, `[3]`, `[{}]`} {
		assert.Error(t, json.Unmarshal([]byte(bad), &back), bad)
	}
}

// percent is a share of 100.
func percent(n int) patch.Threshold { return patch.Threshold{Value: n, Percent: true} }
