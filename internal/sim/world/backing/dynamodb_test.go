package backing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
)

const (
	stateTable = "state"
	stateARN   = "arn:aws:dynamodb:us-east-1:111111111111:table/state"
)

type attrs = map[string]ddb.AttributeValue

func str(v string) ddb.AttributeValue { return &ddb.AttributeValueMemberS{Value: v} }

func num(v any) ddb.AttributeValue { return &ddb.AttributeValueMemberN{Value: fmt.Sprint(v)} }

func list(v ...ddb.AttributeValue) ddb.AttributeValue {
	return &ddb.AttributeValueMemberL{Value: v}
}

func object(v attrs) ddb.AttributeValue { return &ddb.AttributeValueMemberM{Value: v} }

func strs(v ...string) ddb.AttributeValue { return &ddb.AttributeValueMemberSS{Value: v} }

func place(pk, sk string) attrs { return attrs{"pk": str(pk), "sk": str(sk)} }

func with(pk, sk string, more attrs) attrs { return merge(place(pk, sk), more) }

func merge(a, b attrs) attrs {
	for k, v := range b {
		a[k] = v
	}
	return a
}

// newTable is a client of a world with one table.
func newTable() (*world.World, *backing.DynamoDB) {
	w, p := newHub()
	w.KeepInputs = true
	w.AddTable(backing.TableSpec{Name: stateTable, ARN: stateARN, Account: hubAccount, Region: hubRegion, HashKey: "pk",
		RangeKey: "sk", TTLAttribute: "expires"})
	return w, w.DynamoDB(p, hubRegion)
}

func put(t testing.TB, c *backing.DynamoDB, item attrs) {
	t.Helper()
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(stateTable), Item: item})
	require.NoError(t, err)
}

func get(t testing.TB, c *backing.DynamoDB, pk, sk string) attrs {
	t.Helper()
	out,
		err := c.GetItem(t.Context(),
		&dynamodb.GetItemInput{TableName: aws.String(stateTable), Key: place(pk, sk), ConsistentRead: aws.Bool(true)})
	require.NoError(t, err)
	return out.Item
}

// Source: B:dynamodb; D23:OperatorsAndFunctions.
func TestDynamoDB_Condition(t *testing.T) {
	item := attrs{
		"n": num("10"), "s": str("hello"), "list": list(str("a"), num(2)), "m": object(attrs{"in": str("deep"), "n": num(5)}),
		"set": strs("x", "y"), "yes": &ddb.AttributeValueMemberBOOL{Value: true}, "status": str("Open"),
		"b": &ddb.AttributeValueMemberB{Value: []byte("bin")},
	}
	tests := []struct {
		name, condition string
		names           map[string]string
		values          attrs
		want            bool
	}{
		{name: "equal number in another form", condition: "n = :v", values: attrs{":v": num("1.0E1")}, want: true},
		{name: "other type is not equal", condition: "n = :v", values: attrs{":v": str("10")}},
		{name: "other type differs", condition: "n <> :v", values: attrs{":v": str("10")}, want: true},
		{name: "numbers compare by value, not as text", condition: "n > :v", values: attrs{":v": num("9")}, want: true},
		{name: "missing attribute is not less", condition: "x < :v", values: attrs{":v": num("9")}},
		{name: "missing attribute is not equal", condition: "x = :v", values: attrs{":v": num("9")}},
		{name: "missing attribute differs", condition: "x <> :v", values: attrs{":v": num("9")}, want: true},
		{name: "exists", condition: "attribute_exists(m.in)", want: true},
		{name: "does not exist", condition: "attribute_not_exists(m.gone)", want: true},
		{name: "path through no map", condition: "attribute_exists(s.x)"},
		{name: "list element", condition: "list[1] = :v", values: attrs{":v": num(2)}, want: true},
		{name: "index past the end", condition: "attribute_exists(list[2])"},
		{name: "type", condition: "attribute_type(yes, :v)", values: attrs{":v": str("BOOL")}, want: true},
		{name: "begins with", condition: "begins_with(s, :v)", values: attrs{":v": str("hel")}, want: true},
		{name: "substring", condition: "contains(s, :v)", values: attrs{":v": str("ell")}, want: true},
		{name: "member of set", condition: "contains(#set, :v)", names: map[string]string{"#set": "set"},
			values: attrs{":v": str("y")}, want: true},
		{name: "element of list", condition: "contains(#l, :v)", names: map[string]string{"#l": "list"},
			values: attrs{":v": num("2.0")}, want: true},
		{name: "size of string", condition: "size(s) = :v", values: attrs{":v": num(5)}, want: true},
		{name: "size of what has none", condition: "size(n) >= :v", values: attrs{":v": num(0)}},
		{name: "between", condition: "n BETWEEN :a AND :b", values: attrs{":a": num(10), ":b": num(11)}, want: true},
		{name: "in", condition: "s IN (:a, :b)", values: attrs{":a": str("x"), ":b": str("hello")}, want: true},
		{name: "and binds before or", condition: "s = :no AND s = :no OR n = :ten",
			values: attrs{":no": str("no"), ":ten": num(10)}, want: true},
		{name: "parentheses", condition: "s = :no AND (s = :no OR n = :ten)",
			values: attrs{":no": str("no"), ":ten": num(10)}},
		{name: "not binds closest", condition: "NOT s = :no AND n = :ten", values: attrs{":no": str("no"), ":ten": num(10)},
			want: true},
		{name: "keywords in any case", condition: "not (n between :a and :b) or s in (:s)",
			values: attrs{":a": num(1), ":b": num(2), ":s": str("q")}, want: true},
		{name: "name placeholder", condition: "#s = :v", names: map[string]string{"#s": "status"},
			values: attrs{":v": str("Open")}, want: true},
		{name: "placeholder inside a path", condition: "m.#i = :v", names: map[string]string{"#i": "in"},
			values: attrs{":v": str("deep")}, want: true},
		{name: "two paths", condition: "n > m.n", want: true},
		{name: "binary order", condition: "b >= :v", values: attrs{":v": &ddb.AttributeValueMemberB{Value: []byte("bim")}},
			want: true},
		{name: "equal sets in another order", condition: "#set = :v", names: map[string]string{"#set": "set"},
			values: attrs{":v": strs("y", "x")}, want: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			put(t, c, with("p", "s", item))
			condition := strings.ReplaceAll(strings.ReplaceAll(tt.condition, "list[", "#list["), "m.in", "m.#in")
			names := map[string]string{}
			for k, v := range tt.names {
				names[k] = v
			}
			for placeholder, name := range map[string]string{"#list": "list", "#in": "in"} {
				if strings.Contains(condition, placeholder) {
					names[placeholder] = name
				}
			}
			if len(names) == 0 {
				names = nil
			}
			_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String(stateTable), Key: place("p", "s"), ConditionExpression: aws.String(condition),
				ExpressionAttributeNames: names, ExpressionAttributeValues: tt.values,
			})
			if tt.want {
				require.NoError(t, err)
				return
			}
			requireCode(t, "ConditionalCheckFailedException", err)
		})
	}
}

// Source: B:dynamodb, ValidationException.
func TestDynamoDB_WrongExpression(t *testing.T) {
	tests := []struct {
		name, condition, update string
		names                   map[string]string
		values                  attrs
		want                    string
	}{
		{name: "reserved word", condition: "status = :v", values: attrs{":v": str("x")}, want: "reserved keyword: status"},
		{name: "reserved word in any case", condition: "attribute_exists(Ttl)", want: "reserved keyword: Ttl"},
		{name: "reserved word inside a path", condition: "attribute_exists(a.name)", want: "reserved keyword: name"},
		{name: "undefined name", condition: "attribute_exists(#a)", want: "attribute name: #a"},
		{name: "undefined value", condition: "a = :v", want: "attribute value: :v"},
		{name: "unused name", condition: "attribute_exists(a)", names: map[string]string{"#b": "b", "#a": "a"},
			want: "unused in expressions: keys: {#a, #b}"},
		{name: "unused value", condition: "attribute_exists(a)", values: attrs{":v": str("x")},
			want: "unused in expressions: keys: {:v}"},
		{name: "empty values", condition: "attribute_exists(a)", values: attrs{}, want: "must not be empty"},
		{name: "values without expression", values: attrs{":v": str("x")},
			want: "can only be specified when using expressions"},
		{name: "syntax", condition: "a ==", want: "Syntax error"},
		{name: "half an expression", condition: "a = :v AND", values: attrs{":v": str("x")}, want: "Syntax error"},
		{name: "open parenthesis", condition: "(a = :v", values: attrs{":v": str("x")}, want: "Syntax error"},
		{name: "unknown function", condition: "exists(a)", want: "Invalid function name"},
		{name: "wrong number of operands", condition: "begins_with(a)", want: "Incorrect number of operands"},
		{name: "order of what has none", condition: "a < :v", values: attrs{":v": &ddb.AttributeValueMemberBOOL{Value: true}},
			want: "Incorrect operand type"},
		{name: "prefix that is a number", condition: "begins_with(a, :v)", values: attrs{":v": num(1)},
			want: "Incorrect operand type"},
		{name: "unknown type", condition: "attribute_type(a, :v)", values: attrs{":v": str("X")},
			want: "Invalid attribute type name"},
		{name: "bounds the wrong way round", condition: "a BETWEEN :b AND :a", values: attrs{":a": num(1), ":b": num(2)},
			want: "upper bound"},
		{name: "an attribute with itself", condition: "a = a", want: "must be distinct"},
		{name: "empty expression", condition: " ", want: "Syntax error"},
		{name: "too long", condition: "a = :v" + strings.Repeat(" ", 4096), values: attrs{":v": num(1)},
			want: "maximum allowed size"},
		{name: "key in update", update: "SET sk = :v", values: attrs{":v": str("x")}, want: "part of the key"},
		{name: "overlapping paths", update: "SET a.b = :v REMOVE a", values: attrs{":v": str("x")}, want: "overlap"},
		{name: "clause twice", update: "SET a = :v SET b = :v", values: attrs{":v": str("x")}, want: "only be used once"},
		{name: "unknown clause", update: "PUT a = :v", values: attrs{":v": str("x")}, want: "Syntax error"},
		{name: "missing operand", update: "SET a = gone + :v", values: attrs{":v": num(1)},
			want: "does not exist in the item"},
		{name: "sum of no numbers", update: "SET a = s + :v", values: attrs{":v": num(1)}, want: "incorrect data type"},
		{name: "path through nothing", update: "SET gone.a = :v", values: attrs{":v": num(1)}, want: "invalid for update"},
		{name: "number too long", update: "SET a = :v", values: attrs{":v": num(strings.Repeat("1", 39))},
			want: "38 significant digits"},
		{name: "number too large", update: "SET a = :v", values: attrs{":v": num("1E126")}, want: "overflow"},
		{name: "no number", update: "SET a = :v", values: attrs{":v": num("ten")}, want: "numeric value"},
		{name: "empty set", update: "SET a = :v", values: attrs{":v": strs()}, want: "may not be empty"},
		{name: "set with duplicates", update: "SET a = :v", values: attrs{":v": strs("a", "a")}, want: "duplicates"},
		{name: "item too large", update: "SET a = :v", values: attrs{":v": str(strings.Repeat("x", 400*1024))},
			want: "maximum allowed size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			put(t, c, with("p", "s", attrs{"s": str("text")}))
			in := &dynamodb.UpdateItemInput{TableName: aws.String(stateTable), Key: place("p", "s"),
				ExpressionAttributeNames: tt.names, ExpressionAttributeValues: tt.values}
			if tt.condition != "" {
				in.ConditionExpression = &tt.condition
			}
			if tt.update != "" {
				in.UpdateExpression = &tt.update
			}
			_, err := c.UpdateItem(t.Context(), in)
			requireCode(t, "ValidationException", err)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Source: D23:Expressions.UpdateExpressions.
func TestDynamoDB_Update(t *testing.T) {
	base := attrs{
		"n": num(10), "l": list(str("a"), str("b"), str("c")), "m": object(attrs{"x": num(1), "y": num(2)}),
		"tags": strs("x", "y"),
	}
	tests := []struct {
		name, update string
		values       attrs
		attribute    string
		want         ddb.AttributeValue
	}{
		{name: "set", update: "SET a = :v", values: attrs{":v": str("x")}, attribute: "a", want: str("x")},
		{name: "add numbers exactly", update: "SET n = n + :v", values: attrs{":v": num("0.1")}, attribute: "n",
			want: num("10.1")},
		{name: "subtract", update: "SET n = n - :v", values: attrs{":v": num("12")}, attribute: "n", want: num("-2")},
		{name: "right sides see the old item", update: "SET n = :v, a = n", values: attrs{":v": num(1)}, attribute: "a",
			want: num(10)},
		{name: "if_not_exists keeps", update: "SET n = if_not_exists(n, :v)", values: attrs{":v": num(1)}, attribute: "n",
			want: num(10)},
		{name: "if_not_exists starts a counter", update: "SET c = if_not_exists(c, :z) + :v",
			values: attrs{":z": num(0), ":v": num(3)}, attribute: "c", want: num(3)},
		{name: "list_append", update: "SET l = list_append(l, :v)", values: attrs{":v": list(str("d"))}, attribute: "l",
			want: list(str("a"), str("b"), str("c"), str("d"))},
		{name: "append to a list that is not there", update: "SET q = list_append(if_not_exists(q, :e), :v)",
			values: attrs{":e": list(), ":v": list(num(1))}, attribute: "q", want: list(num(1))},
		{name: "nested", update: "SET m.x = m.y + :v", values: attrs{":v": num(5)}, attribute: "m",
			want: object(attrs{"x": num(7), "y": num(2)})},
		{name: "list element", update: "SET l[1] = :v", values: attrs{":v": str("B")}, attribute: "l",
			want: list(str("a"), str("B"), str("c"))},
		{name: "index past the end appends", update: "SET l[9] = :v", values: attrs{":v": str("d")}, attribute: "l",
			want: list(str("a"), str("b"), str("c"), str("d"))},
		{name: "remove elements of the list as it was", update: "REMOVE l[0], l[1]", attribute: "l", want: list(str("c"))},
		{name: "remove nested", update: "REMOVE m.x", attribute: "m", want: object(attrs{"y": num(2)})},
		{name: "remove", update: "REMOVE n", attribute: "n"},
		{name: "remove what is not there", update: "REMOVE gone", attribute: "gone"},
		{name: "add to number", update: "ADD n :v", values: attrs{":v": num(5)}, attribute: "n", want: num(15)},
		{name: "add from nothing", update: "ADD c :v", values: attrs{":v": num(5)}, attribute: "c", want: num(5)},
		{name: "add to set", update: "ADD tags :v", values: attrs{":v": strs("y", "z")}, attribute: "tags",
			want: strs("x", "y", "z")},
		{name: "delete from set", update: "DELETE tags :v", values: attrs{":v": strs("y")}, attribute: "tags",
			want: strs("x")},
		{name: "an empty set goes away", update: "DELETE tags :v", values: attrs{":v": strs("y", "x")}, attribute: "tags"},
		{name: "all clauses at once", update: "SET a = :v REMOVE m ADD n :o DELETE tags :t",
			values: attrs{":v": num(1), ":o": num(1), ":t": strs("x")}, attribute: "n", want: num(11)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			put(t, c, with("p", "s", base))
			_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String(stateTable), Key: place("p", "s"), UpdateExpression: &tt.update,
				ExpressionAttributeValues: tt.values,
			})
			require.NoError(t, err)
			require.Equal(t, tt.want, get(t, c, "p", "s")[tt.attribute])
		})
	}
}

// Source: D23:HowItWorks.NamingRulesDataTypes: 38 digits, exact.
func TestDynamoDB_Number(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"zeros in front", "007", "7"},
		{"zeros at the end", "1.500", "1.5"},
		{"exponent", "12E3", "12000"},
		{"small", "1e-3", "0.001"},
		{"minus zero", "-0", "0"},
		{"plus", "+5", "5"},
		{"all 38 digits", "12345678901234567890123456789012345678", "12345678901234567890123456789012345678"},
		{"fraction", "-.25", "-0.25"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			put(t, c, with("p", "s", attrs{"n": num(tt.in)}))
			require.Equal(t, num(tt.want), get(t, c, "p", "s")["n"])
		})
	}
}

// Source: B:dynamodb/ReturnValues, ReturnValuesOnConditionCheckFailure.
func TestDynamoDB_ReturnValues(t *testing.T) {
	update := func(c *backing.DynamoDB, r ddb.ReturnValue) (*dynamodb.UpdateItemOutput, error) {
		return c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("p", "s"), UpdateExpression: aws.String("SET a = :v"),
			ExpressionAttributeValues: attrs{":v": num(2)}, ReturnValues: r,
		})
	}
	tests := []struct {
		returned ddb.ReturnValue
		want     attrs
	}{
		{ddb.ReturnValueNone, nil},
		{ddb.ReturnValueAllOld, with("p", "s", attrs{"a": num(1), "b": num(1)})},
		{ddb.ReturnValueAllNew, with("p", "s", attrs{"a": num(2), "b": num(1)})},
		{ddb.ReturnValueUpdatedOld, attrs{"a": num(1)}},
		{ddb.ReturnValueUpdatedNew, attrs{"a": num(2)}},
	}
	for _, tt := range tests {
		t.Run(strings.ToLower(string(tt.returned)), func(t *testing.T) {
			_, c := newTable()
			put(t, c, with("p", "s", attrs{"a": num(1), "b": num(1)}))
			out, err := update(c, tt.returned)
			require.NoError(t, err)
			require.Equal(t, tt.want, out.Attributes)
		})
	}
	t.Run("put cannot show the new item", func(t *testing.T) {
		_, c := newTable()
		_,
			err := c.PutItem(t.Context(),
			&dynamodb.PutItemInput{TableName: aws.String(stateTable), Item: place("p", "s"),
				ReturnValues: ddb.ReturnValueAllNew})
		requireCode(t, "ValidationException", err)
	})
	t.Run("failed condition shows the item when asked", func(t *testing.T) {
		_, c := newTable()
		put(t, c, with("p", "s", attrs{"a": num(1)}))
		in := &dynamodb.PutItemInput{TableName: aws.String(stateTable), Item: place("p", "s"),
			ConditionExpression: aws.String("attribute_not_exists(pk)")}
		_, err := c.PutItem(t.Context(), in)
		var failed *ddb.ConditionalCheckFailedException
		require.ErrorAs(t, err, &failed)
		require.Nil(t, failed.Item)
		in.ReturnValuesOnConditionCheckFailure = ddb.ReturnValuesOnConditionCheckFailureAllOld
		_, err = c.PutItem(t.Context(), in)
		require.ErrorAs(t, err, &failed)
		require.Equal(t, with("p", "s", attrs{"a": num(1)}), failed.Item)
	})
}

// Source: D23:ServiceQuotas (keys), B:dynamodb.
func TestDynamoDB_Keys(t *testing.T) {
	tests := []struct {
		name string
		item attrs
		want string
	}{
		{"missing range key", attrs{"pk": str("p")}, "Missing the key sk"},
		{"wrong type", attrs{"pk": str("p"), "sk": num(1)}, "Type mismatch for key sk expected: S actual: N"},
		{"empty", attrs{"pk": str(""), "sk": str("s")}, "empty string value. Key: pk"},
		{"hash key too long", place(strings.Repeat("x", 2049), "s"), "2048 bytes"},
		{"range key too long", place("p", strings.Repeat("x", 1025)), "1024 bytes"},
		{"too large", with("p", "s", attrs{"x": str(strings.Repeat("x", 400*1024))}), "maximum allowed size"},
		{"null that is false", with("p", "s", attrs{"x": &ddb.AttributeValueMemberNULL{}}), "must have the value of true"},
		{"no value", with("p", "s", attrs{"x": nil}), "must contain exactly one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTable()
			_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(stateTable), Item: tt.item})
			requireCode(t, "ValidationException", err)
			require.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("key with another attribute", func(t *testing.T) {
		_, c := newTable()
		_,
			err := c.GetItem(t.Context(),
			&dynamodb.GetItemInput{TableName: aws.String(stateTable), Key: with("p", "s", attrs{"x": num(1)})})
		requireCode(t, "ValidationException", err)
	})
	t.Run("unknown table", func(t *testing.T) {
		_, c := newTable()
		_, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("other"), Key: place("p", "s")})
		requireCode(t, "ResourceNotFoundException", err)
	})
	t.Run("what is not modelled is refused", func(t *testing.T) {
		_, c := newTable()
		_, err := c.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String(stateTable), IndexName: aws.String("i")})
		requireCode(t, "UnsupportedParameter", err)
		_,
			err = c.GetItem(t.Context(),
			&dynamodb.GetItemInput{TableName: aws.String(stateTable), Key: place("p", "s"),
				ReturnConsumedCapacity: ddb.ReturnConsumedCapacityTotal})
		requireCode(t, "UnsupportedParameter", err)
	})
}

func TestDynamoDB_DeleteAndProjection(t *testing.T) {
	w, c := newTable()
	put(t, c, with("p", "s", attrs{"m": object(attrs{"x": num(1), "y": num(2)}), "l": list(num(1), num(2), num(3)),
		"z": num(9)}))
	out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(stateARN), Key: place("p", "s"), ProjectionExpression: aws.String("m.x, l[2], l[0], gone"),
	})
	require.NoError(t, err)
	require.Equal(t, attrs{"m": object(attrs{"x": num(1)}), "l": list(num(1), num(3))}, out.Item)

	gone,
		err := c.DeleteItem(t.Context(),
		&dynamodb.DeleteItemInput{TableName: aws.String(stateTable), Key: place("p", "s"),
			ReturnValues: ddb.ReturnValueAllOld})
	require.NoError(t, err)
	require.Equal(t, num(9), gone.Attributes["z"])
	require.Nil(t, get(t, c, "p", "s"))
	require.Empty(t, w.Items(stateARN))
	_, err = c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(stateTable), Key: place("p", "s")})
	require.NoError(t, err, "deleting what is not there is no error")
}

// What a caller reads or writes is its own: the table never changes behind its back.
func TestDynamoDB_Copies(t *testing.T) {
	_, c := newTable()
	inner := attrs{"x": num(1)}
	put(t, c, with("p", "s", attrs{"m": object(inner)}))
	inner["x"] = num(2)
	get(t, c, "p", "s")["m"].(*ddb.AttributeValueMemberM).Value["x"] = num(3)
	require.Equal(t, object(attrs{"x": num(1)}), get(t, c, "p", "s")["m"])
}

// Source: D23:howitworks-ttl; F-51.
func TestDynamoDB_TimeToLive(t *testing.T) {
	w, c := newTable()
	put(t, c, with("p", "soon", attrs{"expires": num(hubStart().Add(time.Hour).Unix())}))
	put(t, c, with("p", "ancient", attrs{"expires": num(5)}))
	w.After(time.Hour+time.Second, func() {})
	require.True(t, w.Step())
	require.NotNil(t, get(t, c, "p", "soon"), "an expired item is still readable for a while")
	w.After(48*time.Hour, func() {})
	require.True(t, w.Step())
	require.Nil(t, get(t, c, "p", "soon"))
	require.NotNil(t, get(t, c, "p", "ancient"), "an item that expired more than five years ago stays")
}

// F-50: an eventually consistent read returns the older item.
func TestDynamoDB_StaleRead(t *testing.T) {
	w, c := newTable()
	faults := newScript()
	w.Faults = faults
	put(t, c, with("p", "s", attrs{"a": num(1)}))
	w.After(time.Minute, func() {})
	require.True(t, w.Step())
	put(t, c, with("p", "s", attrs{"a": num(2)}))
	put(t, c, place("p", "new"))
	faults.stale = time.Second
	read := func(consistent bool) *dynamodb.QueryOutput {
		out, err := c.Query(t.Context(), &dynamodb.QueryInput{
			TableName: aws.String(stateTable), KeyConditionExpression: aws.String("pk = :p"),
			ExpressionAttributeValues: attrs{":p": str("p")},
			ConsistentRead:            aws.Bool(consistent),
		})
		require.NoError(t, err)
		return out
	}
	require.Equal(t, []attrs{with("p", "s", attrs{"a": num(1)})}, read(false).Items)
	require.Len(t, read(true).Items, 2)
	w.After(2*time.Second, func() {})
	require.True(t, w.Step())
	require.Len(t, read(false).Items, 2, "copies agree after a while")
}

// F-48: the condition fails because our own write, whose answer was lost, succeeded.
func TestDynamoDB_LostAnswer(t *testing.T) {
	w, c := newTable()
	faults := newScript()
	faults.after = map[string][]error{"dynamodb:PutItem": {lost()}}
	w.Faults = faults
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(stateTable), Item: with("p", "s", attrs{"owner": str("me")}),
		ConditionExpression:                 aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: ddb.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *ddb.ConditionalCheckFailedException
	require.ErrorAs(t, err, &failed)
	require.Equal(t, str("me"), failed.Item["owner"])
	require.Equal(t, 2, w.Ledger.Calls["dynamodb:PutItem"])
	require.Len(t, w.Ledger.Mutating, 1)
}

// F-52: the table is restored to an earlier time.
func TestWorld_RestoreTable(t *testing.T) {
	w, c := newTable()
	put(t, c, with("p", "s", attrs{"a": num(1)}))
	before := w.SnapshotTable(stateARN)
	put(t, c, with("p", "s", attrs{"a": num(2)}))
	put(t, c, place("q", "s"))
	w.RestoreTable(stateARN, before)
	require.Equal(t, []map[string]ddb.AttributeValue{with("p", "s", attrs{"a": num(1)})}, w.Items(stateARN))
}

// Whatever the text of an expression, the answer is an outcome or a refusal of
// DynamoDB, never a panic.
func FuzzDynamoDB_Expression(f *testing.F) {
	for _, text := range []string{
		"a = :v", "NOT (a < :v) AND attribute_exists(b[1].c)", "SET a = if_not_exists(a, :v) + :v REMOVE b", "ADD a :v",
		"((((", "a.b[99999999999]", "#x", "size(a) > :v", ":v = :v",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, c := newTable()
		put(t, c, with("p", "s", attrs{"a": num(1), "b": list(object(attrs{"c": num(1)}))}))
		for _, values := range []attrs{nil, {":v": num(1)}} {
			conditional := &dynamodb.UpdateItemInput{TableName: aws.String(stateTable), Key: place("p", "s"),
				ConditionExpression: &text, ExpressionAttributeValues: values}
			updating := &dynamodb.UpdateItemInput{TableName: aws.String(stateTable), Key: place("p", "s"),
				UpdateExpression: &text, ExpressionAttributeValues: values}
			for _, in := range []*dynamodb.UpdateItemInput{conditional, updating} {
				_, err := c.UpdateItem(t.Context(), in)
				var api smithy.APIError
				if err != nil && !errors.As(err, &api) {
					t.Fatalf("%q: %v is no answer of a service", text, err)
				}
			}
		}
		require.Equal(t, str("p"), get(t, c, "p", "s")["pk"])
	})
}

// The ledger keeps what was asked for, whatever the caller does with its maps later.
func TestDynamoDB_LedgerKeepsItsOwn(t *testing.T) {
	w, c := newTable()
	key, values := place("p", "s"), attrs{":v": num(1)}
	_,
		err := c.UpdateItem(t.Context(),
		&dynamodb.UpdateItemInput{TableName: aws.String(stateTable), Key: key, UpdateExpression: aws.String("SET a = :v"),
			ExpressionAttributeValues: values})
	require.NoError(t, err)
	one := transactAdd("p", "t", 1)
	_,
		err = c.TransactWriteItems(t.Context(),
		&dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{one}})
	require.NoError(t, err)
	key["sk"], values[":v"], one.Update.Key["sk"] = str("x"), num(2), str("x")
	kept := w.Ledger.Mutating[0].Input.(*dynamodb.UpdateItemInput)
	require.Equal(t, place("p", "s"), kept.Key)
	require.Equal(t, attrs{":v": num(1)}, kept.ExpressionAttributeValues)
	require.Equal(t, place("p", "t"),
		w.Ledger.Mutating[1].Input.(*dynamodb.TransactWriteItemsInput).TransactItems[0].Update.Key)
}

// D23:ReservedWords has 573 words; a few that fields are likely to be called.
func TestDynamoDB_ReservedWords(t *testing.T) {
	for _, word := range strings.Fields("name status state count owner region ttl time timestamp date value values " +
		"token user role plan percent total zone") {
		_, c := newTable()
		_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("p", "s"), UpdateExpression: aws.String("SET " + word + " = :v"),
			ExpressionAttributeValues: attrs{":v": num(1)},
		})
		requireCode(t, "ValidationException", err)
		require.ErrorContains(t, err, "reserved keyword: "+word)
	}
	for _, word := range []string{"account", "wave", "digest", "fence", "expiry", "commandId", "version", "pk"} {
		_, c := newTable()
		_, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("p", "s"),
			ConditionExpression: aws.String("attribute_not_exists(" + word + ")"),
		})
		require.NoError(t, err, word)
	}
}

func TestDynamoDB_OverlappingProjection(t *testing.T) {
	_, c := newTable()
	_,
		err := c.GetItem(t.Context(),
		&dynamodb.GetItemInput{TableName: aws.String(stateTable), Key: place("p", "s"),
			ProjectionExpression: aws.String("m.x, m")})
	requireCode(t, "ValidationException", err)
}

// What was written to tables is shown to the hook, and kept only where a test asks.
func TestWorld_OnMutating(t *testing.T) {
	w, c := newTable()
	w.KeepInputs = false
	var seen []core.Entry
	w.OnMutating = func(e core.Entry) { seen = append(seen, e) }
	put(t, c, place("p", "s"))
	require.Empty(t, w.Ledger.Mutating)
	require.Len(t, seen, 1)
	require.Equal(t, "dynamodb:PutItem", seen[0].Name)
}
