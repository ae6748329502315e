package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ec2patch/internal/patch"
)

// S3 is what the bucket uses of the SDK's client.
type S3 interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	CreateMultipartUpload(context.Context, *s3.CreateMultipartUploadInput,
		...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error)
	UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (*s3.UploadPartOutput, error)
	CompleteMultipartUpload(context.Context, *s3.CompleteMultipartUploadInput,
		...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error)
}

// Objects is the data bucket.
type Objects struct {
	S3     S3
	Bucket string
}

// Store writes an object. S3 checks what arrives against our own hash.
func (o *Objects) Store(ctx context.Context, key, contentType string, data []byte) error {
	_, err := o.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &o.Bucket, Key: &key, Body: bytes.NewReader(data), ContentType: &contentType,
		ChecksumSHA256: checksum(data),
	})
	return wrap(err, "write object %s", key)
}

// Create writes an object if there is none. A second attempt after a lost answer
// finds the first one's.
func (o *Objects) Create(ctx context.Context, key, contentType string, data []byte) (bool, error) {
	_, err := o.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &o.Bucket, Key: &key, Body: bytes.NewReader(data), ContentType: &contentType,
		ChecksumSHA256: checksum(data),
		IfNoneMatch:    aws.String("*"),
	})
	if code(err) == "PreconditionFailed" {
		return false, nil
	}
	return err == nil, wrap(err, "create object %s", key)
}

func checksum(data []byte) *string {
	sum := sha256.Sum256(data)
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// maxObject bounds what is read into memory: more than the largest plan of one account.
const maxObject = 256 << 20

// maxReads is how often an object is read whose content arrives only in part: the SDK tries a request again, and not
// what comes after its head. A report reads one object for each account, so one in twenty cut short would be too many.
const maxReads = 3

// Fetch reads an object.
func (o *Objects) Fetch(ctx context.Context, key string) (data []byte, found bool, err error) {
	for range maxReads {
		data, found, err = o.read(ctx, key)
		if !errors.Is(err, errCutShort) {
			break
		}
	}
	return data, found, err
}

// errCutShort means that an object's content arrived only in part.
var errCutShort = errors.New("cut short")

func (o *Objects) read(ctx context.Context, key string) (data []byte, found bool, err error) {
	out, err := o.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.Bucket, Key: &key})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, wrap(err, "read object %s", key)
	}
	defer out.Body.Close()
	data, err = io.ReadAll(io.LimitReader(out.Body, maxObject+1))
	if err != nil {
		return nil, false, fmt.Errorf("read object %s: %w: %w: %w", key, patch.ErrUnavailable, errCutShort, err)
	}
	if len(data) > maxObject {
		return nil, false, fmt.Errorf("%w: object %s is larger than %d bytes", patch.ErrInternal, key, maxObject)
	}
	return data, true, nil
}
