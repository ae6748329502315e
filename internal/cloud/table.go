package cloud

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// DynamoDB is what the table uses of the SDK's client.
type DynamoDB interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput,
		...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput,
		...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput,
		...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Table is the state table with the audit table beside it.
type Table struct {
	DynamoDB DynamoDB
	State    string // the names of the tables
	Audit    string
	Now      port.Clock
}

const (
	// expiresField is the field after whose time DynamoDB removes a row. The template names it too.
	expiresField = "expires"
	// keepRows is how long the rows of a run stay after they were last written: a
	// year and a month. The longest run takes 30 days, and its report stays in the bucket.
	keepRows = 400 * 24 * time.Hour
)

// expiry is when a row may be removed: one of a run or of its questions. A lease
// must outlive every run, for its fence only grows; an audit line is never removed.
func (t *Table) expiry(k store.Key) (at types.AttributeValue, ok bool) {
	if !strings.HasPrefix(k.PK, "RUN#") && !strings.HasPrefix(k.PK, "APPROVAL#") && !strings.HasPrefix(k.PK, "SEAL#") {
		return nil, false
	}
	return number(int(t.Now().Add(keepRows).Unix())), true
}

type item = map[string]types.AttributeValue

// maxUnprocessed bounds how often keys that DynamoDB left out are asked for again.
const maxUnprocessed = 8

// Load reads rows in one call. Source: BatchGetItem takes 100 keys, and may leave some out.
func (t *Table) Load(ctx context.Context, rows ...*store.Row) error {
	byKey := make(map[store.Key]*store.Row, len(rows))
	keys := make([]item, len(rows))
	for i, r := range rows {
		byKey[r.Key], keys[i] = r, keyItem(r.Key)
	}
	if len(rows) == 1 {
		out, err := t.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.State, Key: keys[0],
			ConsistentRead: aws.Bool(true)})
		if err != nil {
			return wrap(err, "read row %s %s", rows[0].Key.PK, rows[0].Key.SK)
		}
		if len(out.Item) == 0 {
			return nil
		}
		return fill(byKey, out.Item)
	}
	for range maxUnprocessed {
		out, err := t.DynamoDB.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{t.State: {Keys: keys, ConsistentRead: aws.Bool(true)}},
		})
		if err != nil {
			return wrap(err, "read %d rows", len(keys))
		}
		for _, it := range out.Responses[t.State] {
			if err := fill(byKey, it); err != nil {
				return err
			}
		}
		keys = out.UnprocessedKeys[t.State].Keys
		if len(keys) == 0 {
			return nil
		}
	}
	return fmt.Errorf("read rows: %w: DynamoDB left %d keys out %d times", patch.ErrThrottled, len(keys),
		maxUnprocessed)
}

func fill(rows map[store.Key]*store.Row, it item) error {
	row, ok := rows[keyOf(it)]
	if !ok {
		return fmt.Errorf("%w: DynamoDB answered with a row that was not asked for", patch.ErrInternal)
	}
	row.Found = true
	return decode(it, row.Into)
}

// maxPages bounds a scan: 1,000 pages of 1 MB are more than the largest plan has.
const maxPages = 1000

// Scan reads a partition's rows in order, page by page.
func (t *Table) Scan(ctx context.Context, pk, prefix string, each func(sk string, decode func(any) error) error) error {
	var start item
	for range maxPages {
		out, err := t.DynamoDB.Query(ctx, &dynamodb.QueryInput{
			TableName: &t.State, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
			KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :sk)"),
			ExpressionAttributeValues: item{":pk": text(pk), ":sk": text(prefix)},
		})
		if err != nil {
			return wrap(err, "read rows %s %s", pk, prefix)
		}
		for _, it := range out.Items {
			if err := each(keyOf(it).SK, func(into any) error { return decode(it, into) }); err != nil {
				return err
			}
		}
		if start = out.LastEvaluatedKey; len(start) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: rows %s %s have more than %d pages", patch.ErrInternal, pk, prefix, maxPages)
}

// LastAudit finds the end of an audit chain.
func (t *Table) LastAudit(ctx context.Context, chain string) (store.ChainHead, error) {
	out, err := t.DynamoDB.Query(ctx, &dynamodb.QueryInput{
		TableName: &t.Audit, ConsistentRead: aws.Bool(true), Limit: aws.Int32(1), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(chain)},
	})
	if err != nil || len(out.Items) == 0 {
		return store.ChainHead{}, wrap(err, "read audit chain %s", chain)
	}
	var e store.AuditEntry
	if err := decode(out.Items[0], &e); err != nil {
		return store.ChainHead{}, err
	}
	return store.ChainHead{Seq: e.Seq, Hash: e.Hash}, nil
}

// Write carries out all writes or none.
func (t *Table) Write(ctx context.Context, writes ...store.Write) error {
	actions := make([]types.TransactWriteItem, len(writes))
	for i, w := range writes {
		a, err := t.action(w)
		if err != nil {
			return err
		}
		actions[i] = a
	}
	if len(actions) == 0 {
		return nil
	}
	what := fmt.Sprintf("write %d rows from %s %s", len(writes), writes[0].Key.PK, writes[0].Key.SK)
	if len(actions) == 1 {
		return wrap(t.one(ctx, actions[0]), "%s", what)
	}
	_, err := t.DynamoDB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: actions})
	return wrap(err, "%s", what)
}

// one carries out a single action without the price of a transaction.
func (t *Table) one(ctx context.Context, a types.TransactWriteItem) error {
	switch {
	case a.Put != nil:
		_, err := t.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: a.Put.TableName, Item: a.Put.Item, ConditionExpression: a.Put.ConditionExpression,
			ExpressionAttributeValues: a.Put.ExpressionAttributeValues,
		})
		return err
	case a.Update != nil:
		_, err := t.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: a.Update.TableName, Key: a.Update.Key, UpdateExpression: a.Update.UpdateExpression,
			ExpressionAttributeNames:  a.Update.ExpressionAttributeNames,
			ExpressionAttributeValues: a.Update.ExpressionAttributeValues,
		})
		return err
	}
	_, err := t.DynamoDB.TransactWriteItems(ctx,
		&dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{a}})
	return err
}

// action is one write in DynamoDB's words.
func (t *Table) action(w store.Write) (types.TransactWriteItem, error) {
	switch w.How {
	case store.Require:
		return types.TransactWriteItem{ConditionCheck: t.require(w)}, nil
	case store.Add:
		return t.add(w), nil
	case store.Delete:
		return types.TransactWriteItem{Delete: &types.Delete{TableName: &t.State, Key: keyItem(w.Key)}}, nil
	}
	it, err := encode(w.Key, w.Item)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	if at, ok := t.expiry(w.Key); ok && w.How != store.Audit {
		it[expiresField] = at
	}
	put := &types.Put{TableName: &t.State, Item: it}
	switch w.How {
	case store.Audit:
		put.TableName = &t.Audit
		put.ConditionExpression = aws.String("attribute_not_exists(pk)")
	case store.Create:
		put.ConditionExpression = aws.String("attribute_not_exists(pk)")
	case store.Replace:
		put.ConditionExpression = aws.String("version = :was")
		put.ExpressionAttributeValues = item{":was": number(w.Was)}
	}
	return types.TransactWriteItem{Put: put}, nil
}

// require is a condition on a row that the transaction does not write.
func (t *Table) require(w store.Write) *types.ConditionCheck {
	check := &types.ConditionCheck{
		TableName: &t.State, Key: keyItem(w.Key), ConditionExpression: aws.String("attribute_not_exists(#f)"),
		ExpressionAttributeNames: map[string]string{"#f": w.Field},
	}
	if w.Value != "" {
		check.ConditionExpression = aws.String("#f = :v")
		check.ExpressionAttributeValues = item{":v": text(w.Value)}
	}
	return check
}

func (t *Table) add(w store.Write) types.TransactWriteItem {
	u := &types.Update{
		TableName: &t.State, Key: keyItem(w.Key),
		ExpressionAttributeNames: map[string]string{}, ExpressionAttributeValues: item{},
	}
	expression := "ADD"
	for i, name := range words.SortedKeys(w.Add) {
		n := strconv.Itoa(i)
		if i > 0 {
			expression += ","
		}
		expression += " #n" + n + " :v" + n
		u.ExpressionAttributeNames["#n"+n] = name
		u.ExpressionAttributeValues[":v"+n] = number(w.Add[name])
	}
	if at, ok := t.expiry(w.Key); ok {
		expression += " SET #e = :e"
		u.ExpressionAttributeNames["#e"], u.ExpressionAttributeValues[":e"] = expiresField, at
	}
	u.UpdateExpression = &expression
	return types.TransactWriteItem{Update: u}
}

func keyItem(k store.Key) item { return item{"pk": text(k.PK), "sk": text(k.SK)} }

func keyOf(it item) store.Key {
	pk, _ := it["pk"].(*types.AttributeValueMemberS)
	sk, _ := it["sk"].(*types.AttributeValueMemberS)
	if pk == nil || sk == nil {
		return store.Key{}
	}
	return store.Key{PK: pk.Value, SK: sk.Value}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int) types.AttributeValue { return &types.AttributeValueMemberN{Value: strconv.Itoa(n)} }

// Rows carry the names of their JSON form, so that a person who looks at the
// table reads the words of the documentation.
func jsonNames(o *attributevalue.EncoderOptions) { o.TagKey = "json" }

func encode(k store.Key, v any) (item, error) {
	it, err := attributevalue.MarshalMapWithOptions(v, jsonNames)
	if err != nil {
		return nil, fmt.Errorf("%w: encode row %s %s: %w", patch.ErrInternal, k.PK, k.SK, err)
	}
	it["pk"], it["sk"] = text(k.PK), text(k.SK)
	return it, nil
}

func decode(it item, into any) error {
	err := attributevalue.UnmarshalMapWithOptions(it, into, func(o *attributevalue.DecoderOptions) {
		o.TagKey = "json"
	})
	if err != nil {
		return fmt.Errorf("%w: decode row %v: %w", patch.ErrInternal, keyOf(it), err)
	}
	return nil
}
