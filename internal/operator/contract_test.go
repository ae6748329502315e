package operator_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/approval"
	"ec2patch/internal/operator"
	"ec2patch/internal/store"
)

// TestMessages_AreTheFunctions holds both ends of the wire together.
func TestMessages_AreTheFunctions(t *testing.T) {
	pairs := []struct {
		name         string
		ours, theirs any
		missing      []string // what the command line has no use for
	}{
		{"request", operator.Request{}, approval.OperatorRequest{}, []string{"name"}},
		{"state", operator.State{}, approval.OperatorAnswer{}, nil},
		{"question", operator.Question{}, approval.OperatorApproval{}, nil},
		{"decision", operator.Decision{}, approval.OperatorDecision{}, nil},
		{"abort", operator.Aborted{}, store.Abort{}, nil},
		{"refusal", operator.Refusal{}, approval.OperatorError{}, nil},
	}
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			theirs := members(p.theirs)
			for _, name := range p.missing {
				assert.Contains(t, theirs, name)
				delete(theirs, name)
			}
			assert.Equal(t, slices.Sorted(maps.Keys(theirs)), slices.Sorted(maps.Keys(members(p.ours))))
		})
	}
}

// members are the names of a struct's JSON members.
func members(v any) map[string]bool {
	all := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			all[name] = true
		}
	}
	return all
}
