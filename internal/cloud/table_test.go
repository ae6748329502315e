package cloud_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// oneRow keeps the last item that was put.
type oneRow struct {
	cloud.DynamoDB
	item map[string]types.AttributeValue
}

func (o *oneRow) PutItem(_ context.Context, in *dynamodb.PutItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	o.item = in.Item
	return &dynamodb.PutItemOutput{}, nil
}

func (o *oneRow) GetItem(context.Context, *dynamodb.GetItemInput,
	...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: o.item}, nil
}

// sizeOf is an item's size in bytes. Source: DynamoDB, item sizes and formats, read 2026-11.
func sizeOf(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberL:
		n := 3
		for _, x := range v.Value {
			n += 1 + sizeOf(x)
		}
		return n
	case *types.AttributeValueMemberM:
		n := 3
		for name, x := range v.Value {
			n += 1 + len(name) + sizeOf(x)
		}
		return n
	}
	return 1
}

func roundTrip[T any](t *testing.T, row T) (read T, size int) {
	t.Helper()
	db := &oneRow{}
	table := cloud.Table{DynamoDB: db, State: "state", Audit: "audit", Now: time.Now}
	key := store.Key{PK: "RUN#r", SK: "X"}
	require.NoError(t, table.Write(t.Context(), store.Write{How: store.Create, Key: key, Item: row}))
	found := &store.Row{Key: key, Into: &read}
	require.NoError(t, table.Load(t.Context(), found))
	require.True(t, found.Found)
	return read, sizeOf(&types.AttributeValueMemberM{Value: db.item})
}

// What a target, a step and a look keep of many instances survives the table, and fits into its rows.
func TestTable_largeRows(t *testing.T) {
	at := time.Date(2026, 12, 1, 2, 3, 4, 5_000_000, time.UTC)
	row := target.TargetRow{Planned: 1_000_000, Doubts: []int{1, 2}, Good: 7}
	in := target.Intent{Batch: 1, Marker: plan.Marker(spokeTarget, 1), Settled: true, Written: at}
	look := target.Look{At: at}
	for n := range 1250 { // as many steps as a history has room for
		o := target.OpenIntent{N: n + 1}
		for i := range target.MaxSends {
			o.Left.Add(i)
			o.Ran.Add(i)
			o.Cut.Add(i)
		}
		o.CutAt = store.Mark{At: at, Waited: 100_000}
		row.Open = append(row.Open, o)
	}
	row.Open[0] = target.OpenIntent{N: 1, Left: target.Bits{1}}
	id := func(i int) patch.InstanceID { return patch.InstanceID(fmt.Sprintf("i-%017x", i)) }
	command := func(i int) patch.CommandID {
		return patch.CommandID(fmt.Sprintf("01234567-89ab-cdef-0123-%012x", i))
	}
	for i := range target.MaxSends {
		in.IDs = append(in.IDs, id(i))
		in.Sends = append(in.Sends, target.Sent{Command: command(i), At: at})
	}
	for i := range 400 {
		look.Found = append(look.Found, outcome.Invocation{InstanceID: id(i), Status: "InProgress",
			Details: "DeliveryTimedOut", Ran: true, Command: command(i), Seen: at})
		look.Cancels = append(look.Cancels, target.Cancel{InstanceID: id(i), Command: command(i),
			Why: outcome.ReasonExpired})
	}
	gotRow, size := roundTrip(t, row)
	assert.Equal(t, row, gotRow)
	assert.Less(t, size, 400_000)
	gotIntent, size := roundTrip(t, in)
	assert.Equal(t, in, gotIntent)
	assert.Less(t, size, 60_000)
	gotLook, size := roundTrip(t, look)
	assert.Equal(t, look, gotLook)
	assert.Less(t, size, 400_000)
	refused := target.Try{Before: target.Sent{At: at, Refused: string(patch.ErrAccessDenied)}}
	got, _ := roundTrip(t, refused)
	assert.Equal(t, refused, got)
}
