package backing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
)

// KeySpec declares a KMS key. Its material is derived from the world's seed.
type KeySpec struct {
	ID      string
	ARN     string
	Account string
	Region  string
	Usage   kmstypes.KeyUsageType // "" means ENCRYPT_DECRYPT
	Policy  *iam.Policy           // judged together with the caller's own policies
	Aliases []string              // "alias/name"
}

// key is a KMS key and its state.
type key struct {
	spec     KeySpec
	state    kmstypes.KeyState
	material []byte
}

// MacEntry is one MAC that KMS generated. It is for checkers.
type MacEntry struct {
	Time        time.Time
	Principal   *core.Principal
	KeyARN      string
	MessageHash string // SHA-256, in hex
}

// AddKey declares a key, enabled. A key declared twice is replaced by one of the
// same material.
func (w *Services) AddKey(spec KeySpec) {
	if spec.Usage == "" {
		spec.Usage = kmstypes.KeyUsageTypeEncryptDecrypt
	}
	material := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(spec.ARN), w.Seed))
	w.keys[spec.ARN] = &key{spec: spec, state: kmstypes.KeyStateEnabled, material: material[:]}
	for _, alias := range spec.Aliases {
		w.aliases[strings.TrimSuffix(spec.ARN, "key/"+spec.ID)+alias] = spec.ARN
	}
	w.DeclarePolicy(spec.ARN, spec.Policy)
}

// SetKeyState changes the state of a key: Enabled, Disabled or PendingDeletion.
func (w *Services) SetKeyState(arn string, state kmstypes.KeyState) {
	if k := w.keys[arn]; k != nil {
		k.state = state
	}
}

// MACs are all MACs generated so far, in order.
func (w *Services) MACs() []MacEntry { return w.macs }

// KMS is a client of KMS in one region. It models MACs; encryption happens only
// inside the services that use a key on behalf of their caller.
type KMS struct{ seat }

// KMS is a client for a principal.
func (w *Services) KMS(p *core.Principal, region string) *KMS { return &KMS{seat{w, p, region, "kms"}} }

// find resolves a key id, ARN or alias in the client's account and region.
func (c *KMS) find(id *string) (*key, error) {
	name := deref(id)
	arn := name
	if !strings.HasPrefix(name, "arn:") {
		kind := "key/"
		if strings.HasPrefix(name, "alias/") {
			kind = ""
		}
		arn = fmt.Sprintf("arn:%s:kms:%s:%s:%s%s", partitionOf(c.region), c.region, c.principal.Account, kind, name)
	}
	if target, ok := c.w.aliases[arn]; ok {
		arn = target
	}
	k := c.w.keys[arn]
	if k == nil || k.spec.Region != c.region {
		return nil, &kmstypes.NotFoundException{Message: ptr(fmt.Sprintf("Key '%s' does not exist", name))}
	}
	return k, nil
}

// maxMacMessage is the length of a message in bytes. Source: B:kms/GenerateMac.
const maxMacMessage = 4096

// mac checks what GenerateMac and VerifyMac have in common.
func (c *KMS) mac(id *string, message []byte, algorithm kmstypes.MacAlgorithmSpec) (*key, error) {
	switch {
	case deref(id) == "":
		return nil,
			core.Refusal("ValidationException",
				"1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must not be null")
	case len(message) == 0 || len(message) > maxMacMessage:
		return nil,
			core.Refusal("ValidationException",
				"1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length between 1 "+
					"and %d", maxMacMessage)
	case algorithm != kmstypes.MacAlgorithmSpecHmacSha256:
		return nil, unsupported("GenerateMac and VerifyMac", param{"MacAlgorithm " + string(algorithm), true})
	}
	return c.find(id)
}

// access is the permission for an operation with a MAC key.
func (c *KMS) access(k *key, operation string) core.Access {
	return core.Access{
		Action: "kms:" + operation, Resources: []string{k.spec.ARN},
		Context: map[string][]string{
			"kms:CallerAccount": {c.principal.Account},
			"kms:MacAlgorithm":  {string(kmstypes.MacAlgorithmSpecHmacSha256)},
		},
	}
}

// usable tells why a key cannot be used: its state or its usage.
// Source: KMS Developer Guide, "Key states of KMS keys".
func (k *key) usable(usage kmstypes.KeyUsageType) error {
	switch {
	case k.state == kmstypes.KeyStateDisabled:
		return &kmstypes.DisabledException{Message: ptr(k.spec.ARN + " is disabled.")}
	case k.state != kmstypes.KeyStateEnabled:
		return &kmstypes.KMSInvalidStateException{Message: ptr(fmt.Sprintf("%s is %s.", k.spec.ARN, k.state))}
	case k.spec.Usage != usage:
		return &kmstypes.InvalidKeyUsageException{Message: ptr(fmt.Sprintf("%s key usage is %s which is not valid for this "+
			"operation.", k.spec.ARN, k.spec.Usage))}
	}
	return nil
}

func (k *key) sum(message []byte) []byte {
	h := hmac.New(sha256.New, k.material)
	h.Write(message)
	return h.Sum(nil)
}

// GenerateMac is the HMAC of a message.
func (c *KMS) GenerateMac(ctx context.Context, in *kms.GenerateMacInput,
	_ ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	input := *in
	call := c.call("GenerateMac", false, &input)
	err := unsupported("GenerateMac", param{"DryRun", in.DryRun != nil}, param{"GrantTokens", in.GrantTokens != nil})
	var k *key
	if err == nil {
		k, err = c.mac(in.KeyId, in.Message, in.MacAlgorithm)
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*kms.GenerateMacOutput](err))
	}
	call.Access = []core.Access{c.access(k, "GenerateMac")}
	return core.Do(ctx, c.w.Core, call, func() (*kms.GenerateMacOutput, error) {
		if err := k.usable(kmstypes.KeyUsageTypeGenerateVerifyMac); err != nil {
			return nil, err
		}
		hash := sha256.Sum256(in.Message)
		c.w.macs = append(c.w.macs, MacEntry{c.w.Now(), c.principal, k.spec.ARN, hex.EncodeToString(hash[:])})
		return &kms.GenerateMacOutput{KeyId: ptr(k.spec.ARN), Mac: k.sum(in.Message), MacAlgorithm: in.MacAlgorithm}, nil
	})
}

// VerifyMac answers a MAC that is not of this key and message with
// KMSInvalidMacException, never with MacValid false.
func (c *KMS) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, _ ...func(*kms.Options)) (*kms.VerifyMacOutput,
	error) {
	input := *in
	call := c.call("VerifyMac", false, &input)
	err := unsupported("VerifyMac", param{"DryRun", in.DryRun != nil}, param{"GrantTokens", in.GrantTokens != nil})
	if n := len(in.Mac); err == nil && (n == 0 || n > maxMac) {
		err = core.Refusal("ValidationException",
			"1 validation error detected: Value at 'mac' failed to satisfy constraint: Member must have length between 1 and %d",
			maxMac)
	}
	var k *key
	if err == nil {
		k, err = c.mac(in.KeyId, in.Message, in.MacAlgorithm)
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*kms.VerifyMacOutput](err))
	}
	call.Access = []core.Access{c.access(k, "VerifyMac")}
	return core.Do(ctx, c.w.Core, call, func() (*kms.VerifyMacOutput, error) {
		if err := k.usable(kmstypes.KeyUsageTypeGenerateVerifyMac); err != nil {
			return nil, err
		}
		if !hmac.Equal(in.Mac, k.sum(in.Message)) {
			return nil, &kmstypes.KMSInvalidMacException{Message: ptr("The MAC is not valid for this message and key.")}
		}
		return &kms.VerifyMacOutput{KeyId: ptr(k.spec.ARN), MacAlgorithm: in.MacAlgorithm, MacValid: true}, nil
	})
}

// pair is the key pair of a key for signatures.
func (k *key) pair() *ecdsa.PrivateKey {
	order := new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(1))
	d := new(big.Int).SetBytes(k.material)
	d.Mod(d, order).Add(d, big.NewInt(1))
	pair, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, len(k.material))))
	if err != nil {
		panic(fmt.Sprintf("the key pair of %s: %v", k.spec.ARN, err))
	}
	return pair
}

// Sign signs a SHA-256 digest with ECDSA, always the same way, so that the same seed gives the same bytes.
// Source: B:kms/Sign.
func (c *KMS) Sign(ctx context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	input := *in
	call := c.call("Sign", false, &input)
	err := unsupported("Sign", param{"DryRun", in.DryRun != nil}, param{"GrantTokens", in.GrantTokens != nil},
		param{"MessageType " + string(in.MessageType), in.MessageType != kmstypes.MessageTypeDigest},
		param{"SigningAlgorithm " + string(in.SigningAlgorithm),
			in.SigningAlgorithm != kmstypes.SigningAlgorithmSpecEcdsaSha256})
	if err == nil && len(in.Message) != sha256.Size {
		err = core.Refusal("ValidationException", "Digest is invalid length for algorithm %s.", in.SigningAlgorithm)
	}
	var k *key
	if err == nil {
		k, err = c.find(in.KeyId)
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*kms.SignOutput](err))
	}
	call.Access = []core.Access{{
		Action: "kms:Sign", Resources: []string{k.spec.ARN},
		Context: map[string][]string{
			"kms:CallerAccount": {c.principal.Account}, "kms:MessageType": {string(in.MessageType)},
			"kms:SigningAlgorithm": {string(in.SigningAlgorithm)},
		},
	}}
	return core.Do(ctx, c.w.Core, call, func() (*kms.SignOutput, error) {
		if err := k.usable(kmstypes.KeyUsageTypeSignVerify); err != nil {
			return nil, err
		}
		signature, err := k.pair().Sign(nil, in.Message, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return &kms.SignOutput{KeyId: ptr(k.spec.ARN), Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
	})
}

// GetPublicKey gives the public half of a key for signatures. Source: B:kms/GetPublicKey.
func (c *KMS) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput,
	_ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	input := *in
	call := c.call("GetPublicKey", true, &input)
	err := unsupported("GetPublicKey", param{"GrantTokens", in.GrantTokens != nil})
	var k *key
	if err == nil {
		k, err = c.find(in.KeyId)
	}
	if err != nil {
		return core.Do(ctx, c.w.Core, call, core.Refused[*kms.GetPublicKeyOutput](err))
	}
	call.Access = []core.Access{{
		Action: "kms:GetPublicKey", Resources: []string{k.spec.ARN},
		Context: map[string][]string{"kms:CallerAccount": {c.principal.Account}},
	}}
	return core.Do(ctx, c.w.Core, call, func() (*kms.GetPublicKeyOutput, error) {
		if err := k.usable(kmstypes.KeyUsageTypeSignVerify); err != nil {
			return nil, err
		}
		return &kms.GetPublicKeyOutput{
			KeyId: ptr(k.spec.ARN), KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: k.spec.Usage,
			PublicKey: c.w.PublicKey(k.spec.ARN),
		}, nil
	})
}

// PublicKey is the public half of a key for signatures, as GetPublicKey gives it: DER of a SubjectPublicKeyInfo. It is
// nil for a key that is none, or of another use. It is for checkers.
func (w *Services) PublicKey(arn string) []byte {
	k := w.keys[arn]
	if k == nil || k.spec.Usage != kmstypes.KeyUsageTypeSignVerify {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(k.pair().Public())
	if err != nil {
		panic(fmt.Sprintf("the public key of %s: %v", arn, err))
	}
	return der
}

// maxMac is the length of a MAC in bytes. Source: B:kms/MacType.
const maxMac = 6144
