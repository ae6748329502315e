package guard_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
)

// TestMetrics_written compares the metrics that alarms and dashboard read with those that the tasks write: a name that
// nobody writes is an alarm that never goes off.
func TestMetrics_written(t *testing.T) {
	written := map[string]bool{}
	var files []string
	for _, room := range []string{"approval", "inventory", "report/compose", "target", "wave"} {
		some, err := filepath.Glob("../" + room + "/*.go")
		require.NoError(t, err)
		files = append(files, some...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`Metrics\.Count\("([A-Za-z]+)"`).FindAllStringSubmatch(string(data), -1) {
			written[m[1]] = true
		}
	}
	require.NotEmpty(t, written)

	hub := deployed(t, guard.Hub)
	read := map[string]bool{}
	for _, alarm := range hub.OfType("AWS::CloudWatch::Alarm") {
		if alarm.Properties["Namespace"] == "EC2Patching" {
			name, _ := alarm.Properties["MetricName"].(string)
			read[name] = true
			assert.Empty(t, alarm.Properties["Dimensions"], "%s: metrics without dimensions add up over accounts",
				alarm.LogicalID)
		}
		parts, _ := alarm.Properties["Metrics"].([]any)
		for _, part := range parts {
			query, _ := part.(map[string]any)
			stat, _ := query["MetricStat"].(map[string]any)
			if metric, _ := stat["Metric"].(map[string]any); metric["Namespace"] == "EC2Patching" {
				name, _ := metric["MetricName"].(string)
				read[name] = true
			}
		}
	}
	body, _ := hub.Resources["Dashboard"].Properties["DashboardBody"].(string)
	for _, m := range regexp.MustCompile(
		`"EC2Patching", "([A-Za-z]+)"|EC2Patching,Wave\} MetricName=\\"([A-Za-z]+)`).FindAllStringSubmatch(body, -1) {
		read[m[1]+m[2]] = true
	}
	for name := range read {
		assert.True(t, written[name], "nobody writes %s", name)
	}
	for name := range written {
		assert.True(t, read[name], "nobody looks at %s", name)
	}
}

// TestNoRunEnded_goesOff plays days with and without runs against the dead-man alarm, by the rule that CloudWatch has
// for an alarm on all of its last periods. Source: CloudWatch User Guide, evaluating an alarm, read 2026-11.
func TestNoRunEnded_goesOff(t *testing.T) {
	p := deployed(t, guard.Hub).Resources["NoRunEndedAlarm"].Properties
	require.Equal(t, "SampleCount", p["Statistic"])
	require.Equal(t, "LessThanThreshold", p["ComparisonOperator"])
	require.Nil(t, p["DatapointsToAlarm"], "all periods count")
	periods, err := strconv.Atoi(p["EvaluationPeriods"].(string))
	require.NoError(t, err)
	period, threshold := p["Period"].(float64), p["Threshold"].(float64)
	require.LessOrEqual(t, float64(periods)*period, 7*86400.0, "CloudWatch looks back a week at most")

	alarm := func(days []int) bool { // targets that were given their outcome, day by day; -1 is a day without a word
		breaching := 0
		for _, n := range days[max(0, len(days)-periods):] {
			missing := n < 0
			if missing && p["TreatMissingData"] == "breaching" || !missing && float64(n) < threshold {
				breaching++
			}
		}
		return breaching == periods
	}
	assert.True(t, alarm([]int{9, -1, -1, -1, -1, -1, -1, -1}), "a week of silence")
	assert.False(t, alarm([]int{-1, 9, -1, -1, -1, -1, -1, -1}), "a run six days ago")
	assert.False(t, alarm([]int{-1, -1, -1, -1, -1, -1, -1, 1}), "one target today")
}
