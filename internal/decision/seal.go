package decision

import (
	"context"
	"fmt"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// Seal says which plan a run has, and on which terms people approve it. SendApprovalRequest writes one in every run
// before
// anything is sent, also where nobody is asked, and signs it with a key that no other function can use so. Whoever
// sends
// or judges believes it, and neither the run's row nor what the plan says of itself: other functions write those.
type Seal struct {
	Run         patch.RunID     `json:"run"`
	Digest      string          `json:"digest"`
	HubAccount  patch.AccountID `json:"hubAccount"`
	Instances   int             `json:"instances"`
	Terms       plan.Terms      `json:"terms"`
	RequestedBy string          `json:"requestedBy,omitempty"`
	At          time.Time       `json:"at"`
	MAC         []byte          `json:"mac"`
}

// SealOf is what a seal of the plan says. It is not signed.
func SealOf(x *plan.Index, hub patch.AccountID) Seal {
	s := Seal{Run: x.Run, Digest: x.Digest, HubAccount: hub, Instances: x.Planned(), Terms: x.Terms,
		RequestedBy: x.RequestedBy}
	s.Terms.Distinct = max(x.Needed, 1)
	return s
}

// Message is what the seal's MAC covers: all of it.
func (s Seal) Message() []byte {
	t := s.Terms
	return message("ec2patch-seal-1", string(s.Run), s.Digest, string(s.HubAccount), fmt.Sprint(s.Instances),
		string(t.Approval), fmt.Sprint(t.Distinct), fmt.Sprint(t.Seconds), string(t.Input.Approval),
		fmt.Sprint(t.Input.Distinct),
		string(t.Hub.MinimumApproval), fmt.Sprint(t.Hub.MinimumDistinct), fmt.Sprint(t.Hub.MaxInstances),
		s.RequestedBy, s.At.UTC().Format(time.RFC3339Nano))
}

// Says tells whether the seal says the same as another, whenever each was made.
func (s Seal) Says(other Seal) bool {
	return s.Run == other.Run && s.Digest == other.Digest && s.HubAccount == other.HubAccount &&
		s.Instances == other.Instances &&
		s.Terms == other.Terms && s.RequestedBy == other.RequestedBy
}

// Seals reads the seals of runs, and checks each once a process: a seal is final.
type Seals struct {
	Table store.Table
	Keys  port.Verifier

	known map[patch.RunID]Seal
}

// Of is the seal of a run. One that is not signed by this hub, or is another run's, is tampering; found is false where
// there is none.
func (s *Seals) Of(ctx context.Context, run patch.RunID) (seal Seal, found bool, err error) {
	if seal, found = s.known[run]; found {
		return seal, true, nil
	}
	row := &store.Row{Key: store.SealKey(run), Into: &seal}
	if err := s.Table.Load(ctx, row); err != nil || !row.Found {
		return Seal{}, false, err
	}
	ok, err := s.Keys.Check(ctx, seal.Message(), seal.MAC)
	if err != nil {
		return Seal{}, false, err
	}
	if !ok || seal.Run != run {
		return Seal{}, false, fmt.Errorf("%w: the plan of run %s has a seal that is not this hub's", patch.ErrTampered,
			run)
	}
	if s.known == nil {
		s.known = map[patch.RunID]Seal{}
	}
	s.known[run] = seal
	return seal, true, nil
}

// Bound is the seal of a run, which must be there and be about the plan of this digest.
func (s *Seals) Bound(ctx context.Context, run patch.RunID, digest string) (Seal, error) {
	seal, found, err := s.Of(ctx, run)
	switch {
	case err != nil:
		return Seal{}, err
	case !found:
		return Seal{}, fmt.Errorf("%w: the plan of run %s has no seal", patch.ErrTampered, run)
	case seal.Digest != digest:
		return Seal{}, fmt.Errorf("%w: the seal of run %s is about another plan", patch.ErrTampered, run)
	}
	return seal, nil
}
