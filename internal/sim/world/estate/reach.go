package estate

import "ec2patch/internal/sim/world/core"

// Reachable tells whether a role of an account can be assumed now with the external id, and its region be used.
// It is for checkers, which must not ask through the calls that they judge.
func (w *Estate) Reachable(account, region, externalID string) bool {
	if w.disabled[Place{account, region}] {
		return false
	}
	if !w.hasRole(account) {
		return false
	}
	a, ok := w.accounts[account]
	if !ok {
		return true
	}
	return !a.Refused && !a.Suspended && (a.ExternalID == "" || a.ExternalID == externalID)
}

func (w *Estate) hasRole(account string) bool {
	for arn := range w.Roles {
		if core.AccountOf(arn) == account {
			return true
		}
	}
	return false
}
