package patch

import "strings"

// ScopeThen says where the state machine goes on after an approval of that
// scope: to the patching, or back to the judge.
func ScopeThen(scope string) string {
	if strings.HasPrefix(scope, "soak:") {
		return "judge"
	}
	return "patch"
}

// ScopeWave is the wave of a scope, empty for the whole run.
func ScopeWave(scope string) string {
	_, wave, _ := strings.Cut(scope, ":")
	return wave
}

// ScopeText names the question of a scope as people say it.
func ScopeText(scope string) string {
	kind, wave, _ := strings.Cut(scope, ":")
	switch kind {
	case "wave":
		return "wave " + wave
	case "soak":
		return "going on after the doubtful wave " + wave
	}
	return "the whole plan"
}

// scopeText says what a question is about.
func ScopeName(scope string) string {
	wave := ScopeWave(scope)
	switch {
	case wave == "":
		return "the whole plan"
	case ScopeThen(scope) == "judge":
		return "going on after wave " + wave
	}
	return "wave " + wave
}
