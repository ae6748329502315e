package target

import (
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// Answer is what Send, Poll and Verify say: where the target goes next.
type Answer struct {
	Next     patch.Next `json:"next"` // send, wait, verify or done
	Seconds  int        `json:"seconds"`
	Waited   int        `json:"waited"`   // by the target so far, this wait included
	Failures int        `json:"failures"` // steps that failed in a row: the machine gives a target up after ten
}

// after adds the answer's own wait to what the target has waited.
func (a Answer) after(waited int) Answer {
	a.Waited = waited
	if a.Next == patch.NextWait {
		a.Waited += a.Seconds
	}
	return a
}

func send() Answer { return Answer{Next: patch.NextSend} }

func verify() Answer { return Answer{Next: patch.NextVerify} }

func done() Answer { return Answer{Next: patch.NextDone} }

// wait is at least a second: a Wait of none would spin.
func wait(d time.Duration) Answer {
	return Answer{Next: patch.NextWait, Seconds: max(words.Seconds(d), 1)}
}
