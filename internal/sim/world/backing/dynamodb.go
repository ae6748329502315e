package backing

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/dynamo"
)

// DynamoDB is a client of DynamoDB in one region. It models items, conditions
// and transactions; not indexes, scans, capacity or the old parameters before
// expressions. A table whose key is disabled stays readable, as it does for a
// while in AWS. Of IAM's keys it knows dynamodb:LeadingKeys; dynamodb:Attributes,
// dynamodb:Select and dynamodb:ReturnValues are not in its requests.
type DynamoDB struct{ seat }

// DynamoDB is a client for a principal.
func (w *Services) DynamoDB(p *core.Principal, region string) *DynamoDB {
	return &DynamoDB{seat{w, p, region, "dynamodb"}}
}

// access is the permission to act on some items of a table.
func (c *DynamoDB) access(t *table, action string, hashes ...string) []core.Access {
	all := []core.Access{{
		Action: "dynamodb:" + action, Resources: []string{t.spec.ARN},
		Context: map[string][]string{"dynamodb:LeadingKeys": hashes},
	}}
	if t.spec.CallersNeedKey {
		all = append(all, keyUse(c.seat, t.spec.KMSKeyARN, "kms:Decrypt", nil))
	}
	return all
}

// stale is how far back a read of this kind sees.
func (c *DynamoDB) stale(call *core.Call, consistent *bool) time.Duration {
	if f, ok := c.w.Faults.(core.StaleReads); ok && !deref(consistent) {
		return f.Stale(call)
	}
	return 0
}

// GetItem reads one item; an item that is not there is no error.
func (c *DynamoDB) GetItem(ctx context.Context, in *dynamodb.GetItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	input := *in
	call := c.call("GetItem", false, &input)
	effect, err := c.getItem(call, &input)
	if err != nil {
		effect = core.Refused[*dynamodb.GetItemOutput](err)
	}
	return core.Do(ctx, c.w.Core, call, effect)
}

func (c *DynamoDB) getItem(call *core.Call, in *dynamodb.GetItemInput) (func() (*dynamodb.GetItemOutput, error),
	error) {
	err := unsupported("GetItem", param{"AttributesToGet", in.AttributesToGet != nil}, capacity(in.ReturnConsumedCapacity))
	if err != nil {
		return nil, err
	}
	t, err := c.table(in.TableName)
	if err != nil {
		return nil, err
	}
	projection, err := c.w.expressions.Parse("ProjectionExpression", in.ProjectionExpression)
	if err != nil {
		return nil, err
	}
	b, err := dynamo.Bind(in.ExpressionAttributeNames, nil, projection)
	if err != nil {
		return nil, err
	}
	k, err := t.keyFrom(in.Key)
	if err != nil {
		return nil, err
	}
	call.Access = c.access(t, "GetItem", k.hash)
	return func() (*dynamodb.GetItemOutput, error) {
		found := t.see(t.row(k), c.w.Now(), c.stale(call, in.ConsistentRead))
		return &dynamodb.GetItemOutput{Item: b.Cut(found, projection)}, nil
	}, nil
}

func capacity(r ddb.ReturnConsumedCapacity) param {
	return param{"ReturnConsumedCapacity", r != "" && r != ddb.ReturnConsumedCapacityNone}
}

func collection(r ddb.ReturnItemCollectionMetrics) param {
	return param{"ReturnItemCollectionMetrics", r != "" && r != ddb.ReturnItemCollectionMetricsNone}
}

// carryOut does one write and returns the item before and after it.
func (c *DynamoDB) carryOut(m *mutation) (old, to dynamo.Item, err error) {
	now := c.w.Now()
	old = m.table.see(m.table.row(m.key), now, 0)
	if to, err = m.decide(old); err != nil {
		return nil, nil, err
	}
	m.table.write(m.key, to, now, c.w.staleReads())
	return old, to, nil
}

// write runs a call that writes one item.
func write[T any](ctx context.Context, c *DynamoDB, op string, input any, r request, refuse error,
	answer func(m *mutation, old, to dynamo.Item) T) (T, error) {
	call := c.call(op, true, input)
	if refuse != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[T](refuse))
	}
	m, err := c.mutation(op, r)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[T](err))
	}
	call.Access = c.access(m.table, op, m.key.hash)
	return core.Do(ctx, c.w.Core, call, func() (T, error) {
		old, to, err := c.carryOut(m)
		if err != nil {
			var zero T
			return zero, err
		}
		return answer(m, old, to), nil
	})
}

// PutItem writes a whole item.
func (c *DynamoDB) PutItem(ctx context.Context, in *dynamodb.PutItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	input := *in
	refuse := unsupported("PutItem", param{"Expected", in.Expected != nil || in.ConditionalOperator != ""},
		capacity(in.ReturnConsumedCapacity), collection(in.ReturnItemCollectionMetrics))
	if refuse == nil {
		refuse = checkReturnValues(in.ReturnValues, ddb.ReturnValueAllOld)
	}
	return write(ctx, c, "PutItem", &input, request{
		table: in.TableName, item: in.Item, condition: in.ConditionExpression,
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		onFailure: in.ReturnValuesOnConditionCheckFailure,
	}, refuse, func(m *mutation, old, _ dynamo.Item) *dynamodb.PutItemOutput {
		input.Item, input.ExpressionAttributeNames, input.ExpressionAttributeValues = m.item, m.ownNames(), m.binding.Values
		return &dynamodb.PutItemOutput{Attributes: m.returned(in.ReturnValues, old, nil)}
	})
}

// UpdateItem changes an item, or makes one.
func (c *DynamoDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	input := *in
	refuse := unsupported("UpdateItem", param{"Expected", in.Expected != nil || in.ConditionalOperator != ""},
		param{"AttributeUpdates", in.AttributeUpdates != nil},
		capacity(in.ReturnConsumedCapacity), collection(in.ReturnItemCollectionMetrics))
	if refuse == nil {
		refuse = checkReturnValues(in.ReturnValues, ddb.ReturnValueAllOld, ddb.ReturnValueAllNew, ddb.ReturnValueUpdatedOld,
			ddb.ReturnValueUpdatedNew)
	}
	return write(ctx, c, "UpdateItem", &input, request{
		table: in.TableName, key: in.Key, condition: in.ConditionExpression, update: in.UpdateExpression,
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		onFailure: in.ReturnValuesOnConditionCheckFailure,
	}, refuse, func(m *mutation, old, to dynamo.Item) *dynamodb.UpdateItemOutput {
		input.Key, input.ExpressionAttributeNames, input.ExpressionAttributeValues = m.keyItem, m.ownNames(), m.binding.Values
		return &dynamodb.UpdateItemOutput{Attributes: m.returned(in.ReturnValues, old, to)}
	})
}

// DeleteItem removes an item; one that is not there is no error.
func (c *DynamoDB) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	input := *in
	refuse := unsupported("DeleteItem", param{"Expected", in.Expected != nil || in.ConditionalOperator != ""},
		capacity(in.ReturnConsumedCapacity), collection(in.ReturnItemCollectionMetrics))
	if refuse == nil {
		refuse = checkReturnValues(in.ReturnValues, ddb.ReturnValueAllOld)
	}
	return write(ctx, c, "DeleteItem", &input, request{
		table: in.TableName, key: in.Key, condition: in.ConditionExpression,
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		onFailure: in.ReturnValuesOnConditionCheckFailure,
	}, refuse, func(m *mutation, old, _ dynamo.Item) *dynamodb.DeleteItemOutput {
		input.Key, input.ExpressionAttributeNames, input.ExpressionAttributeValues = m.keyItem, m.ownNames(), m.binding.Values
		return &dynamodb.DeleteItemOutput{Attributes: m.returned(in.ReturnValues, old, nil)}
	})
}

// ownNames are the names of the request for the ledger: what it keeps, no caller
// can change later.
func (m *mutation) ownNames() map[string]string { return maps.Clone(m.binding.Names) }

func checkReturnValues(r ddb.ReturnValue, allowed ...ddb.ReturnValue) error {
	if r == "" || r == ddb.ReturnValueNone || slices.Contains(allowed, r) {
		return nil
	}
	return dynamo.Invalid("Return values set to invalid value")
}

// returned is what ReturnValues asks for.
func (m *mutation) returned(r ddb.ReturnValue, old, to dynamo.Item) dynamo.Item {
	switch r {
	case ddb.ReturnValueAllOld:
		return dynamo.CloneItem(old)
	case ddb.ReturnValueAllNew:
		return dynamo.CloneItem(to)
	case ddb.ReturnValueUpdatedOld:
		return m.touched(old)
	case ddb.ReturnValueUpdatedNew:
		return m.touched(to)
	}
	return nil
}

// touched is the part of an item that the update names; nil for nothing.
func (m *mutation) touched(in dynamo.Item) dynamo.Item {
	if m.update == nil || in == nil {
		return nil
	}
	if part := m.binding.Project(in, m.update.Update.Paths()); len(part) > 0 {
		return part
	}
	return nil
}
