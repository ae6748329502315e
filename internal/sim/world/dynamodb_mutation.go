package world

import ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

// mutation is one write of one item, in a call of its own or in a transaction.
type mutation struct {
	op        string // "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"
	table     *table
	key       rowKey
	keyItem   item
	item      item // of a put
	condition *expression
	update    *expression
	binding   *binding
	showOld   bool // ReturnValuesOnConditionCheckFailure
}

// request is what the four kinds of writes have in common.
type request struct {
	table             *string
	key, item         item
	condition, update *string
	names             map[string]string
	values            item
	onFailure         ddb.ReturnValuesOnConditionCheckFailure
}

// mutation checks a write and prepares it.
func (c *DynamoDB) mutation(op string, r request) (*mutation, error) {
	t, err := c.table(r.table)
	if err != nil {
		return nil, err
	}
	m := &mutation{op: op, table: t, showOld: r.onFailure == ddb.ReturnValuesOnConditionCheckFailureAllOld}
	if m.condition, err = c.w.hub.expressions.parse("ConditionExpression", r.condition); err != nil {
		return nil, err
	}
	if m.update, err = c.w.hub.expressions.parse("UpdateExpression", r.update); err != nil {
		return nil, err
	}
	if m.binding, err = bind(r.names, r.values, m.condition, m.update); err != nil {
		return nil, err
	}
	if op == "PutItem" {
		return m, m.takeItem(r.item)
	}
	if m.key, err = t.keyFrom(r.key); err != nil {
		return nil, err
	}
	if m.keyItem, err = copyItem(r.key); err != nil {
		return nil, err
	}
	if m.update != nil {
		return m, m.binding.checkPaths(m.update.update.paths(), t.keys)
	}
	return m, nil
}

func (m *mutation) takeItem(in item) error {
	own, err := copyItem(in)
	if err != nil {
		return err
	}
	if m.key, err = m.table.keyOf(own); err != nil {
		return err
	}
	m.item = own
	if itemSize(own) > maxItem {
		return validation("Item size has exceeded the maximum allowed size")
	}
	return nil
}

// decide is the item after the write, from the item before it. A condition that
// does not hold is a ConditionalCheckFailedException.
func (m *mutation) decide(old item) (item, error) {
	if m.condition != nil && !m.binding.holds(old, m.condition.cond) {
		failed := &ddb.ConditionalCheckFailedException{Message: ptr("The conditional request failed")}
		if m.showOld {
			failed.Item = cloneItem(old)
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
	to, err := m.binding.apply(base, m.update.update)
	if err != nil {
		return nil, err
	}
	if itemSize(to) > maxItem {
		return nil, validation("Item size to update has exceeded the maximum allowed size")
	}
	return to, nil
}
