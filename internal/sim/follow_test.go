package sim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/follow"
	"ec2patch/internal/hub"
	"ec2patch/internal/iam"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
)

// visitor is somebody with managed policies of the hub's template attached, at the command line.
func visitor(t *testing.T, r *rehearsal, policies ...string) *hub.Client {
	t.Helper()
	role := core.Role{ARN: "arn:aws:iam::" + stage.HubAccount + ":role/Person"}
	for _, id := range policies {
		resource := r.Hub.Resources[id]
		require.NotNil(t, resource, id)
		data, err := json.Marshal(resource.Properties["PolicyDocument"])
		require.NoError(t, err)
		p, err := iam.ParsePolicy(id, data)
		require.NoError(t, err)
		role.Policies = append(role.Policies, p)
	}
	r.World.AddRole(role)
	session, err := r.World.Session(role.ARN, "ann")
	require.NoError(t, err)
	machine, err := hub.ParseMachine(r.Machine.MachineARN)
	require.NoError(t, err)
	return &hub.Client{Machine: machine, States: r.World.SFN(session, stage.HubRegion),
		Bucket: r.World.S3(session, stage.HubRegion), Alarms: r.World.CloudWatch(session, stage.HubRegion),
		Tables: r.World.DynamoDB(session, stage.HubRegion), Keys: r.World.KMS(session, stage.HubRegion)}
}

// look is how the run stood at one look.
type look struct {
	phase patch.Phase
	wave  string
	scope patch.Scope
}

// Somebody with the viewer's policy and nothing else follows a run from its start to its report, one query a look, and
// sees each wave.
func TestFollow_viewer(t *testing.T) {
	o := options(t, string(read(t, "examples", "run-inputs", "multi-wave-staggered.json")))
	r, err := prepare(o)
	require.NoError(t, err)
	viewer := visitor(t, r, "ViewerPolicy")
	run := "rehearsal-1"

	var f follow.Follower
	var seen []look
	var most follow.Accounts
	watch := func() {
		if _, started := r.Engine.Execution(viewer.Machine.Execution(run)); !started {
			return
		}
		events, err := viewer.Events(t.Context(), run, f.Last)
		require.NoError(t, err)
		f.See(events)
		p := f.Progress
		if now := (look{p.Phase, p.Wave, p.Question.Scope}); len(seen) == 0 || seen[len(seen)-1] != now {
			seen = append(seen, now)
		}
		for _, w := range p.Waves {
			if w.MapRun == "" || p.Phase != patch.PhasePatching {
				continue
			}
			n, err := viewer.Accounts(t.Context(), w.MapRun)
			require.NoError(t, err)
			most.Total, most.Running, most.Done = max(most.Total, n.Total), max(most.Running, n.Running), max(most.Done, n.Done)
		}
	}
	var tick func()
	tick = func() {
		watch()
		if f.Progress.Ended.IsZero() {
			r.World.After(15*time.Second, tick)
		}
	}
	r.World.After(0, tick)
	res, err := r.run()
	require.NoError(t, err)
	watch()

	assert.Equal(t, []look{
		{patch.PhasePlanning, "", ""}, {patch.PhaseWaiting, "canary", "run"}, {patch.PhasePatching, "canary", ""},
		{patch.PhaseSoaking, "canary", ""}, {patch.PhasePausing, "canary", ""},
		{patch.PhasePatching, "main", ""}, {patch.PhaseDone, "", ""},
	}, seen)
	assert.Equal(t, 2, most.Total)
	assert.Positive(t, most.Running)
	p := f.Progress
	require.Len(t, p.Waves, 2)
	assert.Equal(t, patch.VerdictGood, p.Waves[1].Verdict)
	assert.False(t, p.Ended.IsZero())

	data, err := viewer.Report(t.Context(), p.Bucket, run, "json")
	require.NoError(t, err)
	assert.JSONEq(t, string(res.Files["report.json"]), string(data))
	_, err = viewer.Report(t.Context(), p.Bucket, "another-run", "json")
	assert.ErrorContains(t, err, "or there is no report yet")

	shown := false // DescribeExecution takes its time to show an end
	r.World.After(time.Minute, func() { shown = true })
	for !shown {
		require.True(t, r.World.Step())
	}
	all, err := viewer.List(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, all, 1)
	x, err := viewer.Describe(t.Context(), run)
	require.NoError(t, err)
	assert.Equal(t, all[0], x)
	assert.False(t, x.Running())
	_, err = viewer.Start(t.Context(), "mine", o.Input)
	assert.ErrorIs(t, err, hub.ErrDenied)
	_, _, err = viewer.Ringing(t.Context(), []string{"PatchFailureRate", "ApprovalUnheard"})
	assert.NoError(t, err, "by name, since the policy allows no list of all alarms")
	_, err = viewer.Describe(t.Context(), "nobody")
	assert.ErrorIs(t, err, hub.ErrNotFound)
}

// Whoever follows a run sees that nobody was told of its question, and that somebody is after a subscription.
func TestFollow_unheard(t *testing.T) {
	for _, subscribed := range []bool{true, false} {
		r := prepared(t, asks(`,"approvalTimeoutSeconds":1800`), ApproveTimeout)
		if !subscribed {
			unsubscribe(r)
		}
		viewer := visitor(t, r, "ViewerPolicy")
		var f follow.Follower
		r.World.After(10*time.Minute, func() {
			events, err := viewer.Events(t.Context(), "rehearsal-1", 0)
			require.NoError(t, err)
			f.See(events)
		})
		finish(t, r)
		require.NotNil(t, f.Progress.Question.Told)
		assert.Equal(t, subscribed, *f.Progress.Question.Told)
		assert.Equal(t, patch.ScopeOfRun, f.Progress.Question.Scope)
	}
}
