package backing

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/dynamo"
)

// Limits of a BatchGetItem. Source: B:dynamodb/BatchGetItem.
const (
	maxBatchGetItems = 100
	maxBatchGetBytes = 16 * 1024 * 1024
)

// BatchGetItem reads up to 100 items. Keys beyond 16 MB, and those that the
// faults leave undone, come back as unprocessed.
func (c *DynamoDB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	input := *in
	call := c.call("BatchGetItem", false, &input)
	reads, err := c.batch(call, &input)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*dynamodb.BatchGetItemOutput](err))
	}
	return core.Do(ctx, c.w.Core, call, func() (*dynamodb.BatchGetItemOutput, error) {
		return c.batchGet(call, &input, reads), nil
	})
}

// batchRead is one key of a BatchGetItem.
type batchRead struct {
	name       string // of the table, as the request has it
	index      int
	table      *table
	key        rowKey
	binding    *dynamo.Binding
	projection *dynamo.Expression
}

func (c *DynamoDB) batch(call *core.Call, in *dynamodb.BatchGetItemInput) ([]batchRead, error) {
	if err := unsupported("BatchGetItem", capacity(in.ReturnConsumedCapacity)); err != nil {
		return nil, err
	}
	var reads []batchRead
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		ask := in.RequestItems[name]
		some, hashes, err := c.batchTable(name, ask)
		if err != nil {
			return nil, err
		}
		reads = append(reads, some...)
		call.Access = append(call.Access, c.access(some[0].table, "BatchGetItem", hashes...)...)
	}
	if len(reads) == 0 || len(reads) > maxBatchGetItems {
		return nil, dynamo.Invalid("Too many items requested for the BatchGetItem call")
	}
	return reads, nil
}

func (c *DynamoDB) batchTable(name string, ask ddb.KeysAndAttributes) (reads []batchRead, hashes []string, err error) {
	if err := unsupported("BatchGetItem", param{"AttributesToGet", ask.AttributesToGet != nil}); err != nil {
		return nil, nil, err
	}
	t, err := c.table(&name)
	if err != nil {
		return nil, nil, err
	}
	if len(ask.Keys) == 0 {
		return nil, nil, dynamo.Invalid("The list of keys in RequestItems for BatchGetItem is required")
	}
	projection, err := c.w.expressions.Parse("ProjectionExpression", ask.ProjectionExpression)
	if err != nil {
		return nil, nil, err
	}
	b, err := dynamo.Bind(ask.ExpressionAttributeNames, nil, projection)
	if err != nil {
		return nil, nil, err
	}
	for i, key := range ask.Keys {
		k, err := t.keyFrom(key)
		if err != nil {
			return nil, nil, err
		}
		twice := func(r batchRead) bool { return r.key.hash == k.hash && keyText(r.key.sortKey) == keyText(k.sortKey) }
		if slices.ContainsFunc(reads, twice) {
			return nil, nil, dynamo.Invalid("Provided list of item keys contains duplicates")
		}
		reads = append(reads, batchRead{name, i, t, k, b, projection})
		if !slices.Contains(hashes, k.hash) {
			hashes = append(hashes, k.hash)
		}
	}
	return reads, hashes, nil
}

func (c *DynamoDB) batchGet(call *core.Call, in *dynamodb.BatchGetItemInput,
	reads []batchRead) *dynamodb.BatchGetItemOutput {
	out := &dynamodb.BatchGetItemOutput{
		Responses:       map[string][]map[string]ddb.AttributeValue{},
		UnprocessedKeys: map[string]ddb.KeysAndAttributes{},
	}
	done := len(reads)
	if f, ok := c.w.Faults.(PartialBatches); ok {
		done -= min(done, max(0, f.Unprocessed(call, len(reads))))
	}
	done = max(done-c.w.Unread(len(reads)), 0)
	size := 0
	for i, r := range reads {
		ask := in.RequestItems[r.name]
		if i >= done || size >= maxBatchGetBytes {
			left := out.UnprocessedKeys[r.name]
			if left.Keys == nil {
				left = ask
				left.Keys = nil
			}
			left.Keys = append(left.Keys, ask.Keys[r.index])
			out.UnprocessedKeys[r.name] = left
			continue
		}
		found := r.table.see(r.table.row(r.key), c.w.Now(), c.stale(call, ask.ConsistentRead))
		if found == nil {
			continue
		}
		size += dynamo.ItemSize(found)
		out.Responses[r.name] = append(out.Responses[r.name], r.binding.Cut(found, r.projection))
	}
	return out
}
