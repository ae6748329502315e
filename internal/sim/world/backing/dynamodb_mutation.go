package backing

import (
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/sim/world/dynamo"
)

// mutation is one write of one item, in a call of its own or in a transaction.
type mutation struct {
	op        string // "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"
	table     *table
	key       rowKey
	keyItem   dynamo.Item
	item      dynamo.Item // of a put
	condition *dynamo.Expression
	update    *dynamo.Expression
	binding   *dynamo.Binding
	showOld   bool // ReturnValuesOnConditionCheckFailure
}

// request is what the four kinds of writes have in common.
type request struct {
	table             *string
	key, item         dynamo.Item
	condition, update *string
	names             map[string]string
	values            dynamo.Item
	onFailure         ddb.ReturnValuesOnConditionCheckFailure
}

// mutation checks a write and prepares it.
func (c *DynamoDB) mutation(op string, r request) (*mutation, error) {
	t, err := c.table(r.table)
	if err != nil {
		return nil, err
	}
	m := &mutation{op: op, table: t, showOld: r.onFailure == ddb.ReturnValuesOnConditionCheckFailureAllOld}
	if m.condition, err = c.w.expressions.Parse("ConditionExpression", r.condition); err != nil {
		return nil, err
	}
	if m.update, err = c.w.expressions.Parse("UpdateExpression", r.update); err != nil {
		return nil, err
	}
	if m.binding, err = dynamo.Bind(r.names, r.values, m.condition, m.update); err != nil {
		return nil, err
	}
	if op == "PutItem" {
		return m, m.takeItem(r.item)
	}
	if m.key, err = t.keyFrom(r.key); err != nil {
		return nil, err
	}
	if m.keyItem, err = dynamo.CopyItem(r.key); err != nil {
		return nil, err
	}
	if m.update != nil {
		return m, m.binding.CheckPaths(m.update.Update.Paths(), t.keys)
	}
	return m, nil
}

func (m *mutation) takeItem(in dynamo.Item) error {
	own, err := dynamo.CopyItem(in)
	if err != nil {
		return err
	}
	if m.key, err = m.table.keyOf(own); err != nil {
		return err
	}
	m.item = own
	if dynamo.ItemSize(own) > maxItem {
		return dynamo.Invalid("Item size has exceeded the maximum allowed size")
	}
	return nil
}

// decide is the item after the write, from the item before it. A condition that
// does not hold is a ConditionalCheckFailedException.
func (m *mutation) decide(old dynamo.Item) (dynamo.Item, error) {
	if m.condition != nil && !m.binding.Holds(old, m.condition.Cond) {
		failed := &ddb.ConditionalCheckFailedException{Message: ptr("The conditional request failed")}
		if m.showOld {
			failed.Item = dynamo.CloneItem(old)
		}
		return nil, failed
	}
	switch m.op {
	case "PutItem":
		return m.item, nil
	case "DeleteItem":
		return nil, nil
	case "ConditionCheckItem":
		return old, nil
	}
	base := old
	if base == nil {
		base = m.keyItem
	}
	if m.update == nil {
		return base, nil
	}
	to, err := m.binding.Apply(base, m.update.Update)
	if err != nil {
		return nil, err
	}
	if dynamo.ItemSize(to) > maxItem {
		return nil, dynamo.Invalid("Item size to update has exceeded the maximum allowed size")
	}
	return to, nil
}
