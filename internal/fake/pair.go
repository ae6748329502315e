package fake

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
)

// Pair is a key pair as the audit is signed with, the same one for the same name.
type Pair struct{ private *ecdsa.PrivateKey }

// NewPair makes the pair of a name.
func NewPair(name string) *Pair {
	seed := sha256.Sum256([]byte(name))
	seed[0] = 0 // below the order of the curve
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic(err)
	}
	return &Pair{private}
}

// Sign signs a SHA-256 digest, always the same way.
func (p *Pair) Sign(_ context.Context, digest []byte) ([]byte, error) {
	return p.private.Sign(nil, digest, crypto.SHA256)
}

// Public is the public key as KMS gives it.
func (p *Pair) Public() []byte {
	der, err := x509.MarshalPKIXPublicKey(p.private.Public())
	if err != nil {
		panic(err)
	}
	return der
}

// PublicKey is the public key itself.
func (p *Pair) PublicKey() *ecdsa.PublicKey { return &p.private.PublicKey }
