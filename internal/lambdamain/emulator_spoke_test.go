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
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
)

// emulatorGroup is the PatchGroup of the instances that are patched here. An
// endpoint that knows managed instances has some of them before the tests begin.
const emulatorGroup = "emulator"

const emulatorExternalID = "external-id-of-the-emulator"

// spoke makes the roles that a spoke has, in the account that the endpoint gives us.
func (e emulator) spoke(t *testing.T) (*cloud.Spokes, patch.Target) {
	t.Helper()
	trust := policy(t, map[string]any{
		"Effect": "Allow", "Action": "sts:AssumeRole",
		"Principal": map[string]string{"AWS": fmt.Sprintf("arn:aws:iam::%s:root", e.account)},
		"Condition": map[string]any{"StringEquals": map[string]string{"sts:ExternalId": emulatorExternalID}},
	})
	for role, actions := range map[string][]string{
		e.name:            {"ssm:SendCommand"},
		e.name + "Reader": {"ec2:Describe*", "ssm:Describe*", "ssm:List*", "ssm:Get*", "ssm:CancelCommand"},
	} {
		e.iam(t, url.Values{"Action": {"CreateRole"}, "RoleName": {role}, "AssumeRolePolicyDocument": {trust}})
		e.iam(t, url.Values{"Action": {"PutRolePolicy"}, "RoleName": {role}, "PolicyName": {"patch"}, "PolicyDocument": {
			policy(t, map[string]any{"Effect": "Allow", "Action": actions, "Resource": "*"}),
		}})
	}
	spokes := &cloud.Spokes{
		STS: e.clients.STS, Connect: e.clients.Connect, Now: Wall,
		Partition: "aws", Reader: "/" + e.name + "Reader", Sender: "/" + e.name, ExternalID: emulatorExternalID,
	}
	return spokes,
		patch.Target{Run: patch.RunID(e.name), Wave: "canary", Account: e.account, Region: patch.Region(e.cfg.Region)}
}

// iam makes one call of IAM, which is not among the project's clients.
func (e emulator) iam(t *testing.T, form url.Values) {
	t.Helper()
	form.Set("Version", "2010-05-08")
	body := form.Encode()
	r,
		err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("AWS_ENDPOINT_URL"),
		strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	creds, err := e.cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(body))
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "iam", "us-east-1",
		Wall()))
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
	_, err = s.Matching(t.Context(), runinput.Filters{Tags: map[string][]string{"PatchGroup": {emulatorGroup}}})
	require.NoError(t, err)
	_, err = spokes.Spoke(t.Context(), target)
	require.NoError(t, err)
	assert.Len(t, made, 1, "a reader's session is used again")

	t.Run("wrong external id", func(t *testing.T) {
		wrong := &cloud.Spokes{STS: spokes.STS, Connect: spokes.Connect, Now: Wall, Partition: "aws", Reader: spokes.Reader,
			ExternalID: "wrong-external-id"}
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
		DocumentName: aws.String(patch.Document), InstanceIds: []string{string(strange)},
		Parameters: map[string][]string{"Operation": {"Scan"}},
	}
}

// TestEmulator_Patching scans two instances: sends, follows, reads and cancels.
func TestEmulator_Patching(t *testing.T) {
	e := connected(t)
	spokes, target := e.spoke(t)
	s, err := spokes.Spoke(t.Context(), target)
	require.NoError(t, err)
	ids := e.instances(t, s)

	machines, err := s.Machines(t.Context(), append([]patch.InstanceID{strange}, ids...))
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
	session, err := spokes.Session(t.Context(), target, ids)
	require.NoError(t, err)
	command := port.Command{
		Operation: patch.Scan, RebootOption: patch.NoReboot,
		SnapshotID: "00000000-0000-4000-8000-000000000000", DeliverySeconds: 600,
	}
	sent := map[patch.InstanceID]patch.CommandID{}
	for n, i := range ids {
		command.Instance, command.Marker = i, fmt.Sprintf("%s.%d", e.name, n)
		sent[i], err = session.Send(t.Context(), command)
		require.NoError(t, err)
	}
	marked(t, s, e.name, ids, sent, began)
	for _, i := range ids {
		follow(t, s, sent[i], i, began)
	}

	states, err = s.PatchStates(t.Context(), ids)
	require.NoError(t, err)
	for _, i := range ids {
		assert.Equal(t, command.SnapshotID, states[i].SnapshotID, "the evidence is ours")
		assert.Equal(t, patch.Scan, states[i].Operation)
		_, err := s.Output(t.Context(), sent[i], i, agents[i].Platform, 2000)
		require.NoError(t, err)
		began, err := s.Began(t.Context(), sent[i], i, agents[i].Platform)
		require.NoError(t, err)
		assert.True(t, began)
	}
	cancelled(t, s, session, command, ids[0])

	command.Instance = strange
	_, err = session.Send(t.Context(), command)
	// the endpoint may not look at the session's policy
	refusals := []patch.Kind{patch.ErrAccessDenied, patch.ErrInvalidInstance}
	assert.Contains(t, refusals, patch.KindOf(err), "the session does not name it: %v", err)
	session, err = spokes.Session(t.Context(), target, []patch.InstanceID{strange})
	require.NoError(t, err)
	_, err = session.Send(t.Context(), command)
	assert.Equal(t, patch.ErrInvalidInstance, patch.KindOf(err), "%v", err)
}

// strange is an instance that does not exist.
const strange = patch.InstanceID("i-00000000000000000")

// marked waits until every command is found by its marker, and no other one.
func marked(
	t *testing.T, s port.Spoke, marker string, ids []patch.InstanceID, sent map[patch.InstanceID]patch.CommandID,
	began time.Time,
) {
	t.Helper()
	require.Eventually(t, func() bool {
		found, err := s.Marked(t.Context(), []string{"no-such-marker", marker}, began)
		if err != nil || len(found) != len(ids) {
			return false
		}
		for n, i := range ids {
			at := found[fmt.Sprintf("%s.%d", marker, n)]
			if at.ID != sent[i] || at.At.Before(began) {
				return false
			}
		}
		return true
	}, 20*time.Second, 200*time.Millisecond, "the commands are found by their markers")
	none, err := s.Marked(t.Context(), []string{marker}, Wall().Add(time.Hour))
	require.NoError(t, err)
	assert.Empty(t, none, "requested since then")
}

// follow waits until the command is no longer listed as executing, and its instance says that it succeeded.
func follow(t *testing.T, s port.Spoke, id patch.CommandID, i patch.InstanceID, began time.Time) {
	t.Helper()
	require.Eventually(t, func() bool {
		executing, err := s.Executing(t.Context(), began)
		if err != nil || executing[id] {
			return false
		}
		v, found, err := s.Invocation(t.Context(), id)
		return err == nil && found && v.Status == "Success"
	}, 2*time.Minute, time.Second, "the command ends")
	v, found, err := s.Invocation(t.Context(), id)
	refusedHere(t, err, "ListCommandInvocations")
	require.NoError(t, err)
	require.True(t, found)
	assert.Equal(t, outcome.Invocation{InstanceID: i, Command: id, Status: "Success", Details: "Success"}, v)
}

// cancelled sends one more command and takes it back, twice: a repeat is harmless.
func cancelled(t *testing.T, s port.Spoke, session port.Session, command port.Command, i patch.InstanceID) {
	t.Helper()
	command.Instance, command.Marker = i, command.Marker+"-again"
	id, err := session.Send(t.Context(), command)
	require.NoError(t, err)
	require.NoError(t, s.Cancel(t.Context(), id, i))
	require.NoError(t, s.Cancel(t.Context(), id, i))
	require.Eventually(t, func() bool {
		v, found, err := s.Invocation(t.Context(), id)
		return err == nil && found && v.Terminal()
	}, 2*time.Minute, 200*time.Millisecond, "a command that was taken back ends")
}

// instances finds the instances that the endpoint was given for this, or makes
// two that no agent runs on.
func (e emulator) instances(t *testing.T, s port.Spoke) []patch.InstanceID {
	t.Helper()
	filters := runinput.Filters{Tags: map[string][]string{"PatchGroup": {"none", emulatorGroup}}}
	found, err := s.Matching(t.Context(), filters)
	require.NoError(t, err)
	if len(found) == 0 {
		_, err := ec2.NewFromConfig(e.cfg).RunInstances(t.Context(), &ec2.RunInstancesInput{
			ImageId: aws.String("ami-12c6146b"), InstanceType: ec2types.InstanceTypeT3Micro, MinCount: aws.Int32(2),
			MaxCount: aws.Int32(2),
			TagSpecifications: []ec2types.TagSpecification{{
				ResourceType: ec2types.ResourceTypeInstance,
				Tags:         []ec2types.Tag{{Key: aws.String("PatchGroup"), Value: aws.String(emulatorGroup)}},
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
	byID, err := s.Matching(t.Context(), runinput.Filters{InstanceIDs: ids})
	require.NoError(t, err)
	assert.Len(t, byID, len(found))
	return ids
}
