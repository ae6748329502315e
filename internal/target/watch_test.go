package target_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/doubt"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// watching is a site of ten, two at once, whose wave has an alarm.
func watching(t *testing.T) *site.Site {
	return site.New(t, 10, site.Gate(0, "arn"),
		func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
			l.Concurrency = 2
		})
}

// The first call in a while reads the alarms for all; the others read its row.
func TestWatch_oneReadsForAll(t *testing.T) {
	s := watching(t)
	s.Must(s.Send())
	assert.Equal(t, 1, s.Alarms)
	w := s.Watched()
	assert.Equal(t, s.Now, w.Read)
	assert.Equal(t, []doubt.AlarmState{{ARN: "arn", State: doubt.AlarmOK}}, w.Alarms)
	s.Must(s.Send())
	s.Must(s.Poll())
	assert.Equal(t, 1, s.Alarms)
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Poll())
	s.Must(s.Send())
	assert.Equal(t, 2, s.Alarms)
}

// A wave without alarms asks nobody, and writes no row.
func TestWatch_noAlarms(t *testing.T) {
	s := site.New(t, 10)
	s.Must(s.Send())
	assert.Zero(t, s.Alarms)
	assert.NotContains(t, s.Table.Rows, store.WatchKey(site.Run, "w"))
}

// Whatever an alarm is but OK, nothing more is sent, also when it is green again.
func TestWatch_redStops(t *testing.T) {
	for _, state := range []string{doubt.AlarmFiring, doubt.AlarmNoData, doubt.AlarmMissing, doubt.AlarmUnreadable} {
		s := watching(t)
		s.Must(s.Send())
		before := len(s.Sent)
		require.Positive(t, before)
		s.Red = map[string]string{"arn": state}
		s.Now = s.Now.Add(2 * time.Minute)
		s.Must(s.Poll())
		s.Red = nil
		s.Now = s.Now.Add(2 * time.Minute)
		s.Must(s.Send())
		assert.Len(t, s.Sent, before, state)
		var row target.TargetRow
		s.Read(store.TargetKey(s.Target), &row)
		assert.Equal(t, outcome.ReasonStopped, row.Closed)
		assert.Equal(t, state, s.Watched().Seen[0].State)
	}
}

// What nobody can see just now lets nobody send, and does not keep anybody from following what runs. Only when
// it lasts is it red.
func TestWatch_unread(t *testing.T) {
	s := watching(t)
	s.Must(s.Send())
	s.Unread = patch.ErrThrottled
	s.Now = s.Now.Add(time.Minute)
	s.Must(s.Send()) // what was read a minute ago is good enough
	before := len(s.Sent)
	s.Now = s.Now.Add(2 * time.Minute)
	_, err := s.Send()
	assert.Equal(t, patch.ErrThrottled, patch.KindOf(err))
	s.Must(s.Poll())
	assert.Len(t, s.Sent, before)
	assert.Empty(t, s.Watched().Seen)
	s.Now = s.Now.Add(8 * time.Minute)
	s.Must(s.Poll())
	assert.Equal(t, []doubt.AlarmState{{ARN: "arn", State: doubt.AlarmUnreadable}}, s.Watched().Seen)
}

// An outage that began before the wave counts from the first look.
func TestWatch_neverRead(t *testing.T) {
	s := watching(t)
	s.Unread = patch.ErrUnavailable
	for range 10 {
		_, err := s.Send()
		require.Equal(t, patch.ErrUnavailable, patch.KindOf(err))
		s.Now = s.Now.Add(time.Minute)
	}
	s.Must(s.Send())
	assert.Empty(t, s.Sent)
	assert.True(t, s.Watched().Red())
}
