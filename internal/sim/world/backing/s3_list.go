package backing

import (
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ec2patch/internal/sim/world/core"
)

// maxKeys is the length of a page of a listing. Source: B:s3/ListObjectsV2.
const maxKeys = 1000

// ListObjectsV2 lists the keys with a prefix, page by page.
func (c *S3) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input,
	_ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	input := *in
	call := c.call("ListObjectsV2", false, &input)
	b, err := c.bucket(in.Bucket, nil, in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("ListObjectsV2", param{"EncodingType", in.EncodingType != ""},
			param{"FetchOwner", in.FetchOwner != nil},
			param{"Delimiter", in.Delimiter != nil}, param{"OptionalObjectAttributes", in.OptionalObjectAttributes != nil})
	}
	if err == nil &&
		(deref(in.MaxKeys) < 0 || (in.ContinuationToken != nil && !strings.HasPrefix(*in.ContinuationToken, "after:"))) {
		err = core.Refusal("InvalidArgument",
			"Argument maxKeys must be an integer of at least 0, and the continuation token one that was given")
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.ListObjectsV2Output](err))
	}
	call.Access = []core.Access{{Action: "s3:ListBucket", Resources: []string{b.spec.ARN}, Context: listKeys(in)}}
	return core.Do(ctx, c.w.Core, call, func() (*s3.ListObjectsV2Output, error) { return b.list(in), nil })
}

// listKeys are the condition keys of a listing; a listing without prefix has none.
func listKeys(in *s3.ListObjectsV2Input) map[string][]string {
	keys := map[string][]string{}
	if in.Prefix != nil {
		keys["s3:prefix"] = []string{*in.Prefix}
	}
	return keys
}

func (b *bucket) list(in *s3.ListObjectsV2Input) *s3.ListObjectsV2Output {
	keys := b.keys(deref(in.Prefix))
	after := deref(in.StartAfter)
	if in.ContinuationToken != nil {
		after = strings.TrimPrefix(*in.ContinuationToken, "after:")
	}
	keys = keys[sort.SearchStrings(keys, after):]
	if len(keys) > 0 && keys[0] == after {
		keys = keys[1:]
	}
	size := maxKeys
	if in.MaxKeys != nil {
		size = min(size, int(*in.MaxKeys))
	}
	out := &s3.ListObjectsV2Output{
		Name: in.Bucket, Prefix: in.Prefix, StartAfter: in.StartAfter, ContinuationToken: in.ContinuationToken,
		MaxKeys: ptr(int32(size)), IsTruncated: ptr(false),
	}
	if len(keys) > size {
		keys = keys[:size]
		out.IsTruncated = ptr(size > 0)
		if size > 0 {
			out.NextContinuationToken = ptr("after:" + keys[size-1])
		}
	}
	for _, key := range keys {
		o := b.newest(key)
		out.Contents = append(out.Contents, s3types.Object{
			Key: ptr(key), ETag: ptr(o.etag), Size: ptr(int64(len(o.body))), LastModified: ptr(o.modified),
			StorageClass: s3types.ObjectStorageClassStandard,
		})
	}
	out.KeyCount = ptr(int32(len(keys)))
	return out
}

// DeleteObject deletes an object, or in a versioned bucket hides it behind a
// marker. Buckets are declared without it: the simulation refuses it then.
func (c *S3) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput,
	_ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	input := *in
	call := c.call("DeleteObject", true, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("DeleteObject", param{"deletion in this bucket", !b.spec.AllowDelete},
			param{"VersionId", in.VersionId != nil},
			param{"conditions", in.IfMatch != nil || in.IfMatchLastModifiedTime != nil || in.IfMatchSize != nil},
			param{"MFA", in.MFA != nil}, param{"BypassGovernanceRetention", in.BypassGovernanceRetention != nil})
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.DeleteObjectOutput](err))
	}
	call.Access = c.access(b, *in.Key, "DeleteObject", "")
	return core.Do(ctx, c.w.Core, call, func() (*s3.DeleteObjectOutput, error) {
		if !b.spec.Versioned {
			delete(b.objects, *in.Key)
			return &s3.DeleteObjectOutput{}, nil
		}
		marker := &object{deleted: true, modified: c.w.Now()}
		b.store(*in.Key, marker)
		return &s3.DeleteObjectOutput{DeleteMarker: ptr(true), VersionId: core.Optional(marker.version)}, nil
	})
}

// ObjectVersions are the bodies of all versions of an object, oldest first.
func (w *Services) ObjectVersions(bucket, key string) [][]byte {
	b := w.buckets[bucket]
	if b == nil {
		return nil
	}
	var all [][]byte
	for _, o := range b.objects[key] {
		if !o.deleted {
			all = append(all, slices.Clone(o.body))
		}
	}
	return all
}
