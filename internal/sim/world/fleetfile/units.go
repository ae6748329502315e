package fleetfile

import (
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
)

// Unit is an organizational unit, or a root, of a File: what is directly in it.
type Unit struct {
	Accounts []string `json:"accounts,omitempty"` // by id; one that the file does not describe has no spoke role
	Units    []string `json:"organizationalUnits,omitempty"`
}

// UnitID is the pattern of units and roots. Source: Organizations API, ParentId, read 2026-11.
func UnitID() *regexp.Regexp {
	return regexp.MustCompile(`^(r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})$`)
}

// accountStates are the states of an account. Source: Organizations API, Account, read 2026-11.
func accountStates() []string {
	return []string{"PENDING_ACTIVATION", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"}
}

// checkUnits holds the units to being a forest: each account and each unit is in one place.
func (v *fleetCheck) checkUnits(units map[string]Unit) {
	in := map[string]string{} // the unit that holds an account or a unit
	for _, id := range slices.Sorted(maps.Keys(units)) {
		at := fmt.Sprintf("organizationalUnits[%q]", id)
		if !UnitID().MatchString(id) {
			v.add(at, "%q is no organizational unit and no root", id)
		}
		for i, a := range units[id].Accounts {
			path := fmt.Sprintf("%s.accounts[%d]", at, i)
			if !v.account.MatchString(a) {
				v.add(path, "%q is not a 12-digit account id", a)
			}
			v.once(in, path, a, id)
		}
		for i, u := range units[id].Units {
			path := fmt.Sprintf("%s.organizationalUnits[%d]", at, i)
			if _, known := units[u]; !known {
				v.add(path, "%q is not described in this file", u)
			}
			v.once(in, path, u, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(units)) {
		at := id
		for range len(units) + 1 {
			at = in[at]
		}
		if at != "" {
			v.add(fmt.Sprintf("organizationalUnits[%q]", id), "is below itself")
		}
	}
}

func (v *fleetCheck) once(in map[string]string, path, what, unit string) {
	if first, taken := in[what]; taken {
		v.add(path, "%q is in %s already", what, first)
		return
	}
	in[what] = unit
}

// ActiveBelow lists the active accounts below a unit or root at any depth, by
// id; nothing for one that the file does not have. The file must be valid.
func (f File) ActiveBelow(unit string) []string {
	var all []string
	for _, a := range f.Units[unit].Accounts {
		if state := f.Accounts[a].State; state == "" || state == "ACTIVE" {
			all = append(all, a)
		}
	}
	for _, u := range f.Units[unit].Units {
		all = append(all, f.ActiveBelow(u)...)
	}
	slices.Sort(all)
	return all
}

// DefaultUnits is a small organization for the units named: each holds two
// accounts, one that is suspended, and a unit with a third account. The ids
// follow from the unit's alone.
func DefaultUnits(units []string) (tree map[string]Unit, suspended []string) {
	tree = map[string]Unit{}
	for _, id := range units {
		h := fnv.New64a()
		h.Write([]byte(id))
		sum := h.Sum64()
		account := func(n uint64) string { return fmt.Sprintf("%012d", 300_000_000_000+(sum%10_000_000_000)*10+n) }
		below := fmt.Sprintf("ou-%s-%08d", rootPart(id), sum%100_000_000)
		tree[id] = Unit{Accounts: []string{account(1), account(2), account(3)}, Units: []string{below}}
		tree[below] = Unit{Accounts: []string{account(4)}}
		suspended = append(suspended, account(3))
	}
	return tree, suspended
}

// rootPart is the part of a unit's or root's id that names the root.
func rootPart(id string) string {
	return regexp.MustCompile(`^[a-z]+-([0-9a-z]+)`).FindStringSubmatch(id)[1]
}
