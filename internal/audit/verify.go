package audit

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// Keys are the public keys of writers. What a writer without one has signed cannot be checked.
type Keys map[store.Writer]*ecdsa.PublicKey

// ParseKey reads a public key as KMS gives it: DER of a SubjectPublicKeyInfo.
func ParseKey(der []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, the audit is signed with ECDSA", parsed)
	}
	return key, nil
}

// Fingerprint names a public key: the SHA-256 of its DER.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Verdict is what was found of a trail.
type Verdict struct {
	Violations []string `json:"violations"` // what cannot be if nobody has touched anything
	Proven     []string `json:"proven"`
	Unproven   []string `json:"unproven"`
}

// verifier collects a verdict.
type verifier struct {
	*Trail
	Verdict
	keys   Keys
	bound  map[string]int // up to which entry a signed list binds a chain
	intact map[string]int // up to which entry a chain follows by its hashes
}

// Verify checks hashes, gaps, signatures and what is bound, and says what is proven by it and what is not.
func (t *Trail) Verify(keys Keys) Verdict {
	v := &verifier{Trail: t, keys: keys, bound: map[string]int{}, intact: map[string]int{}}
	v.Violations, v.Proven, v.Unproven = []string{}, []string{}, []string{}
	for _, name := range t.Names() {
		v.links(name)
	}
	v.frozen()
	v.bindings()
	for _, name := range t.Names() {
		v.signatures(name)
	}
	return v.Verdict
}

func (v *verifier) wrong(format string, args ...any) {
	v.Violations = append(v.Violations, fmt.Sprintf(format, args...))
}

func (v *verifier) open(format string, args ...any) {
	v.Unproven = append(v.Unproven, fmt.Sprintf(format, args...))
}

// links checks that each entry is the next of its chain.
func (v *verifier) links(name string) {
	var end store.ChainHead
	for _, e := range v.Chains[name] {
		switch {
		case e.Chain != name:
			v.wrong("%s: an entry says that it belongs to %s", name, e.Chain)
		case e.Seq != end.Seq+1:
			v.wrong("%s: entry %d follows entry %d", name, e.Seq, end.Seq)
		case e.Prev != end.Hash:
			v.wrong("%s: entry %d does not follow what stands before it", name, e.Seq)
		case !e.Intact():
			v.wrong("%s: entry %d was changed", name, e.Seq)
		default:
			end = store.ChainHead{Seq: e.Seq, Hash: e.Hash}
			continue
		}
		break
	}
	v.intact[name] = end.Seq
	if store.WriterOf(name) == "" && !v.Former {
		v.wrong("%s: nobody in this release writes to it", name)
	}
}

// genuine tells whether the entry has the signature of its writer.
func (v *verifier) genuine(e store.AuditEntry) bool {
	key, digest := v.keys[store.WriterOf(e.Chain)], []byte(nil)
	if d, err := e.Digest(); err == nil {
		digest = d
	}
	return key != nil && len(e.Signature) > 0 && digest != nil && e.Seq <= v.intact[e.Chain] &&
		ecdsa.VerifyASN1(key, digest, e.Signature)
}

// frozen compares the plan with what the entry says that froze it: the account-regions whose chains are looked at are
// those of the plan.
func (v *verifier) frozen() {
	said := ""
	for _, e := range v.Entries() {
		if e.Action == "PlanFrozen" {
			said = e.Binds
		}
	}
	switch {
	case said == "":
	case v.plan == nil:
		v.open("the plan's index is not in the bucket any more: the chains of account-regions are not looked for")
	default:
		again := *v.plan
		if err := again.Seal(); err != nil || again.Digest != said || v.plan.Digest != said {
			v.wrong("the plan's index is not the one that was frozen: account-regions may be missing here")
			return
		}
		v.Proven = append(v.Proven, "the account-regions looked at are those of the frozen plan")
	}
}

// bindings checks the lists of heads that signed entries bind.
func (v *verifier) bindings() {
	chain := store.Verify.Chain(store.RunSubject(v.Run))
	for _, e := range v.Chains[chain] {
		digest, ok := store.BoundBy(e)
		if !ok {
			continue
		}
		l := v.lists[digest]
		switch {
		case !l.there:
			v.open("%s: the list of heads that entry %d binds is not in the bucket any more", chain, e.Seq)
			continue
		case l.digest != digest:
			v.wrong("%s: the list of heads that entry %d binds was changed", chain, e.Seq)
			continue
		}
		for _, h := range l.heads {
			entries := v.Chains[h.Chain]
			switch {
			case h.Seq < 1 || h.Seq > len(entries):
				v.wrong("%s: entry %d is bound by entry %d of %s, and is gone", h.Chain, h.Seq, e.Seq, chain)
			case entries[h.Seq-1].Hash != h.Hash:
				v.wrong("%s: entry %d is not the one that entry %d of %s binds", h.Chain, h.Seq, e.Seq, chain)
			case v.genuine(e):
				v.bound[h.Chain] = max(v.bound[h.Chain], h.Seq)
			}
		}
	}
}

// mustSign tells whether the writer signs this entry in any case. Send signs the announcement of a target's last sends,
// and Inventory not the opening of a run.
func mustSign(e store.AuditEntry) bool {
	return store.WriterOf(e.Chain) != store.Send && e.Action != "RunOpened"
}

// signatures checks the signatures of a chain, and says up to where it is proven by whom.
func (v *verifier) signatures(name string) {
	entries, w := v.Chains[name], store.WriterOf(name)
	last := v.intact[name]
	if w == "" {
		v.open("%s: %s, of a release before, which signed nothing: hashes alone", name, span(1, last))
		return
	}
	if v.keys[w] == nil {
		v.open("%s: there is no public key of %s, so no signature of it was checked", name, w)
	}
	signed := 0
	for _, e := range entries {
		switch {
		case v.genuine(e):
			signed = e.Seq
		case len(e.Signature) > 0 && v.keys[w] != nil:
			v.wrong("%s: entry %d has a signature that is not of %s", name, e.Seq, w)
		case len(e.Signature) == 0 && mustSign(e):
			v.wrong("%s: entry %d is not signed", name, e.Seq)
		}
	}
	bound := min(v.bound[name], last)
	if signed > 0 {
		v.Proven = append(v.Proven, fmt.Sprintf("%s: %s, signed by %s", name, span(1, signed), w))
	}
	if bound > signed {
		v.Proven = append(v.Proven, fmt.Sprintf("%s: %s, bound by an entry that VERIFY signed", name, span(signed+1, bound)))
	}
	if end := max(signed, bound); end < last {
		v.open("%s: %s, neither signed nor bound", name, span(end+1, last))
	}
}

// span names entries.
func span(from, to int) string {
	if from == to {
		return fmt.Sprintf("entry %d", from)
	}
	return fmt.Sprintf("entries %d to %d", from, to)
}

// Place is where the subject of a chain is: an account and region, a question, or the run.
func Place(run patch.RunID, chain string) string {
	subject := strings.TrimPrefix(chain, string(store.WriterOf(chain))+"#")
	if store.WriterOf(chain) == "" {
		subject = chain
	}
	if rest, ok := strings.CutPrefix(subject, store.RunSubject(run)+"#"); ok {
		return strings.ReplaceAll(rest, "#", " ")
	}
	return ""
}
