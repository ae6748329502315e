package backing_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
)

const (
	bucketName = "artefacts"
	bucketARN  = "arn:aws:s3:::artefacts"
)

func newBucket() (*world.World, *backing.S3) {
	w, p := newHub()
	w.AddBucket(backing.BucketSpec{Name: bucketName, Account: hubAccount, Region: hubRegion, Versioned: true})
	return w, w.S3(p, hubRegion)
}

func putObject(t *testing.T, c *backing.S3, key, body string) (*s3.PutObjectOutput, error) {
	t.Helper()
	return c.PutObject(t.Context(),
		&s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: strings.NewReader(body)})
}

func getObject(t *testing.T, c *backing.S3, key string) (string, error) {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

// Source: B:s3/PutObject, GetObject.
func TestS3_Versions(t *testing.T) {
	w, c := newBucket()
	first, err := putObject(t, c, "a", "one")
	require.NoError(t, err)
	second, err := putObject(t, c, "a", "two")
	require.NoError(t, err)
	require.NotEqual(t, *first.VersionId, *second.VersionId)
	got, err := getObject(t, c, "a")
	require.NoError(t, err)
	require.Equal(t, "two", got)
	old,
		err := c.GetObject(t.Context(),
		&s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a"), VersionId: first.VersionId})
	require.NoError(t, err)
	require.Equal(t, *first.ETag, *old.ETag)
	require.EqualValues(t, 3, *old.ContentLength)
	_,
		err = c.GetObject(t.Context(),
		&s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a"), VersionId: aws.String("v9")})
	requireCode(t, "NoSuchVersion", err)
	require.Equal(t, [][]byte{[]byte("one"), []byte("two")}, w.ObjectVersions(bucketName, "a"))
	body, ok := w.Object(bucketName, "a")
	require.True(t, ok)
	require.Equal(t, "two", string(body))

	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a")})
	require.NoError(t, err)
	require.Equal(t, *second.ETag, *head.ETag)
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("b")})
	var missing *s3types.NotFound
	require.ErrorAs(t, err, &missing)
	_, err = getObject(t, c, "b")
	var noKey *s3types.NoSuchKey
	require.ErrorAs(t, err, &noKey)
}

// Source: S3 User Guide, conditional writes; B:s3/PutObject.
func TestS3_PutObject(t *testing.T) {
	sum := sha256.Sum256([]byte("body"))
	good := base64.StdEncoding.EncodeToString(sum[:])
	tests := []struct {
		name string
		in   s3.PutObjectInput
		want string
	}{
		{"not there yet", s3.PutObjectInput{Key: aws.String("new"), IfNoneMatch: aws.String("*")}, ""},
		{"there already", s3.PutObjectInput{Key: aws.String("old"), IfNoneMatch: aws.String("*")}, "PreconditionFailed"},
		{"another etag", s3.PutObjectInput{Key: aws.String("old"), IfMatch: aws.String(`"x"`)}, "PreconditionFailed"},
		{"etag of what is not there", s3.PutObjectInput{Key: aws.String("new"), IfMatch: aws.String(`"x"`)}, "NoSuchKey"},
		{"checksum that fits", s3.PutObjectInput{Key: aws.String("new"), ChecksumSHA256: &good}, ""},
		{"checksum that does not fit", s3.PutObjectInput{Key: aws.String("new"), ChecksumSHA256: aws.String("AAAA")},
			"BadDigest"},
		{"length that does not fit", s3.PutObjectInput{Key: aws.String("new"), ContentLength: aws.Int64(9)},
			"IncompleteBody"},
		{"unknown bucket", s3.PutObjectInput{Key: aws.String("new"), Bucket: aws.String("other")}, "NoSuchBucket"},
		{"bucket of another owner", s3.PutObjectInput{Key: aws.String("new"),
			ExpectedBucketOwner: aws.String("222222222222")}, "AccessDenied"},
		{"key too long", s3.PutObjectInput{Key: aws.String(strings.Repeat("x", 1025))}, "KeyTooLongError"},
		{"access list", s3.PutObjectInput{Key: aws.String("new"), ACL: s3types.ObjectCannedACLPublicRead},
			"UnsupportedParameter"},
		{"foreign key", s3.PutObjectInput{Key: aws.String("new"), ServerSideEncryption: s3types.ServerSideEncryptionAwsKms,
			SSEKMSKeyId: aws.String(dataKey)}, "UnsupportedParameter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, c := newBucket()
			_, err := putObject(t, c, "old", "x")
			require.NoError(t, err)
			in := tt.in
			in.Body = strings.NewReader("body")
			if in.Bucket == nil {
				in.Bucket = aws.String(bucketName)
			}
			_, err = c.PutObject(t.Context(), &in)
			if tt.want == "" {
				require.NoError(t, err)
				require.Len(t, w.Objects(bucketName, ""), 2)
				return
			}
			requireCode(t, tt.want, err)
			require.Equal(t, []string{"old"}, w.Objects(bucketName, ""))
		})
	}
	t.Run("ranges are not modelled", func(t *testing.T) {
		_, c := newBucket()
		_,
			err := c.GetObject(t.Context(),
			&s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a"), Range: aws.String("bytes=0-1")})
		requireCode(t, "UnsupportedParameter", err)
	})
}

// F-53: the put succeeds, its answer is lost; a conditional put then meets its own object.
func TestS3_Faults(t *testing.T) {
	w, c := newBucket()
	faults := newScript()
	faults.after = map[string][]error{"s3:PutObject": {lost(), lost()}}
	w.Faults = faults
	_, err := putObject(t, c, "a", "body")
	require.NoError(t, err)
	require.Len(t, w.ObjectVersions(bucketName, "a"), 3, "each attempt sends the whole body and makes a version")

	faults.after = map[string][]error{"s3:PutObject": {lost()}}
	_,
		err = c.PutObject(t.Context(),
		&s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("b"), Body: strings.NewReader("x"),
			IfNoneMatch: aws.String("*")})
	requireCode(t, "PreconditionFailed", err)

	faults.arriving = 2
	_, err = getObject(t, c, "a")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	w.PlaceObject(bucketName, "a", nil)
	_, err = getObject(t, c, "a")
	requireCode(t, "NoSuchKey", err)
	w.PlaceObject(bucketName, "a", []byte("tampered"))
	body, ok := w.Object(bucketName, "a")
	require.True(t, ok)
	require.Equal(t, "tampered", string(body))
}

// Source: B:s3/ListObjectsV2: pages of 1,000 in the order of UTF-8 bytes.
func TestS3_ListObjectsV2(t *testing.T) {
	_, c := newBucket()
	for i := range 1003 {
		_, err := putObject(t, c, fmt.Sprintf("runs/%04d", i), "x")
		require.NoError(t, err)
	}
	_, err := putObject(t, c, "other", "x")
	require.NoError(t, err)
	in := &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: aws.String("runs/")}
	first, err := c.ListObjectsV2(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, first.Contents, 1000)
	require.True(t, *first.IsTruncated)
	in.ContinuationToken = first.NextContinuationToken
	second, err := c.ListObjectsV2(t.Context(), in)
	require.NoError(t, err)
	require.False(t, *second.IsTruncated)
	require.Equal(t, "runs/1000", *second.Contents[0].Key)
	require.EqualValues(t, 3, *second.KeyCount)
	after,
		err := c.ListObjectsV2(t.Context(),
		&s3.ListObjectsV2Input{Bucket: aws.String(bucketName), StartAfter: aws.String("runs/1001"), MaxKeys: aws.Int32(5)})
	require.NoError(t, err)
	require.Len(t, after.Contents, 1)
}

func TestS3_DeleteObject(t *testing.T) {
	_, c := newBucket()
	_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a")})
	requireCode(t, "UnsupportedParameter", err)
	w, p := newHub()
	w.AddBucket(backing.BucketSpec{Name: bucketName, Account: hubAccount, Region: hubRegion, Versioned: true,
		AllowDelete: true})
	c = w.S3(p, hubRegion)
	_, err = putObject(t, c, "a", "x")
	require.NoError(t, err)
	out, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("a")})
	require.NoError(t, err)
	require.True(t, *out.DeleteMarker)
	_, err = getObject(t, c, "a")
	requireCode(t, "NoSuchKey", err)
	require.Len(t, w.ObjectVersions(bucketName, "a"), 1)
}

// Source: S3 User Guide, multipart upload limits.
func TestS3_Multipart(t *testing.T) {
	w, c := newBucket()
	bucket, key := aws.String(bucketName), aws.String("big")
	begun, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	require.NoError(t, err)
	send := func(n int32, body []byte) s3types.CompletedPart {
		out,
			err := c.UploadPart(t.Context(),
			&s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: begun.UploadId, PartNumber: &n, Body: bytes.NewReader(body)})
		require.NoError(t, err)
		return s3types.CompletedPart{PartNumber: &n, ETag: out.ETag}
	}
	finish := func(parts ...s3types.CompletedPart) error {
		_, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: bucket, Key: key, UploadId: begun.UploadId, MultipartUpload: &s3types.CompletedMultipartUpload{Parts: parts},
		})
		return err
	}
	large := bytes.Repeat([]byte("x"), 5<<20)
	one, two, small := send(1, large), send(2, []byte("end")), send(3, []byte("y"))
	requireCode(t, "EntityTooSmall", finish(one, two, small))
	requireCode(t, "InvalidPartOrder", finish(two, one))
	requireCode(t, "InvalidPart", finish(one, s3types.CompletedPart{PartNumber: aws.Int32(2), ETag: one.ETag}))
	requireCode(t, "MalformedXML", finish())
	require.Empty(t, w.Objects(bucketName, ""))
	require.NoError(t, finish(one, two))
	body, ok := w.Object(bucketName, "big")
	require.True(t, ok)
	require.Len(t, body, 5<<20+3)
	requireCode(t, "NoSuchUpload", finish(one, two))

	begun, err = c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	require.NoError(t, err)
	require.Equal(t, 1, w.OpenUploads(bucketName))
	_,
		err = c.AbortMultipartUpload(t.Context(),
		&s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: begun.UploadId})
	require.NoError(t, err)
	require.Zero(t, w.OpenUploads(bucketName))
}

// Source: B:s3/GetObject: without s3:ListBucket a missing key is AccessDenied.
// Source: KMS Developer Guide: the caller needs the bucket's key through S3.
func TestS3_Permissions(t *testing.T) {
	object := `{"Sid":"Object","Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"` + bucketARN + `/runs/*"}`
	listing := `{"Sid":"List","Effect":"Allow","Action":"s3:ListBucket","Resource":"` + bucketARN + `","Condition":{"StringLike":{"s3:prefix":"runs/*"}}}`
	key := `{"Sid":"Key","Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"` + dataKey +
		`","Condition":{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"},"StringLike":{"kms:EncryptionContext:aws:s3:arn":"` + bucketARN + `/runs/*"}}}`
	client := func(t *testing.T, statements ...string) (*world.World, *backing.S3) {
		w, p := newJudgedHub(t, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
		addKeys(t, w)
		w.AddBucket(backing.BucketSpec{
			Name: bucketName, Account: hubAccount, Region: hubRegion, KMSKeyARN: dataKey,
			Policy: mustPolicy(t, `{"Version":"2012-10-17","Statement":[{"Sid":"NoSecrets","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"`+bucketARN+`/runs/secret"}]}`),
		})
		return w, w.S3(p, hubRegion)
	}
	w, c := client(t, object, listing, key)
	_, err := putObject(t, c, "runs/a", "x")
	require.NoError(t, err)
	_, err = getObject(t, c, "runs/a")
	require.NoError(t, err)
	_, err = getObject(t, c, "runs/missing")
	requireCode(t, "NoSuchKey", err)
	_, err = getObject(t, c, "other")
	requireCode(t, "AccessDenied", err)
	_, err = getObject(t, c, "runs/secret")
	requireCode(t, "AccessDenied", err)
	_,
		err = c.ListObjectsV2(t.Context(),
		&s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: aws.String("runs/x")})
	require.NoError(t, err)
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
	requireCode(t, "AccessDenied", err)
	w.SetKeyState(dataKey, kmstypes.KeyStateDisabled)
	_, err = getObject(t, c, "runs/a")
	requireCode(t, "KMS.DisabledException", err)

	_, c = client(t, object, key)
	_, err = getObject(t, c, "runs/missing")
	requireCode(t, "AccessDenied", err)
	_, c = client(t, object, listing)
	_, err = putObject(t, c, "runs/a", "x")
	requireCode(t, "AccessDenied", err)
}
