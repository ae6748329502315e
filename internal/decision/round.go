package decision

import (
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// Ask is one question to people as the state machine carries it.
type Ask struct {
	Scope        patch.Scope `json:"scope"` // none, run, wave:<name>, soak:<name>
	RoundSeconds int         `json:"roundSeconds"`
}

const (
	// RoundSeconds is how long one round of an approval lasts before a reminder.
	RoundSeconds = 900
	// roundShare makes rounds longer in a run that lasts: 1/150 of the time that it
	// has lasted, from the second day on. Whatever is asked and however late it is
	// answered, the year that an execution may last has fewer than 1,000 rounds, of
	// 15 events each, where a history has room for 25,000. Source: Step Functions
	// quotas, read 2026-11.
	roundShare = 150
)

// RoundAt is how long a round lasts that begins now.
func RoundAt(started, now time.Time) int {
	return max(RoundSeconds, words.Seconds(now.Sub(started))/roundShare)
}
