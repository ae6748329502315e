package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/follow"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
)

func busy(waves int) follow.Progress {
	p := follow.Progress{Elapsed: 90 * time.Minute, Phase: "patching", Wave: fmt.Sprintf("wave-%d", waves/2),
		Played: follow.Played{Approval: strings.Repeat("a", 300)}}
	for n := range waves {
		p.Waves = append(p.Waves, follow.Wave{
			Name: fmt.Sprintf("wave-%d", n), Planned: 12345, Accounts: follow.Accounts{Total: 1000, Done: 10}, InFlight: 500,
			Verdict:  patch.VerdictGood,
			Outcomes: map[outcome.Outcome]int{outcome.Patched: 10000, outcome.Failed: 1, outcome.Undeliverable: 999},
		})
	}
	return p
}

func TestScreen_FitsEveryWidth(t *testing.T) {
	for _, width := range []int{1, 40, 60, 80, 200} {
		s := newScreen(&bytes.Buffer{}, screenOptions{run: "rehearsal-1", width: width, unicode: true})
		lines := s.lines(busy(40))
		assert.LessOrEqual(t, len(lines), shownWaves+3+maxAsked)
		for _, line := range lines {
			assert.LessOrEqual(t, len([]rune(line)), max(width, minWidth), line)
		}
		assert.Contains(t, strings.Join(lines, "\n"), "wave-20", "the current wave is shown")
	}
}

func TestScreen_RedrawsTenTimesASecondAtMost(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	s := newScreen(&out, screenOptions{run: "r", width: 80, now: func() time.Time { return now }})
	for n := range 1000 {
		now = now.Add(time.Millisecond)
		s.show(follow.Progress{Elapsed: time.Duration(n) * time.Second, Phase: "patching"})
	}
	assert.LessOrEqual(t, strings.Count(out.String(), "\n"), 11)
	s.close()
	assert.Contains(t, out.String(), "16m39s", "the last state is drawn at the end")
}

func TestScreen_WritesOnlyWhatChanged(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, screenOptions{width: 80})
	s.redraw([]string{"one", "two", "three"})
	out.Reset()
	s.redraw([]string{"one", "2"})
	assert.Equal(t, "\x1b[3A\n\r\x1b[K2\n\x1b[J", out.String())
}

func TestBar_IsAlwaysAsLong(t *testing.T) {
	s := newScreen(&bytes.Buffer{}, screenOptions{width: 80})
	for _, w := range []follow.Wave{
		{}, {Planned: 1, Outcomes: map[outcome.Outcome]int{outcome.Failed: 1}},
		{Planned: 1000, Outcomes: map[outcome.Outcome]int{outcome.Patched: 999, outcome.Failed: 1}},
		{Planned: 3, Outcomes: map[outcome.Outcome]int{outcome.Patched: 9}},
	} {
		assert.Len(t, s.bar(w, 20), 20)
	}
}

func TestQuote(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{name: "plain path", in: "a/b-1.json", want: "a/b-1.json"},
		{name: "space", in: "a b", want: "'a b'"},
		{name: "single quote", in: "it's", want: `'it'\''s'`},
		{name: "shell text", in: "$(x)", want: "'$(x)'"},
		{name: "empty", in: "", want: "''"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, quote(tt.in)) })
	}
}
