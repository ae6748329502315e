package words

import (
	"fmt"
	"time"
)

// MinutesText is a duration as people say it, empty for none.
func MinutesText(n int) string {
	switch {
	case n == 0:
		return ""
	case n < 60:
		return fmt.Sprintf("%d min", n)
	}
	return fmt.Sprintf("%d h %02d min", n/60, n%60)
}

// Seconds rounds up.
func Seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
