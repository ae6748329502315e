package backing_test

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world"
	"ec2patch/internal/sim/world/backing"
)

const (
	macKey  = "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-1111-1111-111111111111"
	dataKey = "arn:aws:kms:us-east-1:111111111111:key/22222222-2222-2222-2222-222222222222"
)

func addKeys(t *testing.T, w *world.World) {
	t.Helper()
	w.AddKey(backing.KeySpec{
		ID: "11111111-1111-1111-1111-111111111111", ARN: macKey, Account: hubAccount, Region: hubRegion,
		Usage: kmstypes.KeyUsageTypeGenerateVerifyMac, Policy: mustPolicy(t, keyPolicy), Aliases: []string{"alias/link"},
	})
	w.AddKey(backing.KeySpec{ID: "22222222-2222-2222-2222-222222222222", ARN: dataKey, Account: hubAccount,
		Region: hubRegion, Policy: mustPolicy(t, keyPolicy)})
}

func generate(t *testing.T, c *backing.KMS, key string, message []byte) (*kms.GenerateMacOutput, error) {
	t.Helper()
	return c.GenerateMac(t.Context(),
		&kms.GenerateMacInput{KeyId: &key, Message: message, MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256})
}

func verify(t *testing.T, c *backing.KMS, key string, message, mac []byte) error {
	t.Helper()
	out,
		err := c.VerifyMac(t.Context(),
		&kms.VerifyMacInput{KeyId: &key, Message: message, Mac: mac, MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256})
	if err == nil {
		require.True(t, out.MacValid)
	}
	return err
}

// Source: B:kms/GenerateMac, VerifyMac: a wrong MAC is KMSInvalidMacException.
func TestKMS_Mac(t *testing.T) {
	w, p := newHub()
	addKeys(t, w)
	c := w.KMS(p, hubRegion)
	out, err := generate(t, c, macKey, []byte("message"))
	require.NoError(t, err)
	require.Len(t, out.Mac, 32)
	for _, id := range []string{macKey, "11111111-1111-1111-1111-111111111111", "alias/link"} {
		require.NoError(t, verify(t, c, id, []byte("message"), out.Mac))
	}
	requireCode(t, "KMSInvalidMacException", verify(t, c, macKey, []byte("massage"), out.Mac))
	requireCode(t, "KMSInvalidMacException", verify(t, c, macKey, []byte("message"), out.Mac[:31]))
	require.Len(t, w.MACs(), 1)
	require.Equal(t, "ab530a13e45914982b79f9b7e3fba994cfd1f3fb22f71cea1afbf02b460c6d1d", w.MACs()[0].MessageHash)
	require.Equal(t, hubRole, w.MACs()[0].Principal.RoleARN)

	other, q := newHub()
	addKeys(t, other)
	same, err := generate(t, other.KMS(q, hubRegion), macKey, []byte("message"))
	require.NoError(t, err)
	require.Equal(t, out.Mac, same.Mac, "the same seed gives the same key")
}

// Source: B:kms errors; F-58.
func TestKMS_Refusals(t *testing.T) {
	tests := []struct {
		name, key string
		message   []byte
		state     kmstypes.KeyState
		want      string
	}{
		{name: "unknown key", key: macKey + "x", message: []byte("m"), want: "NotFoundException"},
		{name: "unknown alias", key: "alias/other", message: []byte("m"), want: "NotFoundException"},
		{name: "empty message", key: macKey, want: "ValidationException"},
		{name: "message too long", key: macKey, message: bytes.Repeat([]byte("x"), 4097), want: "ValidationException"},
		{name: "key for encryption", key: dataKey, message: []byte("m"), want: "InvalidKeyUsageException"},
		{name: "disabled", key: macKey, message: []byte("m"), state: kmstypes.KeyStateDisabled, want: "DisabledException"},
		{name: "pending deletion", key: macKey, message: []byte("m"), state: kmstypes.KeyStatePendingDeletion,
			want: "KMSInvalidStateException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, p := newHub()
			addKeys(t, w)
			if tt.state != "" {
				w.SetKeyState(macKey, tt.state)
			}
			_, err := generate(t, w.KMS(p, hubRegion), tt.key, tt.message)
			requireCode(t, tt.want, err)
			require.Empty(t, w.MACs())
		})
	}
	t.Run("another algorithm is not modelled", func(t *testing.T) {
		w, p := newHub()
		addKeys(t, w)
		_,
			err := w.KMS(p, hubRegion).GenerateMac(t.Context(),
			&kms.GenerateMacInput{KeyId: aws.String(macKey), Message: []byte("m"),
				MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha512})
		requireCode(t, "UnsupportedParameter", err)
	})
}

// The right to generate and the right to verify are separate, and the key's own
// policy has a say in both.
func TestKMS_Permissions(t *testing.T) {
	w, p := newJudgedHub(t, allow(`"kms:GenerateMac"`, `"`+macKey+`"`, `,"Condition":{"StringEquals":{"kms:MacAlgorithm":"HMAC_SHA_256"}}`))
	addKeys(t, w)
	c := w.KMS(p, hubRegion)
	out, err := generate(t, c, macKey, []byte("m"))
	require.NoError(t, err)
	requireCode(t, "AccessDeniedException", verify(t, c, macKey, []byte("m"), out.Mac))

	w.AddKey(backing.KeySpec{ID: "1", ARN: macKey, Account: hubAccount, Region: hubRegion,
		Usage: kmstypes.KeyUsageTypeGenerateVerifyMac})
	_, err = generate(t, c, macKey, []byte("m"))
	requireCode(t, "AccessDeniedException", err)
}
