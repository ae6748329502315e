package wire_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/cloudformation"
	"ec2patch/internal/cfn"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/wire"
)

// TestEnvironment compares what each function is given with what its wiring reads: a variable that nobody reads is a
// parameter without effect, one that is missing is a function that does not start.
func TestEnvironment(t *testing.T) {
	wirings := map[string]func(wire.Getenv) error{
		lambdas.Inventory:        func(env wire.Getenv) error { _, err := wire.NewInventory(env, wire.AWS{}); return err },
		lambdas.SendCommand:      func(env wire.Getenv) error { _, err := wire.NewSend(env, wire.AWS{}); return err },
		lambdas.Poll:             func(env wire.Getenv) error { _, err := wire.NewPoll(env, wire.AWS{}); return err },
		lambdas.ApprovalRequest:  func(env wire.Getenv) error { _, err := wire.NewApprovals(env, wire.AWS{}); return err },
		lambdas.ApprovalCallback: func(env wire.Getenv) error { _, err := wire.NewCallback(env, wire.AWS{}); return err },
		lambdas.Verify:           func(env wire.Getenv) error { _, err := wire.NewVerify(env, wire.AWS{}); return err },
	}
	template, err := cfn.Load("hub-cfn.yaml", cloudformation.Hub)
	require.NoError(t, err)
	stack, err := template.Deploy(cfn.Deployment{StackName: "hub", Account: "999999999999", Region: "us-east-1",
		Parameters: map[string]string{
			"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
			"CrossAccountExternalId": "0123456789abcdef0123456789abcdef"}})
	require.NoError(t, err)
	require.Len(t, stack.Functions(), len(wirings))
	for _, f := range stack.Functions() {
		build, ok := wirings[f.Handler]
		require.True(t, ok, "%s has the handler %q, which is no binary", f.LogicalID, f.Handler)
		read := map[string]bool{}
		require.NoError(t, build(func(name string) string {
			read[name] = true
			return f.Environment[name]
		}), f.LogicalID)
		assert.Equal(t, slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(f.Environment)),
			"%s must be given what it reads, and nothing else", f.LogicalID)
	}
}
