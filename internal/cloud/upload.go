package cloud

import (
	"bytes"
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// partSize is how much of a growing object is kept before it is sent, in bytes.
// S3 takes parts of 5 MiB or more, the last one aside, and 10,000 of them.
// Source: S3 User Guide, "Amazon S3 multipart upload limits", read 2026-11.
const partSize = 8 << 20

// Begin starts an object that is written piece by piece. It replaces what was
// there when it is closed, as a whole. One that is never closed changes nothing;
// the bucket's lifecycle throws its parts away. The upload ends with ctx.
func (o *Objects) Begin(ctx context.Context, key, contentType string) io.WriteCloser {
	return &upload{ctx: ctx, objects: o, key: key, contentType: contentType}
}

// upload is an object under way. It lives within one call, and so keeps its context.
type upload struct {
	ctx              context.Context
	objects          *Objects
	key, contentType string
	pending          bytes.Buffer
	id               *string // nil until there is more than one part
	parts            []types.CompletedPart
}

func (u *upload) Write(p []byte) (int, error) {
	u.pending.Write(p)
	for u.pending.Len() >= partSize {
		if err := u.send(u.pending.Next(partSize)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// send uploads one part.
func (u *upload) send(part []byte) error {
	o := u.objects
	if u.id == nil {
		begun, err := o.S3.CreateMultipartUpload(u.ctx, &s3.CreateMultipartUploadInput{
			Bucket: &o.Bucket, Key: &u.key, ContentType: &u.contentType,
			ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		})
		if err != nil {
			return wrap(err, "begin object %s", u.key)
		}
		u.id = begun.UploadId
	}
	n, sum := aws.Int32(int32(len(u.parts)+1)), checksum(part)
	sent, err := o.S3.UploadPart(u.ctx, &s3.UploadPartInput{
		Bucket: &o.Bucket, Key: &u.key, UploadId: u.id, PartNumber: n, Body: bytes.NewReader(part), ChecksumSHA256: sum,
	})
	if err != nil {
		return wrap(err, "write part %d of object %s", *n, u.key)
	}
	u.parts = append(u.parts, types.CompletedPart{PartNumber: n, ETag: sent.ETag, ChecksumSHA256: sum})
	return nil
}

// Close makes the object appear. What fits into one part is written at once.
func (u *upload) Close() error {
	if u.id == nil {
		return u.objects.Store(u.ctx, u.key, u.contentType, u.pending.Bytes())
	}
	if u.pending.Len() > 0 {
		if err := u.send(u.pending.Bytes()); err != nil {
			return err
		}
	}
	_, err := u.objects.S3.CompleteMultipartUpload(u.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.objects.Bucket, Key: &u.key, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	return wrap(err, "complete object %s", u.key)
}
