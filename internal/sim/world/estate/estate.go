package estate

import "ec2patch/internal/sim/world/core"

// Estate is the accounts of a world and what stands around their fleets: who may get in and where, the organization,
// the alarms.
type Estate struct {
	*core.Core

	accounts     map[string]*account
	organization organization
	disabled     map[Place]bool // opt-in regions that their account has not enabled
	alarms       map[Place][]*alarm
	sessions     map[string]*core.Principal // by access key id
	tokens       int                        // sessions opened, for their access key ids
}

// newEstate gives a world its accounts, none of which is known yet.
func New(c *core.Core) *Estate {
	w := &Estate{
		Core: c, accounts: map[string]*account{}, disabled: map[Place]bool{}, alarms: map[Place][]*alarm{},
		sessions: map[string]*core.Principal{},
	}
	c.Refuses = w.regionError
	return w
}

// account is what a fleet file says about a whole account.
type account struct {
	Refused    bool   // no role there can be assumed
	ExternalID string // if set, the only external id that the account accepts
	Suspended  bool
	State      string // in the organization; empty is ACTIVE
}

// DisableRegion makes an opt-in region of an account one that is not enabled.
func (w *Estate) DisableRegion(account, region string) { w.disabled[Place{account, region}] = true }

// EnableRegion undoes DisableRegion.
func (w *Estate) EnableRegion(account, region string) { delete(w.disabled, Place{account, region}) }

// regionError is the refusal of a suspended account, or of a region that the account has not enabled.
// Source: docs/aws-semantics.md 4, where the codes are marked unconfirmed.
func (w *Estate) regionError(c *core.Call) error {
	if a, ok := w.accounts[c.Account]; ok && a.Suspended {
		return core.Refusal("InvalidClientTokenId", "The security token included in the request is invalid")
	}
	if !w.disabled[Place{c.Account, c.Region}] {
		return nil
	}
	return core.Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
}

// Account returns what is known of an account, creating it.
func (w *Estate) Account(id string) *account {
	a, ok := w.accounts[id]
	if !ok {
		a = &account{}
		w.accounts[id] = a
	}
	return a
}

// RefuseAssume makes every AssumeRole into the account fail from now on, or
// work again.
func (w *Estate) RefuseAssume(account string, refuse bool) { w.Account(account).Refused = refuse }

// SuspendAccount closes an account: nobody gets in, and sessions that are open are refused. Its machines
// run on. Source: docs/faults.md F-36.
func (w *Estate) SuspendAccount(id string) { w.Account(id).Suspended = true }

// Place is one region of one account.
type Place struct{ Account, Region string }
