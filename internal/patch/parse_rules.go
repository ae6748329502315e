package patch

import (
	"fmt"
	"strings"
)

// checkForms checks what one field's shape cannot say: which form the input
// has, and what its fields say together.
func checkForms(root *node, found *findings) {
	flat := flatMembers(root)
	waves, alias := root.member("waves"), root.member("accountWaves")
	switch {
	case waves != nil && alias != nil:
		found.add(alias.start, Problem{Path: alias.path, Message: "is another name for waves, which is given too", Remedy: "keep one of the two"})
	case waves == nil && alias == nil && len(flat) == 0:
		found.add(root.start, Problem{Path: "waves", Message: "is missing", Remedy: `write "waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]`})
	case waves == nil:
		waves = alias
	}
	if waves == nil && len(flat) > 0 {
		checkFlat(root, found)
	}
	if waves != nil {
		for _, m := range flat {
			found.add(m.keyStart, Problem{Path: m.value.path, Message: "belongs to the form of a single wave, and " + waves.path + " is given too",
				Remedy: "move it into the wave as " + elsewhere(m.key) + ", or leave out " + waves.path})
		}
	}
	checkWaves(waves, found)
	checkPartitions(root, found)
	if both := root.member("approvalRequired"); both != nil && root.member("approval") != nil {
		found.add(both.start, Problem{Path: both.path, Value: both.shown(), Message: "says what approval says too", Remedy: "keep approval"})
	}
}

// flatMembers are the fields that only the form of a single wave has.
func flatMembers(root *node) []member {
	var flat []member
	for _, m := range root.members {
		switch m.key {
		case "waveId", "accounts", "regions", "tagFilters", "instanceIds":
			flat = append(flat, m)
		}
	}
	return flat
}

func checkFlat(root *node, found *findings) {
	if list := root.member("accounts"); list == nil || list.kind == nodeList && len(list.items) == 0 {
		found.add(startOf(list, root), Problem{Path: "accounts", Message: "names no account", Remedy: fmt.Sprintf("give 1 to %d account ids", MaxAccountsPerWave)})
	}
	if root.member("regions") == nil {
		found.add(root.start, Problem{Path: "regions", Message: "is missing", Remedy: fmt.Sprintf("give 1 to %d regions", MaxRegionsPerWave)})
	}
}

// startOf is where the node starts, or its parent where there is none.
func startOf(n, parent *node) int {
	if n == nil {
		return parent.start
	}
	return n.start
}

func checkWaves(waves *node, found *findings) {
	if waves == nil || waves.kind != nodeList {
		return
	}
	taken := map[string]string{}
	for i, wave := range waves.items {
		if wave.kind != nodeObject {
			continue
		}
		if isEmptyList(wave.member("accounts")) && isEmptyList(wave.member("organizationalUnits")) {
			found.add(wave.start, Problem{Path: wave.path, Message: "names no account",
				Remedy: "give at least one in accounts or organizationalUnits"})
		}
		checkWaveName(wave, defaultWaveName(i), taken, found)
	}
}

func isEmptyList(n *node) bool {
	return n == nil || n.kind == nodeList && len(n.items) == 0
}

// checkWaveName finds names that differ from an earlier one by case at most:
// they are parts of keys, and people read them out.
func checkWaveName(wave *node, name string, taken map[string]string, found *findings) {
	given := wave.member("name")
	if given != nil {
		name = given.text
	}
	folded := strings.ToLower(name)
	if path, ok := taken[folded]; ok {
		found.add(startOf(given, wave), Problem{Path: fieldPath(wave.path, "name"), Value: quoted(name),
			Message: "is the name of " + path + " already", Remedy: "give each wave a name of its own"})
		return
	}
	taken[folded] = wave.path
}

// checkPartitions finds regions outside the partition of the run's first
// region: no role of one partition can be assumed from another.
func checkPartitions(root *node, found *findings) {
	lists := []*node{root.member("regions")}
	for _, key := range []string{"waves", "accountWaves"} {
		if waves := root.member(key); waves != nil {
			for _, wave := range waves.items {
				lists = append(lists, wave.member("regions"))
			}
		}
	}
	first := ""
	for _, list := range lists {
		if list == nil {
			continue
		}
		for _, r := range list.items {
			partition := Region(r.text).Partition()
			switch {
			case r.kind != nodeText || partition == "":
			case first == "":
				first = partition
			case partition != first:
				found.add(r.start, Problem{Path: r.path, Value: quoted(r.text), Message: "is in the partition " + partition + ", the run's first region in " + first,
					Remedy: "start one run for each partition, from a hub in it"})
			}
		}
	}
}
