package world

import "ec2patch/internal/sim/world/core"

// Reachable tells whether a role of an account can be assumed now with the external id, and its region be used.
// It is for checkers, which must not ask through the calls that they judge.
func (w *World) Reachable(account, region, externalID string) bool {
	if f, ok := w.fleets[place{account, region}]; ok && f.disabled {
		return false
	}
	if !w.hasRole(account) {
		return false
	}
	a, ok := w.accounts[account]
	if !ok {
		return true
	}
	return !a.refused && !a.suspended && (a.externalID == "" || a.externalID == externalID)
}

func (w *World) hasRole(account string) bool {
	for arn := range w.Roles {
		if core.AccountOf(arn) == account {
			return true
		}
	}
	return false
}

// Described tells whether EC2 describes the instance now: not a hybrid node, nor one that is long gone.
func (w *World) Described(i *Instance) bool { return !i.gone(w.Now()) }
