package backing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/dynamo"
)

// Limits of a transaction. Source: B:dynamodb/TransactWriteItems.
const (
	maxActions     = 100
	maxTransaction = 4 * 1024 * 1024
	maxToken       = 36
	tokenLife      = 10 * time.Minute
)

// transaction is a transaction that took effect, kept under its token.
type transaction struct {
	at  time.Time
	sum [sha256.Size]byte // of what it wrote, to tell another request under the same token
}

// transactions are those whose tokens are still valid, and some older ones.
type transactions struct {
	byToken map[string]transaction
	order   []string // tokens by age
}

// find is the transaction of a token that is still valid.
func (t *transactions) find(token string, now time.Time) (transaction, bool) {
	done, ok := t.byToken[token]
	return done, ok && now.Sub(done.at) < tokenLife
}

// add keeps a transaction and forgets those that are too old.
func (t *transactions) add(token string, done transaction) {
	if t.byToken == nil {
		t.byToken = map[string]transaction{}
	}
	for len(t.order) > 0 && done.at.Sub(t.byToken[t.order[0]].at) >= tokenLife {
		delete(t.byToken, t.order[0])
		t.order = t.order[1:]
	}
	t.byToken[token] = done
	t.order = append(t.order, token)
}

// TransactWriteItems does up to 100 writes, or none. A request without token
// gets one, as the SDK does it, so that its retries do not write twice.
func (c *DynamoDB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	input := *in
	if input.ClientRequestToken == nil {
		input.ClientRequestToken = ptr(fmt.Sprintf("%032x", c.w.Rand("dynamodb token").Uint64()))
	}
	call := c.call("TransactWriteItems", true, &input)
	actions, err := c.actions(&input)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*dynamodb.TransactWriteItemsOutput](err))
	}
	input.TransactItems = ownActions(input.TransactItems, actions)
	call.Access = c.transactAccess(actions)
	return core.Do(ctx, c.w.Core, call, func() (*dynamodb.TransactWriteItemsOutput, error) {
		return &dynamodb.TransactWriteItemsOutput{}, c.transact(*input.ClientRequestToken, input.TransactItems, actions)
	})
}

// actions checks a transaction as a whole.
func (c *DynamoDB) actions(in *dynamodb.TransactWriteItemsInput) ([]*mutation, error) {
	err := unsupported("TransactWriteItems", capacity(in.ReturnConsumedCapacity),
		collection(in.ReturnItemCollectionMetrics))
	if err != nil {
		return nil, err
	}
	if n := len(in.TransactItems); n == 0 || n > maxActions {
		return nil,
			dynamo.Invalid("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must "+
				"have length between 1 and %d; it is %d", maxActions, n)
	}
	if n := len(*in.ClientRequestToken); n == 0 || n > maxToken {
		return nil,
			dynamo.Invalid("1 validation error detected: Value at 'clientRequestToken' failed to satisfy constraint: Member "+
				"must have length between 1 and %d", maxToken)
	}
	type place struct {
		table *table
		hash  string
		sort  string
	}
	seen := map[place]bool{}
	var actions []*mutation
	size := 0
	for _, one := range in.TransactItems {
		m, err := c.action(one)
		if err != nil {
			return nil, err
		}
		p := place{m.table, m.key.hash, keyText(m.key.sortKey)}
		if seen[p] {
			return nil, dynamo.Invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[p] = true
		size += dynamo.ItemSize(m.item) + dynamo.ItemSize(m.binding.Values)
		actions = append(actions, m)
	}
	if size > maxTransaction {
		return nil,
			dynamo.Invalid("Item collection size of the transaction exceeded: %d bytes, maximum %d", size, maxTransaction)
	}
	return actions, nil
}

// action checks one action of a transaction.
func (c *DynamoDB) action(in ddb.TransactWriteItem) (*mutation, error) {
	var kinds []string
	var r request
	if a := in.Put; a != nil {
		kinds = append(kinds, "PutItem")
		r = request{a.TableName, nil, a.Item, a.ConditionExpression, nil, a.ExpressionAttributeNames,
			a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure}
	}
	if a := in.Update; a != nil {
		kinds = append(kinds, "UpdateItem")
		r = request{a.TableName, a.Key, nil, a.ConditionExpression, a.UpdateExpression, a.ExpressionAttributeNames,
			a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure}
		if a.UpdateExpression == nil {
			return nil,
				dynamo.Invalid("Value null at 'transactItems.member.update.updateExpression' failed to satisfy constraint: " +
					"Member must not be null")
		}
	}
	if a := in.Delete; a != nil {
		kinds = append(kinds, "DeleteItem")
		r = request{a.TableName, a.Key, nil, a.ConditionExpression, nil, a.ExpressionAttributeNames,
			a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure}
	}
	if a := in.ConditionCheck; a != nil {
		kinds = append(kinds, "ConditionCheckItem")
		r = request{a.TableName, a.Key, nil, a.ConditionExpression, nil, a.ExpressionAttributeNames,
			a.ExpressionAttributeValues, a.ReturnValuesOnConditionCheckFailure}
		if a.ConditionExpression == nil {
			return nil,
				dynamo.Invalid("Value null at 'transactItems.member.conditionCheck.conditionExpression' failed to satisfy " +
					"constraint: Member must not be null")
		}
	}
	if len(kinds) != 1 {
		return nil, dynamo.Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return c.mutation(kinds[0], r)
}

// ownActions are copies for the ledger and for the token's record, which no
// caller can change later.
func ownActions(in []ddb.TransactWriteItem, actions []*mutation) []ddb.TransactWriteItem {
	out := make([]ddb.TransactWriteItem, len(in))
	for i, one := range in {
		m := actions[i]
		switch {
		case one.Put != nil:
			a := *one.Put
			a.Item, a.ExpressionAttributeNames, a.ExpressionAttributeValues = m.item, m.ownNames(), m.binding.Values
			out[i].Put = &a
		case one.Update != nil:
			a := *one.Update
			a.Key, a.ExpressionAttributeNames, a.ExpressionAttributeValues = m.keyItem, m.ownNames(), m.binding.Values
			out[i].Update = &a
		case one.Delete != nil:
			a := *one.Delete
			a.Key, a.ExpressionAttributeNames, a.ExpressionAttributeValues = m.keyItem, m.ownNames(), m.binding.Values
			out[i].Delete = &a
		case one.ConditionCheck != nil:
			a := *one.ConditionCheck
			a.Key, a.ExpressionAttributeNames, a.ExpressionAttributeValues = m.keyItem, m.ownNames(), m.binding.Values
			out[i].ConditionCheck = &a
		}
	}
	return out
}

// transactAccess asks for each kind of action on each table, with all hash keys
// that it touches there.
func (c *DynamoDB) transactAccess(actions []*mutation) []core.Access {
	type kind struct {
		table *table
		op    string
	}
	var order []kind
	hashes := map[kind][]string{}
	for _, m := range actions {
		k := kind{m.table, m.op}
		if hashes[k] == nil {
			order = append(order, k)
		}
		if !slices.Contains(hashes[k], m.key.hash) {
			hashes[k] = append(hashes[k], m.key.hash)
		}
	}
	var all []core.Access
	for _, k := range order {
		one := c.access(k.table, k.op, hashes[k]...)
		one[0].Context["dynamodb:EnclosingOperation"] = []string{"TransactWriteItems"}
		all = append(all, one...)
	}
	return all
}

func (c *DynamoDB) transact(token string, items []ddb.TransactWriteItem, actions []*mutation) error {
	now := c.w.Now()
	sum := sha256.Sum256([]byte(fingerprint(items)))
	id := c.principal.Account + " " + c.region + " " + token
	if done, ok := c.w.transactions.find(id, now); ok {
		if done.sum != sum {
			return &ddb.IdempotentParameterMismatchException{
				Message: ptr("The request uses the same client token as a previous, but non-identical request")}
		}
		return nil
	}
	after := make([]dynamo.Item, len(actions))
	reasons := make([]ddb.CancellationReason, len(actions))
	failed := false
	for i, m := range actions {
		to, err := m.decide(m.table.see(m.table.row(m.key), now, 0))
		after[i], reasons[i] = to, reason(err)
		failed = failed || err != nil
	}
	if failed {
		return cancelled(reasons)
	}
	for i, m := range actions {
		if m.op != "ConditionCheckItem" {
			m.table.write(m.key, after[i], now, c.w.staleReads())
		}
	}
	c.w.transactions.add(id, transaction{now, sum})
	return nil
}

// reason is why one action cancels its transaction.
func reason(err error) ddb.CancellationReason {
	var failed *ddb.ConditionalCheckFailedException
	switch {
	case err == nil:
		return ddb.CancellationReason{Code: ptr("None")}
	case errors.As(err, &failed):
		return ddb.CancellationReason{Code: ptr("ConditionalCheckFailed"), Message: failed.Message, Item: failed.Item}
	}
	var api interface{ ErrorMessage() string }
	errors.As(err, &api)
	return ddb.CancellationReason{Code: ptr("ValidationError"), Message: ptr(api.ErrorMessage())}
}

func cancelled(reasons []ddb.CancellationReason) error {
	var codes []string
	for _, r := range reasons {
		codes = append(codes, *r.Code)
	}
	return &ddb.TransactionCanceledException{
		Message: ptr(fmt.Sprintf("Transaction cancelled, please refer cancellation reasons for specific "+
			"reasons [%s]", strings.Join(codes, ", "))),
		CancellationReasons: reasons,
	}
}

// fingerprint is a text that differs for transactions that differ.
func fingerprint(items []ddb.TransactWriteItem) string {
	var b strings.Builder
	for _, one := range items {
		switch {
		case one.Put != nil:
			fmt.Fprintf(&b, "put %q %q", deref(one.Put.TableName), deref(one.Put.ConditionExpression))
			writeNames(&b, one.Put.ExpressionAttributeNames)
			writeItem(&b, one.Put.Item, one.Put.ExpressionAttributeValues)
		case one.Update != nil:
			fmt.Fprintf(&b, "update %q %q %q", deref(one.Update.TableName), deref(one.Update.UpdateExpression),
				deref(one.Update.ConditionExpression))
			writeNames(&b, one.Update.ExpressionAttributeNames)
			writeItem(&b, one.Update.Key, one.Update.ExpressionAttributeValues)
		case one.Delete != nil:
			fmt.Fprintf(&b, "delete %q %q", deref(one.Delete.TableName), deref(one.Delete.ConditionExpression))
			writeNames(&b, one.Delete.ExpressionAttributeNames)
			writeItem(&b, one.Delete.Key, one.Delete.ExpressionAttributeValues)
		case one.ConditionCheck != nil:
			fmt.Fprintf(&b, "check %q %q", deref(one.ConditionCheck.TableName), deref(one.ConditionCheck.ConditionExpression))
			writeNames(&b, one.ConditionCheck.ExpressionAttributeNames)
			writeItem(&b, one.ConditionCheck.Key, one.ConditionCheck.ExpressionAttributeValues)
		}
	}
	return b.String()
}

func writeNames(b *strings.Builder, names map[string]string) {
	for _, n := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(b, " %q=%q", n, names[n])
	}
}

func writeItem(b *strings.Builder, items ...dynamo.Item) {
	for _, in := range items {
		b.WriteString(" {")
		for _, name := range slices.Sorted(maps.Keys(in)) {
			fmt.Fprintf(b, "%q:", name)
			writeValue(b, in[name])
		}
		b.WriteString("}")
	}
}

func writeValue(b *strings.Builder, v dynamo.Value) {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberM:
		writeItem(b, v.Value)
		return
	case *ddb.AttributeValueMemberL:
		b.WriteString("[")
		for _, e := range v.Value {
			writeValue(b, e)
		}
		b.WriteString("]")
		return
	case *ddb.AttributeValueMemberBOOL:
		fmt.Fprintf(b, "%t", v.Value)
		return
	}
	if _, members := dynamo.SetMembers(v); members != nil {
		fmt.Fprintf(b, "%s%q", dynamo.TypeName(v), members)
		return
	}
	fmt.Fprintf(b, "%s%q", dynamo.TypeName(v), keyText(v))
}
