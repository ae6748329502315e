package backing_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Sums, differences and comparisons agree with exact rational numbers.
func TestDynamoDB_Arithmetic(t *testing.T) {
	_, c := newTable()
	rapid.Check(t, func(r *rapid.T) {
		decimal := rapid.Custom(func(r *rapid.T) string {
			digits := rapid.Int64Range(-1e18+1, 1e18-1).Draw(r, "digits")
			if rapid.Bool().Draw(r, "integer") {
				return fmt.Sprint(digits)
			}
			return fmt.Sprintf("%de%d", digits, rapid.IntRange(-10, 10).Draw(r, "exponent"))
		})
		a, b := decimal.Draw(r, "a"), decimal.Draw(r, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		put(t, c, with("p", "s", attrs{"a": num(a)}))
		out, err := c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("p", "s"), ReturnValues: ddb.ReturnValueAllNew,
			UpdateExpression: aws.String("SET plus = a + :b, minus_ = a - :b"), ExpressionAttributeValues: attrs{":b": num(b)},
		})
		require.NoError(r, err)
		requireNumber(r, new(big.Rat).Add(x, y), out.Attributes["plus"])
		requireNumber(r, new(big.Rat).Sub(x, y), out.Attributes["minus_"])

		_, err = c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("p", "s"),
			ConditionExpression: aws.String("a < :b"), ExpressionAttributeValues: attrs{":b": num(b)},
		})
		require.Equal(r, x.Cmp(y) < 0, err == nil, "%s < %s", a, b)
	})
}

func requireNumber(r *rapid.T, want *big.Rat, got ddb.AttributeValue) {
	text := got.(*ddb.AttributeValueMemberN).Value
	have, ok := new(big.Rat).SetString(text)
	require.True(r, ok, text)
	require.Zero(r, want.Cmp(have), "%s, want %s", text, want)
}
