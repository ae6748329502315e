package backing

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
)

// BucketSpec declares a bucket. With a key, every object is encrypted with it
// and the caller needs the key's permissions through S3.
type BucketSpec struct {
	Name      string
	ARN       string // "" means arn:aws:s3:::Name
	Account   string
	Region    string
	KMSKeyARN string
	BucketKey bool // the encryption context is then the bucket, not the object
	Policy    *iam.Policy
	Versioned bool

	// AllowDelete lets DeleteObject through; otherwise the simulation refuses it.
	AllowDelete bool
}

type bucket struct {
	spec    BucketSpec
	objects map[string][]*object // versions by key, oldest first; nil body marks a deletion
	uploads map[string]*upload
	serial  int
}

// object is one version of one object; it is never written to.
type object struct {
	body        []byte
	deleted     bool
	version     string
	etag        string
	contentType string
	metadata    map[string]string
	modified    time.Time
}

// AddBucket declares a bucket. A bucket declared twice is replaced and empty.
func (w *Services) AddBucket(spec BucketSpec) {
	if spec.ARN == "" {
		spec.ARN = "arn:" + partitionOf(spec.Region) + ":s3:::" + spec.Name
	}
	w.buckets[spec.Name] = &bucket{spec: spec, objects: map[string][]*object{}, uploads: map[string]*upload{}}
	w.DeclarePolicy(spec.ARN, spec.Policy)
}

// Object is a copy of the newest version of an object, for checkers and for
// writing artefacts to disk.
func (w *Services) Object(bucket, key string) ([]byte, bool) {
	b := w.buckets[bucket]
	if b == nil {
		return nil, false
	}
	o := b.newest(key)
	if o == nil {
		return nil, false
	}
	return bytes.Clone(o.body), true
}

// Objects are the keys with a prefix, in order.
func (w *Services) Objects(bucket, prefix string) []string {
	b := w.buckets[bucket]
	if b == nil {
		return nil
	}
	return b.keys(prefix)
}

// PlaceObject writes an object without a call: what was there before the run,
// or what somebody else did to it. A nil body removes the object.
func (w *Services) PlaceObject(bucket, key string, body []byte) {
	b := w.buckets[bucket]
	if b == nil {
		return
	}
	if body == nil {
		delete(b.objects, key)
		return
	}
	b.store(key, &object{body: bytes.Clone(body), etag: etag(body), modified: w.Now()})
}

func (b *bucket) newest(key string) *object {
	versions := b.objects[key]
	if len(versions) == 0 || versions[len(versions)-1].deleted {
		return nil
	}
	return versions[len(versions)-1]
}

func (b *bucket) keys(prefix string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if strings.HasPrefix(key, prefix) && b.newest(key) != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

func (b *bucket) store(key string, o *object) {
	if !b.spec.Versioned {
		b.objects[key] = []*object{o}
		return
	}
	b.serial++
	o.version = fmt.Sprintf("v%08d", b.serial)
	b.objects[key] = append(b.objects[key], o)
}

// S3 is a client of S3 in one region. Reads see every write at once. It models
// whole objects; not ranges, ACLs, tags, locks or customers' keys.
type S3 struct{ seat }

// S3 is a client for a principal.
func (w *Services) S3(p *core.Principal, region string) *S3 { return &S3{seat{w, p, region, "s3"}} }

// maxObjectKey is the length of a key in bytes. Source: S3 User Guide, "Naming Amazon S3 objects".
const maxObjectKey = 1024

// bucket finds a bucket and checks the key of an object in it.
func (c *S3) bucket(name, key *string, owner *string) (*bucket, error) {
	b := c.w.buckets[deref(name)]
	switch {
	case b == nil:
		return nil, &s3types.NoSuchBucket{Message: ptr("The specified bucket does not exist")}
	case b.spec.Region != c.region:
		return nil,
			core.Refusal("PermanentRedirect",
				"The bucket you are attempting to access must be addressed using the specified endpoint: %s", b.spec.Region)
	case owner != nil && *owner != b.spec.Account:
		return nil, core.Refusal("AccessDenied", "Access Denied")
	}
	if key == nil {
		return b, nil
	}
	if *key == "" || len(*key) > maxObjectKey || !utf8.ValidString(*key) {
		return nil, core.Refusal("KeyTooLongError", "Your key is empty, too long or not UTF-8")
	}
	return b, nil
}

func (b *bucket) objectARN(key string) string { return b.spec.ARN + "/" + key }

// access is the permission for an action on an object, and on the bucket's key
// on the caller's behalf.
func (c *S3) access(b *bucket, key, action, keyAction string) []core.Access {
	all := []core.Access{{Action: "s3:" + action, Resources: []string{b.objectARN(key)}}}
	if b.spec.KMSKeyARN == "" || keyAction == "" {
		return all
	}
	of := b.objectARN(key)
	if b.spec.BucketKey {
		of = b.spec.ARN
	}
	return append(all, keyUse(c.seat, b.spec.KMSKeyARN, keyAction, map[string]string{"aws:s3:arn": of}))
}

// keyError is S3's answer when the bucket's key cannot be used.
func (c *S3) keyError(b *bucket) error {
	if b.spec.KMSKeyARN == "" {
		return nil
	}
	code, text := c.w.keyTrouble(b.spec.KMSKeyARN)
	if code == "" {
		return nil
	}
	return core.Refusal("KMS."+code, "%s", text)
}

// missing is S3's answer to a read of a key that is not there: without the right
// to list the bucket, the caller does not learn that. Source: B:s3/GetObject.
func (c *S3) missing(call *core.Call, b *bucket, key string, notFound error) error {
	list := core.Access{Action: "s3:ListBucket", Resources: []string{b.spec.ARN},
		Context: map[string][]string{"s3:prefix": {key}}}
	if c.w.Judge(call, list) != nil {
		return core.Refusal("AccessDenied", "Access Denied")
	}
	return notFound
}

// GetObject reads an object.
func (c *S3) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput,
	error) {
	input := *in
	call := c.call("GetObject", false, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("GetObject", param{"Range", in.Range != nil}, param{"PartNumber", in.PartNumber != nil},
			param{"If-Modified-Since", in.IfModifiedSince != nil || in.IfUnmodifiedSince != nil},
			param{"If-None-Match", in.IfNoneMatch != nil},
			param{"SSECustomerKey", in.SSECustomerKey != nil || in.SSECustomerAlgorithm != nil},
			param{"response overrides", in.ResponseCacheControl != nil || in.ResponseContentDisposition != nil ||
				in.ResponseContentEncoding != nil || in.ResponseContentLanguage != nil || in.ResponseContentType != nil ||
				in.ResponseExpires != nil})
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.GetObjectOutput](err))
	}
	call.Access = c.readAccess(b, *in.Key, in.VersionId)
	return core.Do(ctx, c.w.Core, call, func() (*s3.GetObjectOutput, error) {
		o, err := c.read(call, b, *in.Key, in.VersionId, in.IfMatch)
		if err != nil {
			return nil, err
		}
		return &s3.GetObjectOutput{
			Body: c.body(call, o.body), ContentLength: ptr(int64(len(o.body))), ContentType: ptr(o.contentType),
			ETag: ptr(o.etag), LastModified: ptr(o.modified), Metadata: maps.Clone(o.metadata),
			VersionId: core.Optional(o.version), ServerSideEncryption: b.encryption(),
			SSEKMSKeyId: core.Optional(b.spec.KMSKeyARN),
		}, nil
	})
}

func (c *S3) readAccess(b *bucket, key string, version *string) []core.Access {
	if version != nil {
		return c.access(b, key, "GetObjectVersion", "kms:Decrypt")
	}
	return c.access(b, key, "GetObject", "kms:Decrypt")
}

// read finds the version of an object that a request means.
func (c *S3) read(call *core.Call, b *bucket, key string, version, ifMatch *string) (*object, error) {
	o := b.newest(key)
	if version != nil {
		i := slices.IndexFunc(b.objects[key], func(o *object) bool { return o.version == *version && !o.deleted })
		if i < 0 {
			return nil, core.Refusal("NoSuchVersion", "The specified version does not exist.")
		}
		o = b.objects[key][i]
	}
	if o == nil {
		return nil, c.missing(call, b, key, &s3types.NoSuchKey{Message: ptr("The specified key does not exist.")})
	}
	if err := c.keyError(b); err != nil {
		return nil, err
	}
	if ifMatch != nil && *ifMatch != o.etag && *ifMatch != "*" {
		return nil, preconditionFailed()
	}
	return o, nil
}

// body is the stream of an object, which the faults may cut short.
func (c *S3) body(call *core.Call, body []byte) io.ReadCloser {
	arriving := len(body)
	if f, ok := c.w.Faults.(BrokenBodies); ok {
		arriving = min(arriving, max(0, f.Arriving(call, len(body))))
	}
	if arriving == len(body) {
		return io.NopCloser(bytes.NewReader(body))
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(body[:arriving]), brokenReader{}))
}

// brokenReader is a connection that breaks in the middle of a body.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// HeadObject tells about an object.
func (c *S3) HeadObject(ctx context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput,
	error) {
	input := *in
	call := c.call("HeadObject", false, &input)
	b, err := c.bucket(in.Bucket, ptr(deref(in.Key)), in.ExpectedBucketOwner)
	if err == nil {
		err = unsupported("HeadObject", param{"Range", in.Range != nil}, param{"PartNumber", in.PartNumber != nil},
			param{"conditions", in.IfModifiedSince != nil || in.IfUnmodifiedSince != nil || in.IfNoneMatch != nil},
			param{"SSECustomerKey", in.SSECustomerKey != nil || in.SSECustomerAlgorithm != nil},
			param{"response overrides", in.ResponseCacheControl != nil || in.ResponseContentDisposition != nil ||
				in.ResponseContentEncoding != nil || in.ResponseContentLanguage != nil || in.ResponseContentType != nil ||
				in.ResponseExpires != nil})
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*s3.HeadObjectOutput](err))
	}
	call.Access = c.readAccess(b, *in.Key, in.VersionId)
	return core.Do(ctx, c.w.Core, call, func() (*s3.HeadObjectOutput, error) {
		if b.newest(*in.Key) == nil && in.VersionId == nil {
			return nil, c.missing(call, b, *in.Key, &s3types.NotFound{Message: ptr("Not Found")})
		}
		o, err := c.read(call, b, *in.Key, in.VersionId, in.IfMatch)
		if err != nil {
			return nil, err
		}
		return &s3.HeadObjectOutput{
			ContentLength: ptr(int64(len(o.body))), ContentType: ptr(o.contentType), ETag: ptr(o.etag),
			LastModified: ptr(o.modified), Metadata: maps.Clone(o.metadata), VersionId: core.Optional(o.version),
			ServerSideEncryption: b.encryption(), SSEKMSKeyId: core.Optional(b.spec.KMSKeyARN),
		}, nil
	})
}

func preconditionFailed() error {
	return core.Refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

// etag is a tag of the content. For objects encrypted with KMS the real one is
// not the MD5 of the body, and nobody may take it for that.
func etag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func contentType(given *string) string {
	if given == nil {
		return "binary/octet-stream"
	}
	return *given
}
