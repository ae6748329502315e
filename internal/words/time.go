package words

import (
	"fmt"
	"time"
)

// Time writes a moment for people, in UTC and to the minute: "2026-12-01 14:00 UTC". It sorts, and no country reads
// day and month the other way round.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Duration writes a span in its two largest units, the second one only if it is not zero: "45s", "12m30s", "12m",
// "3h05m", "2d04h".
func Duration(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return units(d, time.Hour, "h", time.Minute, "m")
	}
	return units(d, 24*time.Hour, "d", time.Hour, "h")
}

func units(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := Number(d/large) + largeName
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%02d%s", rest, smallName)
	}
	return text
}

// Left is Duration for the time that somebody has: never more than there is, and without seconds.
func Left(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	return Duration(d.Truncate(time.Minute))
}

// Measured is Duration with the hundredths of a second that a stopwatch shows: "0.35s".
func Measured(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return Duration(d)
}

// Seconds rounds up.
func Seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
