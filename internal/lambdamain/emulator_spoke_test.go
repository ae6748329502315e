package lambdamain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

// emulatorGroup is the PatchGroup of the instances that are patched here. An
// endpoint that knows managed instances has some of them before the tests begin.
const emulatorGroup = "emulator"

const emulatorExternalID = "external-id-of-the-emulator"

// spoke makes the role that a spoke has, in the account that the endpoint gives us.
func (e emulator) spoke(t *testing.T) (*cloud.Spokes, patch.Target) {
	t.Helper()
	trust := policy(t, map[string]any{
		"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]string{"AWS": fmt.Sprintf("arn:aws:iam::%s:root", e.account)},
		"Condition": map[string]any{"StringEquals": map[string]string{"sts:ExternalId": emulatorExternalID}},
	})
	e.iam(t, url.Values{"Action": {"CreateRole"}, "RoleName": {e.name}, "AssumeRolePolicyDocument": {trust}})
	e.iam(t, url.Values{"Action": {"PutRolePolicy"}, "RoleName": {e.name}, "PolicyName": {"patch"}, "PolicyDocument": {
		policy(t, map[string]any{"Effect": "Allow", "Action": []string{"ec2:Describe*", "ssm:*"}, "Resource": "*"}),
	}})
	spokes := &cloud.Spokes{
		STS: e.clients.STS, Connect: e.clients.Connect, Now: Wall,
		Partition: "aws", RoleName: e.name, ExternalID: emulatorExternalID,
	}
	return spokes, patch.Target{Run: patch.RunID(e.name), Wave: "canary", Account: e.account, Region: patch.Region(e.cfg.Region)}
}

// iam makes one call of IAM, which is not among the project's clients.
func (e emulator) iam(t *testing.T, form url.Values) {
	t.Helper()
	form.Set("Version", "2010-05-08")
	body := form.Encode()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("AWS_ENDPOINT_URL"), strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	creds, err := e.cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(body))
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "iam", "us-east-1", Wall()))
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
}

func TestEmulator_Sessions(t *testing.T) {
	e := connected(t)
	spokes, target := e.spoke(t)
	made := map[string]aws.Credentials{}
	spokes.Connect = func(c aws.Credentials, region string) cloud.Clients {
		made[c.AccessKeyID] = c
		return e.clients.Connect(c, region)
	}
	s, err := spokes.Spoke(t.Context(), target)
	require.NoError(t, err)
	_, err = s.Matching(t.Context(), patch.Filters{Tags: map[string][]string{"PatchGroup": {emulatorGroup}}})
	require.NoError(t, err)
	_, err = spokes.Spoke(t.Context(), target)
	require.NoError(t, err)
	assert.Len(t, made, 1, "a reader's session is used again")

	t.Run("wrong external id", func(t *testing.T) {
		wrong := &cloud.Spokes{STS: spokes.STS, Connect: spokes.Connect, Now: Wall, Partition: "aws", RoleName: spokes.RoleName, ExternalID: "wrong-external-id"}
		_, err := wrong.Spoke(t.Context(), target)
		if err == nil {
			t.Skip("********** skipped: the endpoint does not look at external ids **********")
		}
		assert.Equal(t, patch.ErrAccessDenied, patch.KindOf(err), "%v", err)
	})
	t.Run("session policy", func(t *testing.T) {
		for _, c := range made {
			_, err := e.clients.Connect(c, e.cfg.Region).Sending.SendCommand(t.Context(), sendNothing())
			refusedHere(t, err, "SendCommand")
			if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
				t.Skipf("********** skipped: the endpoint does not look at session policies (%v) **********", err)
			}
		}
	})
}

// sendNothing is a send to an instance that does not exist.
func sendNothing() *ssm.SendCommandInput {
	return &ssm.SendCommandInput{
		DocumentName: aws.String(patch.Document), InstanceIds: []string{"i-00000000000000000"}, Parameters: map[string][]string{"Operation": {"Scan"}},
	}
}

// TestEmulator_Patching scans two instances: sends, follows, reads and cancels.
func TestEmulator_Patching(t *testing.T) {
	e := connected(t)
	spokes, target := e.spoke(t)
	s, err := spokes.Spoke(t.Context(), target)
	require.NoError(t, err)
	ids := e.instances(t, s)

	machines, err := s.Machines(t.Context(), append([]patch.InstanceID{"i-00000000000000000"}, ids...))
	require.NoError(t, err)
	assert.Len(t, machines, len(ids), "one that is gone is no error")
	_, err = s.Statuses(t.Context(), ids)
	require.NoError(t, err)

	agents, err := s.Agents(t.Context(), ids)
	refusedHere(t, err, "DescribeInstanceInformation")
	require.NoError(t, err)
	for _, id := range ids {
		if !agents[id].Online {
			t.Skipf("********** skipped: %s is not managed at this endpoint, nothing was sent **********", id)
		}
	}
	states, err := s.PatchStates(t.Context(), ids)
	refusedHere(t, err, "DescribeInstancePatchStates")
	require.NoError(t, err)
	assert.Len(t, states, len(ids))

	began := Wall().Add(-time.Minute)
	command := task.Command{
		IDs: ids, Operation: patch.Scan, RebootOption: patch.NoReboot, SnapshotID: "00000000-0000-4000-8000-000000000000",
		Marker: e.name, MaxConcurrency: len(ids), MaxErrors: 1, TimeoutSeconds: 600,
	}
	id, err := spokes.Send(t.Context(), target, command)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		found, ok, err := s.ByMarker(t.Context(), e.name, began)
		return err == nil && ok && found == id
	}, 20*time.Second, 200*time.Millisecond, "the command is found by its marker")
	follow(t, s, id, ids, began)

	states, err = s.PatchStates(t.Context(), ids)
	require.NoError(t, err)
	for _, i := range ids {
		assert.Equal(t, command.SnapshotID, states[i].SnapshotID, "the evidence is ours")
		assert.Equal(t, patch.Scan, states[i].Operation)
		_, err := s.Output(t.Context(), id, i, agents[i].Platform, 2000)
		require.NoError(t, err)
	}
	again, err := spokes.Send(t.Context(), target, command)
	require.NoError(t, err)
	require.NoError(t, s.Cancel(t.Context(), again, ids[:1]))
	require.NoError(t, s.Cancel(t.Context(), again, nil))

	command.IDs = []patch.InstanceID{"i-00000000000000000"}
	_, err = spokes.Send(t.Context(), target, command)
	assert.Equal(t, patch.ErrInvalidInstance, patch.KindOf(err), "%v", err)
}

// follow waits until the counters and the list say that every instance succeeded.
func follow(t *testing.T, s task.Spoke, id patch.CommandID, ids []patch.InstanceID, began time.Time) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, commands := range [][]patch.CommandID{{id}, {id, "00000000-0000-4000-8000-000000000000"}} {
			progress, err := s.Progress(t.Context(), began, commands)
			if err != nil || !progress[id].Ended || progress[id].Targets != len(ids) {
				return false
			}
		}
		return true
	}, 2*time.Minute, time.Second, "the command ends")
	all, err := s.Invocations(t.Context(), id)
	refusedHere(t, err, "ListCommandInvocations")
	require.NoError(t, err)
	require.Len(t, all, len(ids))
	for _, i := range all {
		assert.Contains(t, ids, i.InstanceID)
		assert.Equal(t, "Success", i.Status)
	}
}

// instances finds the instances that the endpoint was given for this, or makes
// two that no agent runs on.
func (e emulator) instances(t *testing.T, s task.Spoke) []patch.InstanceID {
	t.Helper()
	filters := patch.Filters{Tags: map[string][]string{"PatchGroup": {"none", emulatorGroup}}}
	found, err := s.Matching(t.Context(), filters)
	require.NoError(t, err)
	if len(found) == 0 {
		_, err := ec2.NewFromConfig(e.cfg).RunInstances(t.Context(), &ec2.RunInstancesInput{
			ImageId: aws.String("ami-12c6146b"), InstanceType: ec2types.InstanceTypeT3Micro, MinCount: aws.Int32(2), MaxCount: aws.Int32(2),
			TagSpecifications: []ec2types.TagSpecification{{
				ResourceType: ec2types.ResourceTypeInstance, Tags: []ec2types.Tag{{Key: aws.String("PatchGroup"), Value: aws.String(emulatorGroup)}},
			}},
		})
		require.NoError(t, err)
		found, err = s.Matching(t.Context(), filters)
		require.NoError(t, err)
	}
	require.NotEmpty(t, found)
	var ids []patch.InstanceID
	for _, m := range found {
		assert.Equal(t, emulatorGroup, m.Tags["PatchGroup"])
		ids = append(ids, m.ID)
	}
	byID, err := s.Matching(t.Context(), patch.Filters{InstanceIDs: ids})
	require.NoError(t, err)
	assert.Len(t, byID, len(found))
	return ids
}
