package backing_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/backing"
)

func sortKeys(items []map[string]ddb.AttributeValue) string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item["sk"].(*ddb.AttributeValueMemberS).Value)
	}
	return strings.Join(keys, " ")
}

// Source: B:Query; D23:Query.KeyConditionExpressions.
func TestDynamoDB_QueryRange(t *testing.T) {
	_, c := newTable()
	for _, sk := range []string{"b2", "a", "b1", "c", "b"} {
		put(t, c, place("p", sk))
		put(t, c, place("q", sk))
	}
	tests := []struct {
		name, keys string
		values     attrs
		backward   bool
		want       string
	}{
		{name: "all", keys: "pk = :p", want: "a b b1 b2 c"},
		{name: "backward", keys: "pk = :p", backward: true, want: "c b2 b1 b a"},
		{name: "equal", keys: "pk = :p AND sk = :a", values: attrs{":a": str("b")}, want: "b"},
		{name: "less", keys: "pk = :p AND sk < :a", values: attrs{":a": str("b1")}, want: "a b"},
		{name: "at most", keys: "sk <= :a AND pk = :p", values: attrs{":a": str("b1")}, want: "a b b1"},
		{name: "greater", keys: "pk = :p AND sk > :a", values: attrs{":a": str("b1")}, want: "b2 c"},
		{name: "at least, in parentheses", keys: "(pk = :p) AND (sk >= :a)", values: attrs{":a": str("b1")}, want: "b1 b2 c"},
		{name: "between", keys: "pk = :p AND sk BETWEEN :a AND :b", values: attrs{":a": str("b"), ":b": str("b2")},
			want: "b b1 b2"},
		{name: "prefix", keys: "pk = :p AND begins_with(sk, :a)", values: attrs{":a": str("b")}, want: "b b1 b2"},
		{name: "prefix of nothing", keys: "pk = :p AND begins_with(sk, :a)", values: attrs{":a": str("x")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := c.Query(t.Context(), &dynamodb.QueryInput{
				TableName: aws.String(stateTable), KeyConditionExpression: &tt.keys, ScanIndexForward: aws.Bool(!tt.backward),
				ExpressionAttributeValues: merge(attrs{":p": str("p")}, tt.values),
			})
			require.NoError(t, err)
			require.Equal(t, tt.want, sortKeys(out.Items))
			require.Empty(t, out.LastEvaluatedKey)
		})
	}
}

func TestDynamoDB_QueryRefusals(t *testing.T) {
	tests := []struct {
		name, keys, filter string
		values             attrs
		want               string
	}{
		{name: "no hash key", keys: "sk = :v", values: attrs{":v": str("x")}, want: "missed key schema element: pk"},
		{name: "hash key by prefix", keys: "begins_with(pk, :v)", values: attrs{":v": str("x")}, want: "not supported"},
		{name: "or", keys: "pk = :v OR sk = :v", values: attrs{":v": str("x")}, want: "Invalid operator"},
		{name: "two conditions on the range key", keys: "pk = :v AND sk > :v AND sk < :v", values: attrs{":v": str("x")},
			want: "one condition per key"},
		{name: "another attribute", keys: "pk = :v AND a = :v", values: attrs{":v": str("x")},
			want: "missed key schema element: sk"},
		{name: "wrong type", keys: "pk = :v", values: attrs{":v": num(1)}, want: "does not match schema type"},
		{name: "key in filter", keys: "pk = :v", filter: "sk = :v", values: attrs{":v": str("x")},
			want: "non-primary key attributes"},
		{name: "unsupported comparison", keys: "pk = :v AND sk <> :v", values: attrs{":v": str("x")}, want: "not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			in := &dynamodb.QueryInput{TableName: aws.String(stateTable), KeyConditionExpression: &tt.keys,
				ExpressionAttributeValues: tt.values}
			if tt.filter != "" {
				in.FilterExpression = &tt.filter
			}
			_, err := c.Query(t.Context(), in)
			requireCode(t, "ValidationException", err)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// pages reads a query to its end and counts the pages.
func pages(t testing.TB, c *backing.DynamoDB, in *dynamodb.QueryInput) (items []map[string]ddb.AttributeValue, n int) {
	t.Helper()
	for range 10_000 {
		out, err := c.Query(t.Context(), in)
		require.NoError(t, err)
		items = append(items, out.Items...)
		n++
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return items, n
		}
	}
	t.Fatal("the query does not end")
	return nil, 0
}

// Source: B:Query: 1 MB is read before the filter; a page may be empty and not the last.
func TestDynamoDB_QueryPages(t *testing.T) {
	_, c := newTable()
	for i := range 30 {
		put(t, c, with("p", fmt.Sprintf("%02d", i), attrs{"fill": str(strings.Repeat("x", 100*1024)), "n": num(i)}))
	}
	all := func() *dynamodb.QueryInput {
		return &dynamodb.QueryInput{TableName: aws.String(stateTable), KeyConditionExpression: aws.String("pk = :p"),
			ExpressionAttributeValues: attrs{":p": str("p")}}
	}
	items, n := pages(t, c, all())
	require.Len(t, items, 30)
	require.Equal(t, 3, n)

	filtered := all()
	filtered.FilterExpression = aws.String("n = :n")
	filtered.ExpressionAttributeValues[":n"] = num(29)
	first, err := c.Query(t.Context(), filtered)
	require.NoError(t, err)
	require.Empty(t, first.Items)
	require.EqualValues(t, 11, first.ScannedCount)
	require.NotEmpty(t, first.LastEvaluatedKey)
	items, _ = pages(t, c, filtered)
	require.Len(t, items, 1)

	limited := all()
	limited.Limit, limited.ScanIndexForward = aws.Int32(7), aws.Bool(false)
	limited.ProjectionExpression = aws.String("pk, sk")
	items, n = pages(t, c, limited)
	require.Equal(t, 5, n)
	require.Len(t, items, 30)
	require.Equal(t, place("p", "29"), items[0])
	require.Equal(t, place("p", "00"), items[29])

	exact := all()
	exact.Limit = aws.Int32(10)
	_, n = pages(t, c, exact)
	require.Equal(t, 4, n, "a page that stops at its limit has a key, even if nothing follows")

	counted := all()
	counted.Select = ddb.SelectCount
	out, err := c.Query(t.Context(), counted)
	require.NoError(t, err)
	require.Empty(t, out.Items)
	require.EqualValues(t, 11, out.Count)

	outside := all()
	outside.ExclusiveStartKey = place("q", "00")
	_, err = c.Query(t.Context(), outside)
	requireCode(t, "ValidationException", err)
}

// Pages are short without any fault, and have every item once, in order.
func TestDynamoDB_QueryShortPages(t *testing.T) {
	w, c := newTable()
	w.WholePages = false
	for i := range 9 {
		put(t, c, with("p", fmt.Sprint(i), nil))
	}
	several := 0
	for turn := range 40 {
		in := &dynamodb.QueryInput{TableName: aws.String(stateTable), KeyConditionExpression: aws.String("pk = :p"),
			ExpressionAttributeValues: attrs{":p": str("p")}}
		want := "012345678"
		if turn%2 == 1 {
			in.ScanIndexForward, want = aws.Bool(false), "876543210"
		}
		items, n := pages(t, c, in)
		var got strings.Builder
		for _, it := range items {
			got.WriteString(it["sk"].(*ddb.AttributeValueMemberS).Value)
		}
		require.Equal(t, want, got.String())
		if n > 1 {
			several++
		}
	}
	require.Greater(t, several, 10)
}

func TestDynamoDB_NumberRangeKey(t *testing.T) {
	w, p := newHub()
	w.AddTable(backing.TableSpec{Name: "n", ARN: "arn:aws:dynamodb:us-east-1:111111111111:table/n", Account: hubAccount,
		Region: hubRegion, HashKey: "pk", RangeKey: "at", RangeKeyType: "N"})
	c := w.DynamoDB(p, hubRegion)
	for _, n := range []string{"10", "9", "-1", "2.5"} {
		_,
			err := c.PutItem(t.Context(),
			&dynamodb.PutItemInput{TableName: aws.String("n"), Item: attrs{"pk": str("p"), "at": num(n)}})
		require.NoError(t, err)
	}
	out, err := c.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("n"), KeyConditionExpression: aws.String("pk = :p AND #at > :n"),
		ExpressionAttributeNames:  map[string]string{"#at": "at"},
		ExpressionAttributeValues: attrs{":p": str("p"), ":n": num("2.50")},
	})
	require.NoError(t, err)
	require.Equal(t, []map[string]ddb.AttributeValue{{"pk": str("p"), "at": num(9)}, {"pk": str("p"), "at": num(10)}},
		out.Items)
}

func transactPut(pk, sk string, more attrs) ddb.TransactWriteItem {
	return ddb.TransactWriteItem{Put: &ddb.Put{TableName: aws.String(stateTable), Item: with(pk, sk, more)}}
}

func transactAdd(pk, sk string, n int) ddb.TransactWriteItem {
	return ddb.TransactWriteItem{Update: &ddb.Update{
		TableName: aws.String(stateTable), Key: place(pk, sk), UpdateExpression: aws.String("ADD n :n"),
		ExpressionAttributeValues: attrs{":n": num(n)},
	}}
}

// Source: B:dynamodb/TransactWriteItems, CancellationReasons.
func TestDynamoDB_Transaction(t *testing.T) {
	w, c := newTable()
	put(t, c, with("p", "there", attrs{"a": num(1)}))
	fresh := transactPut("p", "there", nil)
	fresh.Put.ConditionExpression = aws.String("attribute_not_exists(pk)")
	fresh.Put.ReturnValuesOnConditionCheckFailure = ddb.ReturnValuesOnConditionCheckFailureAllOld
	wrong := transactAdd("p", "there2", 1)
	put(t, c, with("p", "there2", attrs{"n": str("text")}))
	before := len(w.Ledger.Mutating)
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{
		transactPut("p", "new", nil), fresh, wrong,
	}})
	var cancelled *ddb.TransactionCanceledException
	require.ErrorAs(t, err, &cancelled)
	require.Len(t, cancelled.CancellationReasons, 3)
	require.Equal(t, "None", *cancelled.CancellationReasons[0].Code)
	require.Equal(t, "ConditionalCheckFailed", *cancelled.CancellationReasons[1].Code)
	require.Equal(t, num(1), cancelled.CancellationReasons[1].Item["a"])
	require.Equal(t, "ValidationError", *cancelled.CancellationReasons[2].Code)
	require.ErrorContains(t, err, "[None, ConditionalCheckFailed, ValidationError]")
	require.Nil(t, get(t, c, "p", "new"), "nothing took effect")
	require.Len(t, w.Ledger.Mutating, before)

	_, err = c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{
		transactPut("p", "new", attrs{"x": num(1)}), transactAdd("p", "count", 2),
		{Delete: &ddb.Delete{TableName: aws.String(stateTable), Key: place("p", "there2")}},
		{ConditionCheck: &ddb.ConditionCheck{TableName: aws.String(stateTable), Key: place("p", "there"),
			ConditionExpression: aws.String("attribute_exists(a)")}},
	}})
	require.NoError(t, err)
	require.Equal(t, num(1), get(t, c, "p", "new")["x"])
	require.Equal(t, num(2), get(t, c, "p", "count")["n"])
	require.Nil(t, get(t, c, "p", "there2"))
	require.Equal(t, num(1), get(t, c, "p", "there")["a"])
}

func TestDynamoDB_TransactionRefusals(t *testing.T) {
	var many []ddb.TransactWriteItem
	for i := range 101 {
		many = append(many, transactPut("p", fmt.Sprint(i), nil))
	}
	tests := []struct {
		name  string
		items []ddb.TransactWriteItem
		want  string
	}{
		{"no action", nil, "between 1 and 100"},
		{"101 actions", many, "between 1 and 100"},
		{"one item twice", []ddb.TransactWriteItem{transactPut("p", "s", nil), transactAdd("p", "s", 1)},
			"multiple operations on one item"},
		{"two kinds in one action", []ddb.TransactWriteItem{{Put: many[0].Put, Update: transactAdd("p", "s", 1).Update}},
			"only contain one of"},
		{"check of nothing", []ddb.TransactWriteItem{{ConditionCheck: &ddb.ConditionCheck{TableName: aws.String(stateTable),
			Key: place("p", "s")}}}, "conditionExpression"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: tt.items})
			requireCode(t, "ValidationException", err)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Source: B:dynamodb: ClientRequestToken is valid for ten minutes; F-48, F-51.
func TestDynamoDB_TransactionToken(t *testing.T) {
	w, c := newTable()
	add := func(token *string, n int) error {
		_,
			err := c.TransactWriteItems(t.Context(),
			&dynamodb.TransactWriteItemsInput{ClientRequestToken: token,
				TransactItems: []ddb.TransactWriteItem{transactAdd("p", "count", n)}})
		return err
	}
	require.NoError(t, add(aws.String("t"), 1))
	require.NoError(t, add(aws.String("t"), 1))
	require.Equal(t, num(1), get(t, c, "p", "count")["n"])
	requireCode(t, "IdempotentParameterMismatchException", add(aws.String("t"), 2))

	w.After(10*60*1e9, func() {})
	require.True(t, w.Step())
	require.NoError(t, add(aws.String("t"), 1))
	require.Equal(t, num(2), get(t, c, "p", "count")["n"], "after ten minutes it is a new transaction")

	faults := newScript()
	faults.after = map[string][]error{"dynamodb:TransactWriteItems": {lost()}}
	w.Faults = faults
	require.NoError(t, add(nil, 1), "the SDK gives every call a token, so its retry does not write twice")
	require.Equal(t, num(3), get(t, c, "p", "count")["n"])
	require.NoError(t, add(nil, 1))
	require.Equal(t, num(4), get(t, c, "p", "count")["n"])
}

// Source: B:dynamodb/BatchGetItem; F-49: unprocessed keys.
func TestDynamoDB_BatchGetItem(t *testing.T) {
	w, c := newTable()
	var keys []map[string]ddb.AttributeValue
	for i := range 5 {
		put(t, c, with("p", fmt.Sprint(i), attrs{"n": num(i)}))
		keys = append(keys, place("p", fmt.Sprint(i)))
	}
	keys = append(keys, place("p", "missing"))
	read := func(keys []map[string]ddb.AttributeValue) (*dynamodb.BatchGetItemOutput, error) {
		return c.BatchGetItem(t.Context(),
			&dynamodb.BatchGetItemInput{RequestItems: map[string]ddb.KeysAndAttributes{stateTable: {Keys: keys,
				ConsistentRead: aws.Bool(true)}}})
	}
	out, err := read(keys)
	require.NoError(t, err)
	require.Len(t, out.Responses[stateTable], 5)
	require.Empty(t, out.UnprocessedKeys)

	faults := newScript()
	faults.unprocessed = 3
	w.Faults = faults
	out, err = read(keys)
	require.NoError(t, err)
	require.Len(t, out.Responses[stateTable], 3)
	require.Equal(t, keys[3:], out.UnprocessedKeys[stateTable].Keys)
	require.True(t, *out.UnprocessedKeys[stateTable].ConsistentRead)

	_, err = read(append(keys, keys[0]))
	requireCode(t, "ValidationException", err)
	var many []map[string]ddb.AttributeValue
	for i := range 101 {
		many = append(many, place("p", fmt.Sprint(i)))
	}
	_, err = read(many)
	requireCode(t, "ValidationException", err)
}

// Source: DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control".
func TestDynamoDB_Permissions(t *testing.T) {
	w, p := newJudgedHub(t, allow(`["dynamodb:GetItem","dynamodb:PutItem","dynamodb:Query","dynamodb:UpdateItem"]`, `"`+stateARN+`"`,
		`,"Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["RUN#*"]}}`))
	spec := backing.TableSpec{Name: stateTable, ARN: stateARN, Account: hubAccount, Region: hubRegion, HashKey: "pk",
		RangeKey: "sk"}
	w.AddTable(spec)
	c := w.DynamoDB(p, hubRegion)
	put(t, c, place("RUN#1", "META"))
	_,
		err := c.PutItem(t.Context(),
		&dynamodb.PutItemInput{TableName: aws.String(stateTable), Item: place("LEASE#1", "LEASE")})
	requireCode(t, "AccessDeniedException", err)
	_,
		err = c.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String(stateTable),
		KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: attrs{":p": str("OPEN")}})
	requireCode(t, "AccessDeniedException", err)
	_,
		err = c.DeleteItem(t.Context(),
		&dynamodb.DeleteItemInput{TableName: aws.String(stateTable), Key: place("RUN#1", "META")})
	requireCode(t, "AccessDeniedException", err)
	both := &dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{transactPut("RUN#1", "x", nil),
		transactAdd("RUN#2", "y", 1)}}
	_, err = c.TransactWriteItems(t.Context(), both)
	require.NoError(t, err)
	both.TransactItems = append(both.TransactItems, transactPut("LEASE#1", "x", nil))
	_, err = c.TransactWriteItems(t.Context(), both)
	requireCode(t, "AccessDeniedException", err)
	both.TransactItems = []ddb.TransactWriteItem{{Delete: &ddb.Delete{TableName: aws.String(stateTable),
		Key: place("RUN#1", "x")}}}
	_, err = c.TransactWriteItems(t.Context(), both)
	requireCode(t, "AccessDeniedException", err)

	spec.ResourcePolicy = mustPolicy(t, `{"Version":"2012-10-17","Statement":[{"Sid":"AppendOnly","Effect":"Deny","Principal":"*","Action":"dynamodb:UpdateItem","Resource":"`+stateARN+`"}]}`)
	w.AddTable(spec)
	_,
		err = c.UpdateItem(t.Context(),
		&dynamodb.UpdateItemInput{TableName: aws.String(stateTable), Key: place("RUN#1", "META")})
	requireCode(t, "AccessDeniedException", err)

	addKeys(t, w)
	spec.ResourcePolicy, spec.KMSKeyARN = nil, dataKey
	w.AddTable(spec)
	put(t, c, place("RUN#1", "META")) // through DynamoDB's own grant
	spec.CallersNeedKey = true
	w.AddTable(spec)
	_, err = c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(stateTable), Key: place("RUN#1", "META")})
	requireCode(t, "AccessDeniedException", err)
}

func BenchmarkDynamoDB_UpdateItem(b *testing.B) {
	_, c := newTable()
	for i := range 1000 {
		put(b, c, with("p", fmt.Sprintf("%04d", i), attrs{"n": num(0), "owner": str("me")}))
	}
	for i := 0; b.Loop(); i++ {
		_, err := c.UpdateItem(b.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("p", fmt.Sprintf("%04d", i%1000)),
			UpdateExpression: aws.String("SET n = n + :one"), ConditionExpression: aws.String("#o = :me AND n >= :zero"),
			ExpressionAttributeNames:  map[string]string{"#o": "owner"},
			ExpressionAttributeValues: attrs{":one": num(1), ":me": str("me"), ":zero": num(0)},
		})
		require.NoError(b, err)
	}
}

func BenchmarkDynamoDB_Query20000(b *testing.B) {
	_, c := newTable()
	for i := range 20_000 {
		put(b, c, with("p", fmt.Sprintf("TARGET#%05d", i),
			attrs{"n": num(i), "status": str("done"), "digest": str(strings.Repeat("a", 64)), "account": str(hubAccount)}))
	}
	for b.Loop() {
		items, _ := pages(b, c, &dynamodb.QueryInput{
			TableName: aws.String(stateTable), KeyConditionExpression: aws.String("pk = :p AND begins_with(sk, :t)"),
			ExpressionAttributeValues: attrs{":p": str("p"), ":t": str("TARGET#")},
		})
		require.Len(b, items, 20_000)
	}
}
