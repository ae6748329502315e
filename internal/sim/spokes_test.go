package sim

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cfn"
	"ec2patch/internal/iam"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
)

// formerHub is a hub of before there were two spoke roles: every function takes the one for all that it does.
func formerHub(t *testing.T, o Options) Options {
	t.Helper()
	o.Hub = []byte(strings.ReplaceAll(string(o.Hub), "${SpokeRoleName}Reader", "${SpokeRoleName}"))
	require.NotContains(t, string(o.Hub), "SpokeRoleName}Reader")
	o.templates = nil
	return o
}

// with deploys the spokes with a value of FormerHub.
func with(o Options, former string) Options {
	o.spoke = map[string]string{"FormerHub": former}
	return o
}

// spokeWork is a run that does in spokes what runs do: plan, send, follow, cancel, read alarms, verify.
type spokeWork struct {
	name  string
	o     Options
	abort bool
}

func spokeWorks(t *testing.T) []spokeWork {
	return []spokeWork{
		{name: "patched", o: options(t, string(read(t, "examples", "run-inputs", "multi-wave-staggered.json")))},
		{name: "alarmed", o: alarmed(t)},
		{name: "aborted", o: options(t, oneWave("")), abort: true},
	}
}

// works rehearses it, and fails on anything that was refused or missed.
func (w spokeWork) works(t *testing.T, o Options, before func(*rehearsal)) {
	t.Helper()
	r, err := prepare(o)
	require.NoError(t, err)
	if w.abort {
		r.World.After(300e9, func() { r.abort(t) })
	}
	if before != nil {
		before(r)
	}
	res, err := r.run()
	require.NoError(t, err)
	assert.Empty(t, res.Violations)
	assert.Empty(t, r.World.Ledger.Denied)
	assert.Positive(t, r.World.Ledger.Calls["ssm:SendCommand"])
	assert.Equal(t, w.abort, r.World.Ledger.Calls["ssm:CancelCommand"] > 0)
}

// TestSpokes_update goes the three steps of an update: spokes that still trust a former hub, the hub, spokes that no
// longer do. At each of them the hub that is there gets everything done.
func TestSpokes_update(t *testing.T) {
	for _, work := range spokeWorks(t) {
		t.Run(work.name, func(t *testing.T) {
			t.Run("a former hub, spokes for both", func(t *testing.T) { work.works(t, formerHub(t, with(work.o, "true")), nil) })
			t.Run("the hub, spokes for both", func(t *testing.T) { work.works(t, with(work.o, "true"), nil) })
			t.Run("the hub, spokes for it alone", func(t *testing.T) { work.works(t, with(work.o, "false"), nil) })
		})
	}
}

// TestSpokes_updateUnderAnOpenRun does the first step while a former hub patches.
func TestSpokes_updateUnderAnOpenRun(t *testing.T) {
	for _, work := range spokeWorks(t) {
		t.Run(work.name, func(t *testing.T) {
			o := formerHub(t, work.o)
			o.Spoke = read(t, "internal", "cfn", "testdata", "former-spoke.yaml")
			updated := 0
			work.works(t, o, func(r *rehearsal) {
				r.World.After(200e9, func() {
					r.Setup.SpokeParameters = map[string]string{"FormerHub": "true"}
					template, err := cfn.Load("spoke-cfn.yaml", work.o.Spoke)
					require.NoError(t, err)
					require.NoError(t, r.DeploySpokes(template, r.Input))
					updated++
				})
			})
			assert.Equal(t, 1, updated)
		})
	}
}

// TestSpokes_formerHubIsOut leaves out the first step: a hub that knows one role gets in nowhere, and the rules say so.
func TestSpokes_formerHubIsOut(t *testing.T) {
	res := rehearse(t, formerHub(t, with(options(t, oneWave("")), "false")))
	assert.Contains(t, rules(res.Violations), "R-14")
	assert.Equal(t, patch.RunIncomplete, res.Status)
	assert.Zero(t, res.APICalls["ssm:SendCommand"])
}

// TestSpokes_paths has hub and spokes in paths of their own.
func TestSpokes_paths(t *testing.T) {
	o := options(t, oneWave(""))
	o.templates = nil
	for _, file := range []*[]byte{&o.Hub, &o.Spoke, &o.Reader} {
		changed := strings.ReplaceAll(string(*file), "    Default: /\n", "    Default: /team/patching/\n")
		require.NotEqual(t, string(*file), changed)
		*file = []byte(changed)
	}
	spokeWork{}.works(t, o, func(r *rehearsal) {
		for _, role := range r.Hub.Roles() {
			require.Contains(t, role.ARN, ":role/team/patching/ec2patch-")
		}
		_, err := r.World.Session("arn:aws:iam::"+first+":role/team/patching/PatchExecRoleReader", "any")
		require.NoError(t, err)
	})
}

// TestSpokes_thieves is what each role of the hub can make of itself in a spoke, if somebody has it who does not keep
// to our session policies and has attached to it a right to do anything.
func TestSpokes_thieves(t *testing.T) {
	for _, former := range []string{"false", "true"} {
		r, err := prepare(with(options(t, oneWave("")), former))
		require.NoError(t, err)
		anything, err := iam.ParsePolicy("attached",
			[]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
		require.NoError(t, err)
		for _, role := range r.Hub.Roles() {
			t.Run(role.Name+"/FormerHub="+former, func(t *testing.T) {
				own, err := r.World.Session(role.ARN, "own")
				require.NoError(t, err)
				r.World.AddRole(core.Role{ARN: role.ARN, Policies: []*iam.Policy{anything}})
				patching := map[string]bool{"ec2patch-PreEC2InventoryRole": true, "ec2patch-SendSsmCommandRole": true,
					"ec2patch-PollSsmCommandRole": true, "ec2patch-PostEC2VerifyRole": true}[role.Name]
				sends := role.Name == "ec2patch-SendSsmCommandRole"

				sender, err := r.steal(own, "PatchExecRole")
				if sends || patching && former == "true" {
					require.NoError(t, err)
					require.NotContains(t, r.scan(sender), "AccessDenied")
					assert.Equal(t, former == "true", r.reads(sender), "the sender reads for a former hub alone")
				} else {
					require.ErrorContains(t, err, "AccessDenied")
				}
				reader, err := r.steal(own, "PatchExecRoleReader")
				if !patching {
					require.ErrorContains(t, err, "AccessDenied")
					return
				}
				require.NoError(t, err)
				assert.Contains(t, r.scan(reader), "AccessDenied", "the reader sends nothing")
				assert.True(t, r.reads(reader))
			})
		}
	}
}

// steal takes a spoke's role without a session policy.
func (r *rehearsal) steal(own *core.Principal, role string) (*core.Principal, error) {
	out, err := r.World.STS(own, stage.HubRegion).AssumeRole(context.Background(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::" + first + ":role/" + role), RoleSessionName: aws.String("thief"),
		ExternalId: aws.String(stage.ExternalID),
	})
	if err != nil {
		return nil, err
	}
	p, _ := r.World.ByAccessKey(*out.Credentials.AccessKeyId)
	return p, nil
}

// scan sends to an instance that does not exist, and gives what SSM says; permissions come first.
func (r *rehearsal) scan(p *core.Principal) string {
	_, err := r.World.SSM(p, region).SendCommand(context.Background(), &ssm.SendCommandInput{
		DocumentName: aws.String(patch.Document), InstanceIds: []string{"i-00000000000000000"},
		Parameters: map[string][]string{"Operation": {"Scan"}},
	})
	return err.Error()
}

func (r *rehearsal) reads(p *core.Principal) bool {
	_, err := r.World.SSM(p, region).ListCommands(context.Background(), &ssm.ListCommandsInput{})
	return err == nil
}
