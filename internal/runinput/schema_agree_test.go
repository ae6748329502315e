package runinput_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ec2patch/internal/runinput"
)

// The schema and the parser take and refuse the same, whatever is done to a
// good input, except for the rules that a schema cannot say.
func TestSchema_agreesWithTheParser(t *testing.T) {
	unsaid := []string{runinput.RuleRepeated, runinput.RulePartitions, runinput.RuleSize}
	rapid.Check(t, func(rt *rapid.T) {
		var doc any
		good, err := json.Marshal(drawInput(rt))
		require.NoError(rt, err)
		require.NoError(rt, json.Unmarshal(good, &doc))
		for range rapid.IntRange(1, 3).Draw(rt, "changes") {
			doc = spoil(rt, doc)
		}
		data, err := json.Marshal(doc)
		require.NoError(rt, err)

		refused := validateSchema(t, data)
		_, err = runinput.ParseInput(data, runinput.HubDefaults())
		if err == nil {
			require.Empty(rt, refused, string(data))
			return
		}
		said := slices.ContainsFunc(err.(runinput.Problems), func(p runinput.Problem) bool {
			return !slices.Contains(unsaid, p.Rule)
		})
		if said {
			require.NotEmpty(rt, refused, "the schema takes what the parser refuses: %v\n%s", err, data)
		}
	})
}

// spoil changes one value somewhere in the document.
func spoil(t *rapid.T, value any) any {
	down := rapid.IntRange(0, 5).Draw(t, "down") > 0
	switch value := value.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(value))
		if !down || len(keys) == 0 {
			break
		}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		switch rapid.IntRange(0, 7).Draw(t, "how") {
		case 0:
			delete(value, key)
		case 1:
			value[rapid.SampledFrom(strangeKeys()).Draw(t, "strange key")] = value[key]
		default:
			value[key] = spoil(t, value[key])
		}
		return value
	case []any:
		if !down || len(value) == 0 {
			break
		}
		at := rapid.IntRange(0, len(value)-1).Draw(t, "item")
		if rapid.IntRange(0, 5).Draw(t, "again") == 0 {
			return append(value, value[at])
		}
		value[at] = spoil(t, value[at])
		return value
	}
	return rapid.SampledFrom(strangeValues()).Draw(t, "strange value")
}

func strangeKeys() []string {
	return []string{"x", "", "Waves", "accountWaves", "waveId", "accounts", "regions", "tagFilters", "instanceIds",
		"approvalRequired", "$schema", "name", "\u0007", "*"}
}

func strangeValues() []any {
	return []any{
		nil, true, false, "", "*", "0", "0%", "1%", "100%", "101%", "9999999", "10000000", "once", "Scan", "Linux",
		"us-east-1", "mars-1",
		"111111111111", "12345", "i-01234567", "wave-1", "plan", "é", "a\nb", "\u2028", 0, 1, 2, -1, 60, 16200, 604800,
		604801, 10_000_001,
		[]any{}, []any{"a"}, []any{"111111111111"}, []any{nil}, []any{map[string]any{}},
		map[string]any{}, map[string]any{"a": []any{"b"}}, map[string]any{"a": "b"}, map[string]any{"": []any{"b"}},
	}
}
