package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ec2patch/internal/store"
)

// Tables is what a Client uses of the SDK's DynamoDB client.
type Tables interface {
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// PublicKeys is what a Client uses of the SDK's KMS client.
type PublicKeys interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// maxChain bounds what is read of one chain, in pages of 1 MB.
const maxChain = 100

// Chain reads all rows of an audit chain, in the order of their keys.
func (c *Client) Chain(ctx context.Context, name string) ([]store.AuditEntry, error) {
	var all []store.AuditEntry
	var start map[string]types.AttributeValue
	for range maxChain {
		out, err := c.Tables.Query(ctx, &dynamodb.QueryInput{
			TableName: aws.String(c.Machine.Prefix() + "-audit"), ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
			KeyConditionExpression:    aws.String("pk = :pk"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: name}},
		})
		if err != nil {
			return nil, wrap(err, "read audit chain %s", name)
		}
		for _, row := range out.Items {
			var e store.AuditEntry
			err := attributevalue.UnmarshalMapWithOptions(row, &e, func(o *attributevalue.DecoderOptions) { o.TagKey = "json" })
			if err != nil {
				return nil, fmt.Errorf("read audit chain %s: %w", name, err)
			}
			all = append(all, e)
		}
		if start = out.LastEvaluatedKey; len(start) == 0 {
			return all, nil
		}
	}
	return nil, fmt.Errorf("audit chain %s has more than %d pages", name, maxChain)
}

// AuditKey fetches the public key of a writer of the audit. Its error is ErrNotFound if the hub has none.
func (c *Client) AuditKey(ctx context.Context, w store.Writer) ([]byte, error) {
	alias := "alias/" + c.Machine.Prefix() + "-audit-" + strings.ToLower(string(w))
	out, err := c.Keys.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &alias})
	if err != nil {
		return nil, wrap(err, "fetch the public key %s", alias)
	}
	return out.PublicKey, nil
}

// Object fetches an object of a hub's bucket; found is false if there is none.
func (c *Client) Object(ctx context.Context, bucket, key string) (data []byte, found bool, err error) {
	out,
		err := c.Bucket.GetObject(ctx,
		&s3.GetObjectInput{Bucket: &bucket, Key: &key, ExpectedBucketOwner: &c.Machine.Account})
	if err != nil {
		// Whoever may not list a bucket is denied what does not exist. Source: S3 GetObject, read 2026-11.
		if err = wrap(err, "fetch s3://%s/%s", bucket, key); errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
			return nil, false, nil
		}
		return nil, false, err
	}
	defer out.Body.Close()
	if data, err = io.ReadAll(io.LimitReader(out.Body, maxReport)); err != nil {
		return nil, false, fmt.Errorf("fetch s3://%s/%s: %w", bucket, key, err)
	}
	return data, true, nil
}
