package patch

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Threshold is an absolute number ("3") or a share ("10%") of the planned
// instances of a scope. The zero value is the number 0.
type Threshold struct {
	Value   int
	Percent bool
}

// ParseThreshold reads "N" or "N%". The error names the remedy.
func ParseThreshold(s string) (Threshold, error) {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || digits != strconv.Itoa(n) {
		return Threshold{}, fmt.Errorf("%q is neither a number nor a percentage; write \"3\" or \"10%%\"", s)
	}
	if percent && n > 100 {
		return Threshold{}, fmt.Errorf("%q is more than 100%%", s)
	}
	return Threshold{Value: n, Percent: percent}, nil
}

func (t Threshold) String() string {
	if t.Percent {
		return strconv.Itoa(t.Value) + "%"
	}
	return strconv.Itoa(t.Value)
}

// MarshalJSON writes the threshold as the text that a person would give.
func (t Threshold) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Threshold) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("a threshold is text: %w", err)
	}
	parsed, err := ParseThreshold(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// Concurrency resolves the threshold against n planned instances: rounded down,
// at least 1, at most n (1 where n is 0).
func (t Threshold) Concurrency(n int) int {
	return min(max(t.Of(n), 1), max(n, 1))
}

// Limit resolves the threshold as a number of failures that is still tolerated:
// rounded down, at least 1 unless it was written as 0 or 0%. A scope is over
// its budget when its failures exceed the limit.
func (t Threshold) Limit(n int) int {
	if t.Value == 0 {
		return 0
	}
	return max(t.Of(n), 1)
}

// Of is the threshold's share of n, rounded down; an absolute one is itself.
func (t Threshold) Of(n int) int {
	if !t.Percent {
		return t.Value
	}
	return n * t.Value / 100
}

// limitOf is a limit as the input has it, and of how many; nothing if the limit is not what it gives.
func LimitText(t Threshold, n, limit int) string {
	switch {
	case t.Limit(n) != limit:
		return ""
	case t.Percent:
		return fmt.Sprintf("%s of %d", t, n)
	}
	return t.String()
}
