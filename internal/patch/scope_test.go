package patch_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

func TestScope(t *testing.T) {
	tests := []struct {
		scope patch.Scope
		json  string
		wave  string
		then  patch.Then
		text  string
	}{
		{patch.ScopeOfRun, "run", "", patch.ThenPatch, "the whole plan"},
		{patch.ScopeOfWave("canary"), "wave:canary", "canary", patch.ThenPatch, "wave canary"},
		{patch.ScopeOfSoak("canary"), "soak:canary", "canary", patch.ThenJudge, "continuing after the doubtful wave canary"},
		{patch.NoScope, "none", "", patch.ThenPatch, "none"},
		{"tier:later", "tier:later", "later", patch.ThenPatch, "tier:later"},
	}
	for _, test := range tests {
		t.Run(test.json, func(t *testing.T) {
			assert.Equal(t, test.json, string(test.scope))
			assert.Equal(t, test.wave, test.scope.Wave())
			assert.Equal(t, test.then, test.scope.Then())
			assert.Equal(t, test.then == patch.ThenJudge, test.scope.Soak())
			assert.Equal(t, test.text, test.scope.Text())
		})
	}
}
