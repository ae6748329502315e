package words_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/words"
)

func TestTime(t *testing.T) {
	at := time.Date(2026, 12, 1, 15, 4, 59, 0, time.FixedZone("", 3600))
	assert.Equal(t, "2026-12-01 14:04 UTC", words.Time(at))
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "45s": "45s", "44.6s": "45s", "59.9s": "1m", "12m": "12m", "12m5s": "12m05s", "59m59.9s": "1h",
		"3h5m": "3h05m", "3h0m30s": "3h", "52h": "2d04h", "48h": "2d", "24000h": "1,000d",
	} {
		d, err := time.ParseDuration(text)
		assert.NoError(t, err)
		assert.Equal(t, want, words.Duration(d), text)
	}
}

// Who has to act is not told of time that is not there.
func TestLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "less than a minute", 59 * time.Second: "less than a minute", time.Minute: "1m",
		15*time.Minute - time.Second: "14m", 4*time.Hour - time.Second: "3h59m", 48*time.Hour - time.Second: "1d23h",
	} {
		assert.Equal(t, want, words.Left(d))
	}
}

func TestMeasured(t *testing.T) {
	assert.Equal(t, "0.35s", words.Measured(351*time.Millisecond))
	assert.Equal(t, "1m30s", words.Measured(90*time.Second))
}
