package lambdamain

import (
	"encoding/json"
	"io"
	"time"

	"ec2patch/internal/port"
)

// Namespace is where our metrics stand in CloudWatch.
const Namespace = "EC2Patching"

// Metrics writes numbers as lines of the embedded metric format: the log
// becomes the metric, no call is made. Source: CloudWatch embedded metric
// format specification, read 2026-11.
type Metrics struct {
	Out io.Writer
	Now port.Clock
}

// Count writes one number, without dimensions and, if it has any, with them:
// alarms and dashboard read the one without.
func (m Metrics) Count(name, unit string, value float64, dimensions map[string]string) {
	sets := [][]string{{}}
	line := map[string]any{name: value, "level": "INFO"}
	if _, ok := dimensions["Wave"]; ok {
		sets = append(sets, []string{"Wave"})
	}
	if _, ok := dimensions["Account"]; ok {
		sets = append(sets, []string{"Account", "Region"})
	}
	for k, v := range dimensions {
		line[k] = v
	}
	line["_aws"] = map[string]any{
		"Timestamp": m.Now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": Namespace, "Dimensions": sets, "Metrics": []any{map[string]any{"Name": name, "Unit": unit}},
		}},
	}
	data, err := json.Marshal(line)
	if err != nil {
		return // numbers and strings always encode; a NaN would only lose its own line
	}
	_, _ = m.Out.Write(append(data, '\n')) // a metric that cannot be written harms nobody
}

var _ port.Metrics = Metrics{}

// Wall is the wall clock. It is read here and nowhere else.
func Wall() time.Time { return time.Now() }
