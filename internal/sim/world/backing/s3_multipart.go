package backing

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ec2patch/internal/sim/world/core"
)

// upload is a multipart upload under way.
type upload struct {
	key         string
	contentType string
	metadata    map[string]string
	parts       map[int32][]byte
}

// Limits of a multipart upload. Source: S3 User Guide, "Amazon S3 multipart upload limits".
const (
	minPart    = 5 << 20 // except the last one
	maxPart    = 5 << 30
	maxPartNum = 10_000
)

func noSuchUpload() error {
	return &s3types.NoSuchUpload{Message: ptr("The specified multipart upload does not exist.")}
}

// CreateMultipartUpload begins an upload in parts.
func (c *S3) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput,
	_ ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	input := *in
	call := c.call("CreateMultipartUpload", true, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("CreateMultipartUpload",
			param{"ACL", in.ACL != "" || in.GrantFullControl != nil || in.GrantRead != nil || in.GrantReadACP != nil ||
				in.GrantWriteACP != nil},
			param{"object lock", in.ObjectLockMode != "" || in.ObjectLockLegalHoldStatus != "" ||
				in.ObjectLockRetainUntilDate != nil ||
				in.ObjectLockEventHold != "" || in.ObjectLockEventHoldDurationDays != nil ||
				in.ObjectLockEventHoldDurationYears != nil},
			param{"Tagging", in.Tagging != nil},
			param{"StorageClass", in.StorageClass != "" && in.StorageClass != s3types.StorageClassStandard},
			param{"SSECustomerKey", in.SSECustomerKey != nil || in.SSECustomerAlgorithm != nil},
			param{"SSEKMSEncryptionContext", in.SSEKMSEncryptionContext != nil},
			param{"WebsiteRedirectLocation", in.WebsiteRedirectLocation != nil}, otherChecksum(in.ChecksumAlgorithm))
	}
	if err == nil {
		err = b.checkEncryption(in.ServerSideEncryption, in.SSEKMSKeyId)
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.CreateMultipartUploadOutput](err))
	}
	call.Access = c.access(b, *in.Key, "PutObject", "kms:GenerateDataKey")
	call.Access[0].Context = writeKeys(in.ServerSideEncryption, in.SSEKMSKeyId, nil, nil)
	return core.Do(ctx, c.w.Core, call, func() (*s3.CreateMultipartUploadOutput, error) {
		if err := c.keyError(b); err != nil {
			return nil, err
		}
		b.serial++
		id := fmt.Sprintf("upload-%08d", b.serial)
		b.uploads[id] = &upload{*in.Key, contentType(in.ContentType), maps.Clone(in.Metadata), map[int32][]byte{}}
		return &s3.CreateMultipartUploadOutput{Bucket: in.Bucket, Key: in.Key, UploadId: ptr(id),
			ServerSideEncryption: b.encryption()}, nil
	})
}

// UploadPart sends one part; a part sent twice is replaced. With an encrypted
// bucket it needs kms:GenerateDataKey and kms:Decrypt. Source: B:s3/UploadPart.
func (c *S3) UploadPart(ctx context.Context, in *s3.UploadPartInput, _ ...func(*s3.Options)) (*s3.UploadPartOutput,
	error) {
	input := *in
	input.Body = nil
	call := c.call("UploadPart", true, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("UploadPart", param{"SSECustomerKey", in.SSECustomerKey != nil || in.SSECustomerAlgorithm != nil},
			otherChecksum(in.ChecksumAlgorithm, in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME, in.ChecksumSHA1,
				in.ChecksumSHA512, in.ChecksumMD5, in.ChecksumXXHASH128, in.ChecksumXXHASH3, in.ChecksumXXHASH64))
	}
	if n := deref(in.PartNumber); err == nil && (n < 1 || n > maxPartNum) {
		err = core.Refusal("InvalidArgument", "Part number must be an integer between 1 and %d, inclusive", maxPartNum)
	}
	var body []byte
	if err == nil {
		body, err = readBody(in.Body, maxPart)
	}
	if err == nil {
		err = checkBody(body, in.ContentLength, in.ChecksumSHA256, in.ContentMD5)
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.UploadPartOutput](err))
	}
	call.Access = c.partAccess(b, *in.Key)
	return core.Do(ctx, c.w.Core, call, func() (*s3.UploadPartOutput, error) {
		u := b.uploads[deref(in.UploadId)]
		if u == nil || u.key != *in.Key {
			return nil, noSuchUpload()
		}
		u.parts[*in.PartNumber] = body
		return &s3.UploadPartOutput{ETag: ptr(etag(body)), ChecksumSHA256: in.ChecksumSHA256,
			ServerSideEncryption: b.encryption()}, nil
	})
}

// partAccess is the permission to send and join parts.
func (c *S3) partAccess(b *bucket, key string) []core.Access {
	all := c.access(b, key, "PutObject", "kms:GenerateDataKey")
	if b.spec.KMSKeyARN != "" {
		all = append(all, c.access(b, key, "PutObject", "kms:Decrypt")[1])
	}
	return all
}

// CompleteMultipartUpload joins the parts into an object.
func (c *S3) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput,
	_ ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	input := *in
	call := c.call("CompleteMultipartUpload", true, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("CompleteMultipartUpload",
			param{"SSECustomerKey", in.SSECustomerKey != nil || in.SSECustomerAlgorithm != nil},
			param{"MpuObjectSize", in.MpuObjectSize != nil}, param{"ChecksumType", in.ChecksumType != ""},
			param{"ChecksumSHA256", in.ChecksumSHA256 != nil},
			otherChecksum("", in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME, in.ChecksumSHA1,
				in.ChecksumSHA512, in.ChecksumMD5, in.ChecksumXXHASH128, in.ChecksumXXHASH3, in.ChecksumXXHASH64))
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.CompleteMultipartUploadOutput](err))
	}
	call.Access = c.partAccess(b, *in.Key)
	call.Access[0].Context = writeKeys("", nil, in.IfNoneMatch, in.IfMatch)
	return core.Do(ctx, c.w.Core, call, func() (*s3.CompleteMultipartUploadOutput, error) {
		if err := c.keyError(b); err != nil {
			return nil, err
		}
		u := b.uploads[deref(in.UploadId)]
		if u == nil || u.key != *in.Key {
			return nil, noSuchUpload()
		}
		o, err := u.join(in.MultipartUpload)
		if err != nil {
			return nil, err
		}
		if err := b.precondition(*in.Key, in.IfMatch, in.IfNoneMatch); err != nil {
			return nil, err
		}
		o.modified = c.w.Now()
		b.store(*in.Key, o)
		delete(b.uploads, *in.UploadId)
		return &s3.CompleteMultipartUploadOutput{
			Bucket: in.Bucket, Key: in.Key, ETag: ptr(o.etag), VersionId: core.Optional(o.version),
			ServerSideEncryption: b.encryption(),
		}, nil
	})
}

// join puts the parts together in the order that the request lists them.
func (u *upload) join(list *s3types.CompletedMultipartUpload) (*object, error) {
	if list == nil || len(list.Parts) == 0 {
		return nil,
			core.Refusal("MalformedXML",
				"The XML you provided was not well-formed or did not validate against our published schema")
	}
	ascending := func(a, b s3types.CompletedPart) int { return cmp.Compare(deref(a.PartNumber), deref(b.PartNumber)) }
	if !slices.IsSortedFunc(list.Parts, ascending) {
		return nil,
			core.Refusal("InvalidPartOrder",
				"The list of parts was not in ascending order. Parts must be ordered by part number.")
	}
	o := &object{contentType: u.contentType, metadata: u.metadata}
	sums := md5.New()
	for i, p := range list.Parts {
		part, ok := u.parts[deref(p.PartNumber)]
		if !ok || deref(p.ETag) != etag(part) {
			return nil, core.Refusal("InvalidPart", "One or more of the specified parts could not be found.")
		}
		if i < len(list.Parts)-1 && len(part) < minPart {
			return nil, core.Refusal("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		o.body = append(o.body, part...)
		sum := md5.Sum(part)
		sums.Write(sum[:])
	}
	o.etag = fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(sums.Sum(nil)), len(list.Parts))
	return o, nil
}

// AbortMultipartUpload throws the parts of an upload away.
func (c *S3) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput,
	_ ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	input := *in
	call := c.call("AbortMultipartUpload", true, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("AbortMultipartUpload", param{"IfMatchInitiatedTime", in.IfMatchInitiatedTime != nil})
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.AbortMultipartUploadOutput](err))
	}
	call.Access = c.access(b, *in.Key, "AbortMultipartUpload", "")
	return core.Do(ctx, c.w.Core, call, func() (*s3.AbortMultipartUploadOutput, error) {
		u := b.uploads[deref(in.UploadId)]
		if u == nil || u.key != *in.Key {
			return nil, noSuchUpload()
		}
		delete(b.uploads, *in.UploadId)
		return &s3.AbortMultipartUploadOutput{}, nil
	})
}

// OpenUploads is how many multipart uploads of a bucket were neither completed
// nor aborted. It is for checkers.
func (w *Services) OpenUploads(bucket string) int {
	if b := w.buckets[bucket]; b != nil {
		return len(b.uploads)
	}
	return 0
}
