package patch

import "strings"

// Scope is what an approval is asked for: the whole plan, one wave before it begins, or going on after a doubtful wave.
type Scope string

// The scopes that have no wave.
const (
	NoScope    Scope = "none" // nobody is asked
	ScopeOfRun Scope = "run"
)

const (
	scopeOfWave = "wave:"
	scopeOfSoak = "soak:"
)

// ScopeOfWave is the question whether a wave may begin.
func ScopeOfWave(wave string) Scope { return Scope(scopeOfWave + wave) }

// ScopeOfSoak is the question whether the run may go on after a wave that is in doubt.
func ScopeOfSoak(wave string) Scope { return Scope(scopeOfSoak + wave) }

// Wave is the wave of a scope, empty for the whole run.
func (s Scope) Wave() string {
	_, wave, _ := strings.Cut(string(s), ":")
	return wave
}

// Soak tells whether the question is about going on after a wave.
func (s Scope) Soak() bool { return strings.HasPrefix(string(s), scopeOfSoak) }

// Then says where the state machine goes on after an approval of the scope.
func (s Scope) Then() Then {
	if s.Soak() {
		return ThenJudge
	}
	return ThenPatch
}

// Text names the question in the middle of a sentence.
func (s Scope) Text() string {
	switch wave := s.Wave(); {
	case s.Soak():
		return "continuing after the doubtful wave " + wave
	case strings.HasPrefix(string(s), scopeOfWave):
		return "wave " + wave
	case s == ScopeOfRun:
		return "the whole plan"
	}
	return string(s) // of a hub that knows more questions than this version
}
