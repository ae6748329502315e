package site

import (
	"time"

	"ec2patch/internal/patch"
)

// Waits tells how long a target waits for the account-region until it sends, if it does so within the time.
func (s *Site) Waits(limit time.Duration) (time.Duration, bool) {
	s.T.Helper()
	from := s.Now
	for s.Now.Sub(from) < limit {
		a := s.Must(s.Send())
		if len(s.Sent) > 0 {
			return s.Now.Sub(from), true
		}
		if a.Next == patch.NextVerify {
			return s.Now.Sub(from), false
		}
		s.Now = s.Now.Add(time.Duration(a.Seconds) * time.Second)
	}
	return limit, false
}
