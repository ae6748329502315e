package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
)

func (s *site) watched() patch.Watch {
	s.t.Helper()
	var w patch.Watch
	s.load(patch.WatchKey(siteRun, "w"), &w)
	return w
}

// watching is a site of ten, two at once, whose wave has an alarm.
func watching(t *testing.T) *site {
	return newSite(t, 10, gate(0, "arn"), func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
		l.Concurrency = 2
	})
}

// The first call in a while reads the alarms for all; the others read its row.
func TestWatch_oneReadsForAll(t *testing.T) {
	s := watching(t)
	s.must(s.send())
	assert.Equal(t, 1, s.alarms)
	w := s.watched()
	assert.Equal(t, s.now, w.Read)
	assert.Equal(t, []patch.AlarmState{{ARN: "arn", State: patch.AlarmOK}}, w.Alarms)
	s.must(s.send())
	s.must(s.poll())
	assert.Equal(t, 1, s.alarms)
	s.now = s.now.Add(time.Minute)
	s.must(s.poll())
	s.must(s.send())
	assert.Equal(t, 2, s.alarms)
}

// A wave without alarms asks nobody, and writes no row.
func TestWatch_noAlarms(t *testing.T) {
	s := newSite(t, 10)
	s.must(s.send())
	assert.Zero(t, s.alarms)
	assert.NotContains(t, s.table.rows, patch.WatchKey(siteRun, "w"))
}

// Whatever an alarm is but OK, nothing more is sent, also when it is green again.
func TestWatch_redStops(t *testing.T) {
	for _, state := range []string{patch.AlarmFiring, patch.AlarmNoData, patch.AlarmMissing, patch.AlarmUnreadable} {
		s := watching(t)
		s.must(s.send())
		before := len(s.sent)
		require.Positive(t, before)
		s.red = map[string]string{"arn": state}
		s.now = s.now.Add(2 * time.Minute)
		s.must(s.poll())
		s.red = nil
		s.now = s.now.Add(2 * time.Minute)
		s.must(s.send())
		assert.Len(t, s.sent, before, state)
		var row patch.TargetRow
		s.load(patch.TargetKey(s.target), &row)
		assert.Equal(t, patch.ReasonStopped, row.Closed)
		assert.Equal(t, state, s.watched().Seen[0].State)
	}
}

// What nobody can see just now lets nobody send, and does not keep anybody from following what runs. Only when
// it lasts is it red.
func TestWatch_unread(t *testing.T) {
	s := watching(t)
	s.must(s.send())
	s.unread = patch.ErrThrottled
	s.now = s.now.Add(time.Minute)
	s.must(s.send()) // what was read a minute ago is good enough
	before := len(s.sent)
	s.now = s.now.Add(2 * time.Minute)
	_, err := s.send()
	assert.Equal(t, patch.ErrThrottled, patch.KindOf(err))
	s.must(s.poll())
	assert.Len(t, s.sent, before)
	assert.Empty(t, s.watched().Seen)
	s.now = s.now.Add(8 * time.Minute)
	s.must(s.poll())
	assert.Equal(t, []patch.AlarmState{{ARN: "arn", State: patch.AlarmUnreadable}}, s.watched().Seen)
}

// An outage that began before the wave counts from the first look.
func TestWatch_neverRead(t *testing.T) {
	s := watching(t)
	s.unread = patch.ErrUnavailable
	for range 10 {
		_, err := s.send()
		require.Equal(t, patch.ErrUnavailable, patch.KindOf(err))
		s.now = s.now.Add(time.Minute)
	}
	s.must(s.send())
	assert.Empty(t, s.sent)
	assert.True(t, s.watched().Red())
}
