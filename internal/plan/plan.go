package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

// AccountItem is one account of a map: an item of an accounts.json.
type AccountItem struct {
	Account patch.AccountID `json:"account"`
	Regions []patch.Region  `json:"regions"`
}

// Inventory is everything that was found in one account and region.
type Inventory struct {
	Run         patch.RunID               `json:"run"`
	Account     patch.AccountID           `json:"account"`
	Region      patch.Region              `json:"region"`
	Taken       time.Time                 `json:"taken"`
	Planned     []outcome.PlannedInstance `json:"planned"`
	Excluded    []ExcludedInstance        `json:"excluded"`
	Vanished    []Vanished                `json:"vanished,omitempty"`
	Running     int                       `json:"running,omitempty"` // all instances, counted when a guard asks
	Unreachable string                    `json:"unreachable,omitempty"`
}

// Vanished is an instance of the previous run's plan that is matched no more.
type Vanished struct {
	ID       patch.InstanceID `json:"id"`
	Wave     string           `json:"wave"`
	Platform patch.Platform   `json:"platform,omitempty"`
	Name     string           `json:"name,omitempty"`
}

// Leaf is the plan of one target. Its bytes are canonical: the same plan always
// has the same digest.
type Leaf struct {
	patch.Target
	Document              string                    `json:"document"`
	Operation             patch.Operation           `json:"operation"`
	RebootOption          patch.RebootOption        `json:"rebootOption"`
	SnapshotID            string                    `json:"snapshotId"`
	CommandTimeoutSeconds int                       `json:"commandTimeoutSeconds"`
	Concurrency           int                       `json:"concurrency"`
	ErrorLimit            int                       `json:"errorLimit"`
	SlowStart             bool                      `json:"slowStart"` // begins with a tenth of its concurrency
	OptOutTag             string                    `json:"optOutTag"`
	Filters               *runinput.Filters         `json:"filters,omitempty"` // of the wave, unless it names its instances
	Instances             []outcome.PlannedInstance `json:"instances"`         // in the order in which they are sent to
}

// Index is the frozen plan of a run: its waves and the digests of their leaves.
type Index struct {
	Run         patch.RunID                `json:"run"`
	Frozen      time.Time                  `json:"frozen"`
	InputDigest string                     `json:"inputDigest"`
	Previous    patch.RunID                `json:"previous,omitempty"` // the run that New and Vanished compare with
	DryRun      bool                       `json:"dryRun"`
	FailLimit   int                        `json:"failLimit"` // the run stops when more instances than these fail
	Needed      int                        `json:"needed"`    // different people who must approve
	RequestedBy string                     `json:"requestedBy,omitempty"`
	Terms       Terms                      `json:"terms,omitzero"` // zero in plans of earlier releases
	Waves       []IndexWave                `json:"waves"`
	Unreachable []UnreachableAccount       `json:"unreachable"`
	Inactive    []runinput.InactiveAccount `json:"inactive,omitempty"` // of the waves' organizational units
	Digest      string                     `json:"digest"`
}

// IndexWave is one wave of the frozen plan.
type IndexWave struct {
	Name            string                 `json:"name"`
	Operation       patch.Operation        `json:"operation"`
	RebootOption    patch.RebootOption     `json:"rebootOption"`
	Planned         int                    `json:"planned"`
	Excluded        int                    `json:"excluded"`
	Platforms       map[patch.Platform]int `json:"platforms"`
	New             int                    `json:"new"`                  // not in the plan of the previous run
	Vanished        int                    `json:"vanished"`             // in the plan of the previous run only
	Impaired        int                    `json:"impaired"`             // EC2's status checks fail already
	ExpectedMinutes int                    `json:"expectedMinutes"`      // typically, with the soak; 0 if there is nothing to do
	AskScope        patch.Scope            `json:"askScope"`             // the question that must be answered before it: none, run or wave:<name>
	AllInstances    bool                   `json:"allInstances"`         // the wave's filter names no tag: every instance
	Filter          string                 `json:"filter,omitempty"`     // what was looked for, in words, if nothing is planned and that is not expected
	AllowEmpty      bool                   `json:"allowEmpty,omitempty"` // that nothing matches is expected
	FailLimit       int                    `json:"failLimit"`            // the wave stops when more instances than these fail
	AccountsMax     int                    `json:"accountsMax"`          // or more accounts than these
	Notable         []Notable              `json:"notable,omitempty"`
	Targets         []IndexTarget          `json:"targets"`
}

// Empty tells whether the wave matched nothing at all, which mostly is a tag that
// was mistyped, and the input does not allow it. Whatever is outside of the plan
// for a reason was matched.
func (w IndexWave) Empty() bool { return w.Planned+w.Excluded == 0 && !w.AllowEmpty }

// IndexTarget is one target of the frozen plan.
type IndexTarget struct {
	Account  patch.AccountID `json:"account"`
	Region   patch.Region    `json:"region"`
	Planned  int             `json:"planned"`
	Excluded int             `json:"excluded"`
	Digest   string          `json:"digest,omitempty"`
}

// Seal computes the plan's digest: a hash over the whole index but its digest and
// the time of freezing. The index holds the digest of every leaf, so the digest
// covers every instance, and every number that people see.
func (x *Index) Seal() error {
	plain := *x
	plain.Digest, plain.Frozen = "", time.Time{}
	data, err := patch.Canonical(plain)
	if err != nil {
		return err
	}
	x.Digest = patch.Digest(append([]byte("ec2patch-plan-2\n"), data...))
	return nil
}

// Leaf is the digest of a target's leaf, empty if the plan has none.
func (x *Index) Leaf(t patch.Target) string {
	for _, w := range x.Waves {
		if w.Name != t.Wave {
			continue
		}
		for _, it := range w.Targets {
			if it.Account == t.Account && it.Region == t.Region {
				return it.Digest
			}
		}
	}
	return ""
}

// Wave finds a wave of the plan.
func (x *Index) Wave(name string) (IndexWave, bool) {
	for _, w := range x.Waves {
		if w.Name == name {
			return w, true
		}
	}
	return IndexWave{}, false
}

// Planned counts the instances of the plan.
func (x *Index) Planned() int {
	n := 0
	for _, w := range x.Waves {
		n += w.Planned
	}
	return n
}

// SnapshotID gives all instances of a target the same set of patches. It is a
// UUID derived from the target, so a second attempt asks for the same one.
// Source: AWS-RunPatchBaseline SnapshotId; a snapshot is bound to account, patch group and system.
func SnapshotID(t patch.Target) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"ec2patch-snapshot", string(t.Run), t.Wave, string(t.Account),
		string(t.Region)}, "\x00")))
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// Marker tells our commands from others: it begins the comment of every command of one intent.
func Marker(t patch.Target, batch int) string {
	return fmt.Sprintf("ec2patch %s b%d",
		patch.Digest([]byte(string(t.Run) + "\x00" + t.Wave + "\x00" + string(t.Account) + "\x00" + string(t.Region)))[:40],
		batch)
}

// SendMarker is the comment of the command at place i of an intent. At most 100 characters. Source: SSM SendCommand
// Comment, read 2026-11.
func SendMarker(marker string, i int) string { return fmt.Sprintf("%s.%d", marker, i) }

// ExcludedInstance matched a wave's filters and is not in the plan.
type ExcludedInstance struct {
	InstanceID patch.InstanceID `json:"instanceId"`
	Account    patch.AccountID  `json:"account"`
	Region     patch.Region     `json:"region"`
	Wave       string           `json:"wave"`
	Outcome    outcome.Outcome  `json:"outcome"`
	Reason     string           `json:"reason"`
}

// UnreachableAccount is an account, or one region of it, that could not be looked at.
type UnreachableAccount struct {
	Account patch.AccountID `json:"account"`
	Region  patch.Region    `json:"region"`
	Reason  string          `json:"reason"`
}

// PlannedAt counts the instances of the wave in one account and region.
func (w IndexWave) PlannedAt(at patch.Target) int {
	for _, t := range w.Targets {
		if t.Account == at.Account && t.Region == at.Region {
			return t.Planned
		}
	}
	return 0
}

// PlannedIn counts the instances of a wave in one account.
func PlannedIn(w IndexWave, account patch.AccountID) int {
	n := 0
	for _, t := range w.Targets {
		if t.Account == account {
			n += t.Planned
		}
	}
	return n
}
