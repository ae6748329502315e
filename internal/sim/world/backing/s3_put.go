package backing

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ec2patch/internal/sim/world/core"
)

// maxPut is the size of an object written at once, in bytes. Source: B:s3/PutObject.
const maxPut = 5 << 30

// PutObject writes an object.
func (c *S3) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput,
	error) {
	input := *in
	input.Body = nil // read here; a ledger must not hold a reader
	call := c.call("PutObject", true, &input)
	b, body, err := c.checkPut(in)
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.PutObjectOutput](err))
	}
	call.Access = c.access(b, *in.Key, "PutObject", "kms:GenerateDataKey")
	call.Access[0].Context = writeKeys(in.ServerSideEncryption, in.SSEKMSKeyId, in.IfNoneMatch, in.IfMatch)
	input.Metadata = maps.Clone(in.Metadata)
	return core.Do(ctx, c.w.Core, call, func() (*s3.PutObjectOutput, error) {
		if err := c.keyError(b); err != nil {
			return nil, err
		}
		if err := b.precondition(*in.Key, in.IfMatch, in.IfNoneMatch); err != nil {
			return nil, err
		}
		o := &object{
			body: body, etag: etag(body), contentType: contentType(in.ContentType),
			metadata: maps.Clone(in.Metadata), modified: c.w.Now(),
		}
		b.store(*in.Key, o)
		return &s3.PutObjectOutput{
			ETag: ptr(o.etag), VersionId: core.Optional(o.version), ChecksumSHA256: in.ChecksumSHA256,
			Size:                 ptr(int64(len(body))),
			ServerSideEncryption: b.encryption(), SSEKMSKeyId: core.Optional(b.spec.KMSKeyARN),
		}, nil
	})
}

// writeKeys are the condition keys of a write that names its encryption or a precondition.
func writeKeys(algorithm s3types.ServerSideEncryption, keyID, ifNoneMatch, ifMatch *string) map[string][]string {
	keys := map[string][]string{}
	set := func(name, v string) {
		if v != "" {
			keys[name] = []string{v}
		}
	}
	set("s3:x-amz-server-side-encryption", string(algorithm))
	set("s3:x-amz-server-side-encryption-aws-kms-key-id", deref(keyID))
	set("s3:if-none-match", deref(ifNoneMatch))
	set("s3:if-match", deref(ifMatch))
	return keys
}

func (c *S3) checkPut(in *s3.PutObjectInput) (*bucket, []byte, error) {
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err != nil {
		return nil, nil, err
	}
	err = unsupported("PutObject",
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
		param{"WriteOffsetBytes", in.WriteOffsetBytes != nil},
		param{"WebsiteRedirectLocation", in.WebsiteRedirectLocation != nil},
		otherChecksum(in.ChecksumAlgorithm, in.ChecksumCRC32, in.ChecksumCRC32C, in.ChecksumCRC64NVME, in.ChecksumSHA1,
			in.ChecksumSHA512, in.ChecksumMD5, in.ChecksumXXHASH128, in.ChecksumXXHASH3, in.ChecksumXXHASH64))
	if err != nil {
		return nil, nil, err
	}
	if err := b.checkEncryption(in.ServerSideEncryption, in.SSEKMSKeyId); err != nil {
		return nil, nil, err
	}
	body, err := readBody(in.Body, maxPut)
	if err != nil {
		return nil, nil, err
	}
	return b, body, checkBody(body, in.ContentLength, in.ChecksumSHA256, in.ContentMD5)
}

// otherChecksum is the use of a checksum that the simulation does not compute.
// The SDK's own default, CRC32 that it computes itself, needs nothing here.
func otherChecksum(algorithm s3types.ChecksumAlgorithm, sums ...*string) param {
	given := slices.ContainsFunc(sums, func(s *string) bool { return s != nil })
	known := algorithm == "" || algorithm == s3types.ChecksumAlgorithmSha256 || algorithm == s3types.ChecksumAlgorithmCrc32
	return param{"this checksum", given || !known}
}

// checkEncryption refuses an encryption other than the bucket's own.
func (b *bucket) checkEncryption(algorithm s3types.ServerSideEncryption, keyID *string) error {
	other := algorithm != "" && algorithm != b.encryption()
	if b.spec.KMSKeyARN == "" && algorithm == s3types.ServerSideEncryptionAes256 {
		other = false
	}
	foreign := keyID != nil && *keyID != b.spec.KMSKeyARN && !strings.HasSuffix(b.spec.KMSKeyARN, ":key/"+*keyID)
	return unsupported("S3", param{"an encryption other than the bucket's", other || foreign})
}

func (b *bucket) encryption() s3types.ServerSideEncryption {
	if b.spec.KMSKeyARN == "" {
		return s3types.ServerSideEncryptionAes256
	}
	return s3types.ServerSideEncryptionAwsKms
}

// readBody reads a request's body up to a limit.
func readBody(r io.Reader, limit int64) ([]byte, error) {
	if r == nil {
		return []byte{}, nil
	}
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, core.Refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")
	}
	return body, nil
}

// checkBody compares a body with what the request says about it.
func checkBody(body []byte, length *int64, sum256, sumMD5 *string) error {
	if length != nil && *length != int64(len(body)) {
		return core.Refusal("IncompleteBody",
			"You did not provide the number of bytes specified by the Content-Length HTTP header")
	}
	sha := sha256.Sum256(body)
	if sum256 != nil && *sum256 != base64.StdEncoding.EncodeToString(sha[:]) {
		return core.Refusal("BadDigest", "The SHA256 you specified did not match the calculated checksum.")
	}
	md := md5.Sum(body)
	if sumMD5 != nil && *sumMD5 != base64.StdEncoding.EncodeToString(md[:]) {
		return core.Refusal("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	return nil
}

// precondition checks If-Match and If-None-Match of a write. Source: S3 User
// Guide, "How to prevent object overwrites with conditional writes".
func (b *bucket) precondition(key string, ifMatch, ifNoneMatch *string) error {
	o := b.newest(key)
	switch {
	case ifNoneMatch != nil && *ifNoneMatch != "*":
		return core.Refusal("NotImplemented", "A header you provided implies functionality that is not implemented")
	case ifNoneMatch != nil && o != nil:
		return preconditionFailed()
	case ifMatch != nil && o == nil:
		return &s3types.NoSuchKey{Message: ptr("The specified key does not exist.")}
	case ifMatch != nil && *ifMatch != o.etag:
		return preconditionFailed()
	}
	return nil
}
