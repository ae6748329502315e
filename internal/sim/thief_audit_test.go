package sim

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/audit"
	"ec2patch/internal/cloud"
	"ec2patch/internal/hub"
	"ec2patch/internal/lambdas"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/store"
)

// auditors are the functions that write the audit, by what their chains begin with, and the keys that they sign with.
func auditors() map[store.Writer]struct{ handler, key string } {
	return map[store.Writer]struct{ handler, key string }{
		store.Inventory: {lambdas.Inventory, "InventoryAuditKey"},
		store.Send:      {lambdas.SendCommand, "SendAuditKey"},
		store.Poll:      {lambdas.Poll, "PollAuditKey"},
		store.Verify:    {lambdas.Verify, "VerifyAuditKey"},
		store.Request:   {lambdas.ApprovalRequest, "ApprovalRequestAuditKey"},
		store.Callback:  {lambdas.ApprovalCallback, "ApprovalCallbackAuditKey"},
	}
}

// entry puts a row of the audit, over another if there is one.
func (x thief) entry(e store.AuditEntry) error {
	row, err := attributevalue.MarshalMapWithOptions(e, func(o *attributevalue.EncoderOptions) { o.TagKey = "json" })
	require.NoError(x.t, err)
	row["pk"] = &types.AttributeValueMemberS{Value: e.Key().PK}
	row["sk"] = &types.AttributeValueMemberS{Value: e.Key().SK}
	_, err = x.r.World.DynamoDB(x.role, stage.HubRegion).PutItem(context.Background(),
		&dynamodb.PutItemInput{TableName: aws.String("ec2patch-audit"), Item: row})
	return err
}

// sign signs with a key of the hub.
func (x thief) sign(logicalID string) error {
	key := &cloud.AuditKey{KMS: x.r.World.KMS(x.role, stage.HubRegion), Key: x.r.keyARN(logicalID)}
	_, err := key.Sign(context.Background(), make([]byte, 32))
	return err
}

// A role that is stolen appends to no chain but its own, and signs with no key but its own.
func TestThief_auditOfOthers(t *testing.T) {
	r, err := prepare(options(t, oneWave("")))
	require.NoError(t, err)
	for own, a := range auditors() {
		x := r.thief(t, a.handler)
		for other, b := range auditors() {
			e, _ := store.ChainHead{}.Append(other.Chain("RUN#forged"), "x", "Verdict", "good", r.Start)
			assert.Equal(t, own == other, x.entry(e) == nil, "%s puts a row of %s", own, other)
			assert.Equal(t, own == other, x.sign(b.key) == nil, "%s signs as %s", own, other)
		}
		for _, chain := range []string{"RUN#forged", "APPROVAL#forged", string(own)} {
			e, _ := store.ChainHead{}.Append(chain, "x", "Verdict", "good", r.Start)
			require.ErrorContains(t, x.entry(e), "AccessDenied", "%s puts a row of %s", own, chain)
		}
	}
}

// hubTrail reads the audit of a hub with somebody's credentials.
type hubTrail struct {
	*hub.Client
	bucket string
}

func (h hubTrail) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	return h.Object(ctx, h.bucket, key)
}

// checked reads and checks the audit of the run as somebody who has the viewer's policy and nothing else.
func (r *rehearsal) checked(t *testing.T, viewer *hub.Client) audit.Verdict {
	t.Helper()
	trail, err := audit.Read(t.Context(), hubTrail{viewer, r.Bucket()}, r.options.RunID)
	require.NoError(t, err)
	keys := audit.Keys{}
	for w := range auditors() {
		der, err := viewer.AuditKey(t.Context(), w)
		require.NoError(t, err)
		keys[w], err = audit.ParseKey(der)
		require.NoError(t, err)
	}
	return trail.Verify(keys)
}

// Whoever has the viewer's policy checks the audit of a run. One role that writes its own chain anew, with all hashes
// and a signature of its own key, is found out by what the judge has bound.
func TestThief_rehashesAChain(t *testing.T) {
	r, err := prepare(options(t, oneWave("")))
	require.NoError(t, err)
	res, err := r.run()
	require.NoError(t, err)
	require.Equal(t, patch.RunSucceeded, res.Status)
	viewer := visitor(t, r, "ViewerPolicy")
	v := r.checked(t, viewer)
	assert.Empty(t, v.Violations)
	assert.Empty(t, v.Unproven)
	assert.Len(t, v.Proven, 4, "plan, inventory, sends and verdicts")

	chain := store.Send.Chain(store.TargetSubject(patch.Target{Run: r.options.RunID, Account: first, Region: region}))
	entries, err := viewer.Chain(t.Context(), chain)
	require.NoError(t, err)
	require.Greater(t, len(entries), 2)
	x := r.thief(t, lambdas.SendCommand)
	key := &cloud.AuditKey{KMS: r.World.KMS(x.role, stage.HubRegion), Key: r.keyARN("SendAuditKey")}
	var head store.ChainHead
	for i, e := range entries {
		if i == 1 {
			e.Detail = strings.Replace(e.Detail, "[i-", "[i-f", 1)
		}
		e, head = head.Append(chain, e.Actor, e.Action, e.Detail, e.At)
		e, err = e.Signed(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, x.entry(e), "a role may put over its own rows")
	}
	v = r.checked(t, viewer)
	assert.Contains(t, fmt.Sprint(v.Violations), "is not the one that entry 1 of VERIFY#RUN#rehearsal-1 binds")
}

// A key that is no key pair signs nothing, and neither does a wrong digest.
func TestThief_signsWithAnotherKey(t *testing.T) {
	r, err := prepare(options(t, oneWave("")))
	require.NoError(t, err)
	x := r.thief(t, lambdas.SendCommand)
	for _, key := range []string{"DecisionKey", "DataKey", "LinkKey"} {
		require.Error(t, x.sign(key), key)
	}
	_, err = r.World.KMS(x.role, stage.HubRegion).Sign(t.Context(), &kms.SignInput{
		KeyId: aws.String(r.keyARN("SendAuditKey")), Message: []byte("short"), MessageType: kmstypes.MessageTypeDigest,
		SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256,
	})
	require.ErrorContains(t, err, "ValidationException")
}
