package backing

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/dynamo"
)

// maxPage is how many bytes of items one page of Query reads, before the filter.
// Source: B:Query.
const maxPage = 1024 * 1024

// query is a checked Query.
type query struct {
	table      *table
	hash       string
	sort       *dynamo.Condition // on the range key, nil for all
	binding    *dynamo.Binding
	filter     *dynamo.Expression
	projection *dynamo.Expression
	limit      int          // 0 for none
	after      dynamo.Value // range key of ExclusiveStartKey
	started    bool
	backward   bool
	count      bool // Select COUNT
}

// Query reads the items of one hash key in the order of their range key.
func (c *DynamoDB) Query(ctx context.Context, in *dynamodb.QueryInput,
	_ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	input := *in
	call := c.call("Query", false, &input)
	q, err := c.query(&input)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*dynamodb.QueryOutput](err))
	}
	call.Access = c.access(q.table, "Query", q.hash)
	return core.Do(ctx, c.w.Core, call, func() (*dynamodb.QueryOutput, error) {
		return q.page(c.w, call, c.stale(call, input.ConsistentRead)), nil
	})
}

func (c *DynamoDB) query(in *dynamodb.QueryInput) (*query, error) {
	err := unsupported("Query",
		param{"IndexName", in.IndexName != nil}, param{"AttributesToGet", in.AttributesToGet != nil},
		param{"KeyConditions", in.KeyConditions != nil},
		param{"QueryFilter", in.QueryFilter != nil || in.ConditionalOperator != ""},
		capacity(in.ReturnConsumedCapacity))
	if err != nil {
		return nil, err
	}
	q := &query{backward: in.ScanIndexForward != nil && !*in.ScanIndexForward}
	if q.table, err = c.table(in.TableName); err != nil {
		return nil, err
	}
	if in.KeyConditionExpression == nil {
		return nil,
			dynamo.Invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	cache := c.w.expressions
	keys, err := cache.Parse("KeyConditionExpression", in.KeyConditionExpression)
	if err != nil {
		return nil, err
	}
	if q.filter, err = cache.Parse("FilterExpression", in.FilterExpression); err != nil {
		return nil, err
	}
	if q.projection, err = cache.Parse("ProjectionExpression", in.ProjectionExpression); err != nil {
		return nil, err
	}
	if q.binding,
		err = dynamo.Bind(in.ExpressionAttributeNames, in.ExpressionAttributeValues, keys, q.filter,
		q.projection); err != nil {
		return nil, err
	}
	if err = q.takeKeys(keys.Cond); err != nil {
		return nil, err
	}
	return q, q.takeRest(in)
}

// takeKeys splits the key condition into the hash key's value and the condition
// on the range key.
func (q *query) takeKeys(c *dynamo.Condition) error {
	parts, err := flatten(c)
	if err != nil {
		return err
	}
	var hash dynamo.Value
	for _, part := range parts {
		name, ok := q.keyName(part)
		switch {
		case !ok:
			return dynamo.Invalid("Query key condition not supported")
		case name == q.table.spec.HashKey && part.Op == "=" && hash == nil:
			hash = q.binding.Values[part.Operands[1].Value]
		case name == q.table.spec.HashKey:
			return dynamo.Invalid("Query key condition not supported")
		case q.table.spec.RangeKey == "" || name != q.table.spec.RangeKey:
			return dynamo.Invalid("Query condition missed key schema element: %s", q.table.keys[len(q.table.keys)-1])
		case q.sort != nil:
			return dynamo.Invalid("KeyConditionExpressions must only contain one condition per key")
		default:
			q.sort = part
		}
	}
	if hash == nil {
		return dynamo.Invalid("Query condition missed key schema element: %s", q.table.spec.HashKey)
	}
	return q.checkKeys(hash)
}

// flatten takes the ANDs of a key condition apart, with or without parentheses.
func flatten(c *dynamo.Condition) ([]*dynamo.Condition, error) {
	switch c.Op {
	case "OR", "NOT":
		return nil, dynamo.Invalid("Invalid operator used in KeyConditionExpression: %s", c.Op)
	case "AND":
		var all []*dynamo.Condition
		for _, child := range c.Children {
			parts, err := flatten(child)
			if err != nil {
				return nil, err
			}
			all = append(all, parts...)
		}
		return all, nil
	}
	return []*dynamo.Condition{c}, nil
}

// keyName is the attribute that a part of a key condition compares with values.
func (q *query) keyName(c *dynamo.Condition) (string, bool) {
	if !slices.Contains([]string{"=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"}, c.Op) {
		return "", false
	}
	first := c.Operands[0]
	if len(first.Path) != 1 || first.Size {
		return "", false
	}
	for _, o := range c.Operands[1:] {
		if o.Value == "" {
			return "", false
		}
	}
	return q.binding.Name(first.Path[0]), true
}

func (q *query) checkKeys(hash dynamo.Value) error {
	if dynamo.TypeName(hash) != q.table.spec.HashKeyType {
		return dynamo.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema " +
			"type")
	}
	if err := checkKeySize(q.table.spec.HashKey, hash, 0); err != nil {
		return err
	}
	q.hash = keyText(hash)
	if q.sort == nil {
		return nil
	}
	for _, o := range q.sort.Operands[1:] {
		v := q.binding.Values[o.Value]
		if dynamo.TypeName(v) != q.table.spec.RangeKeyType {
			return dynamo.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema " +
				"type")
		}
		if err := checkKeySize(q.table.spec.RangeKey, v, 1); err != nil {
			return err
		}
	}
	return nil
}

func (q *query) takeRest(in *dynamodb.QueryInput) error {
	if in.Limit != nil {
		if *in.Limit < 1 {
			return dynamo.Invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member "+
				"must have value greater than or equal to 1", *in.Limit)
		}
		q.limit = int(*in.Limit)
	}
	switch in.Select {
	case "", ddb.SelectAllAttributes:
	case ddb.SelectCount:
		q.count = true
	case ddb.SelectSpecificAttributes:
		if q.projection == nil {
			return dynamo.Invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get " +
				"SPECIFIC_ATTRIBUTES")
		}
	default:
		return unsupported("Query", param{"Select " + string(in.Select), true})
	}
	if err := q.checkFilter(); err != nil {
		return err
	}
	if len(in.ExclusiveStartKey) == 0 {
		return nil
	}
	k, err := q.table.keyFrom(in.ExclusiveStartKey)
	if err != nil {
		return dynamo.Invalid("The provided starting key is invalid: %s", err)
	}
	if k.hash != q.hash {
		return dynamo.Invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	q.after, q.started = k.sortKey, true
	return nil
}

// checkFilter refuses key attributes in the filter.
func (q *query) checkFilter() error {
	if q.filter == nil {
		return nil
	}
	var refusal error
	q.filter.Cond.Visit(func(o dynamo.Operand) {
		if o.Path == nil || refusal != nil {
			return
		}
		if name := q.binding.Name(o.Path[0]); slices.Contains(q.table.keys, name) {
			refusal = dynamo.Invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s",
				name)
		}
	})
	return refusal
}

// page reads one page: until the limit of items or of bytes is reached, or the page is a short one; one item at least,
// since the last one read says where the next page begins.
func (q *query) page(w *Services, call *core.Call, stale time.Duration) *dynamodb.QueryOutput {
	out := &dynamodb.QueryOutput{}
	rows, now := q.rows(), w.Now()
	limit := max(w.SizeOf(call, cmp.Or(q.limit, len(rows)+1), len(rows)), 1)
	size := 0
	for i := range rows {
		r := rows[i]
		if q.backward {
			r = rows[len(rows)-1-i]
		}
		found := q.table.see(r, now, stale)
		if found == nil {
			continue
		}
		out.ScannedCount++
		size += r.size
		if q.filter == nil || q.binding.Holds(found, q.filter.Cond) {
			out.Count++
			if !q.count {
				out.Items = append(out.Items, q.binding.Cut(found, q.projection))
			}
		}
		if int(out.ScannedCount) == limit || size >= maxPage {
			out.LastEvaluatedKey = q.table.keyItem(found)
			break
		}
	}
	return out
}

// rows are the rows in the range of the query, in ascending order.
func (q *query) rows() []*row {
	g := q.table.groups[q.hash]
	if g == nil || (q.started && q.after == nil) {
		return nil
	}
	low, high := 0, len(g.rows)
	if q.sort != nil {
		low, high = q.bounds(g)
	}
	if q.started && q.backward {
		i, _ := g.search(q.after)
		high = min(high, i)
	}
	if q.started && !q.backward {
		i, found := g.search(q.after)
		if found {
			i++
		}
		low = max(low, i)
	}
	if low >= high {
		return nil
	}
	return g.rows[low:high]
}

// bounds is where the condition on the range key begins and ceases to hold.
func (q *query) bounds(g *group) (low, high int) {
	first := q.binding.Values[q.sort.Operands[1].Value]
	from := func(v dynamo.Value, including bool) int {
		return sort.Search(len(g.rows), func(i int) bool {
			order, _ := dynamo.CompareValues(g.rows[i].sortKey, v)
			return order > 0 || (including && order == 0)
		})
	}
	switch q.sort.Op {
	case "=":
		return from(first, true), from(first, false)
	case "<":
		return 0, from(first, true)
	case "<=":
		return 0, from(first, false)
	case ">":
		return from(first, false), len(g.rows)
	case ">=":
		return from(first, true), len(g.rows)
	case "BETWEEN":
		return from(first, true), from(q.binding.Values[q.sort.Operands[2].Value], false)
	}
	low = from(first, true) // begins_with: all that start so stand together
	prefix := keyText(first)
	rest := g.rows[low:]
	return low, low + sort.Search(len(rest), func(i int) bool {
		return !strings.HasPrefix(keyText(rest[i].sortKey), prefix)
	})
}
