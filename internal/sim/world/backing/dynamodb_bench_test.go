package backing_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
)

// BenchmarkDynamoDB_JudgedUpdate is an UpdateItem under a policy with a condition.
func BenchmarkDynamoDB_JudgedUpdate(b *testing.B) {
	w := world.New(7, hubStart())
	policy, err := iam.ParsePolicy("policy", []byte(allow(`["dynamodb:UpdateItem","dynamodb:PutItem"]`, `"`+stateARN+`"`,
		`,"Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["RUN#*"]}}`)))
	require.NoError(b, err)
	w.AddRole(core.Role{ARN: hubRole, Policies: []*iam.Policy{policy}})
	w.AddTable(backing.TableSpec{Name: stateTable, ARN: stateARN, Account: hubAccount, Region: hubRegion, HashKey: "pk",
		RangeKey: "sk"})
	p, err := w.Session(hubRole, "s")
	require.NoError(b, err)
	c := w.DynamoDB(p, hubRegion)
	for i := 0; b.Loop(); i++ {
		_, err := c.UpdateItem(b.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(stateTable), Key: place("RUN#1", fmt.Sprintf("%04d", i%1000)),
			UpdateExpression: aws.String("SET n = :one"), ExpressionAttributeValues: attrs{":one": num(1)},
		})
		require.NoError(b, err)
	}
}
