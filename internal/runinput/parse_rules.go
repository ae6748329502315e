package runinput

import (
	"fmt"
	"slices"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// forms checks what one field's shape cannot say: which form the input
// has, and what its fields say together.
func (c checker) forms(root *node) {
	found := c.found
	flat := flatMembers(root)
	waves, alias := root.member("waves"), root.member("accountWaves")
	switch {
	case waves != nil && alias != nil:
		found.drop(RuleCount, func(path string) bool { return path == alias.path }) // to fill it would not help
		found.add(alias.start, Problem{Rule: RuleForms, Path: alias.path,
			Message: "is another name for waves, which is given too", Remedy: "keep one of the two"})
	case waves == nil && alias == nil && len(flat) == 0:
		found.add(root.start, Problem{Rule: RuleMissing, Path: "waves", Message: mustBeGiven,
			Remedy: `write "waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]`})
	case waves == nil:
		waves = alias
	}
	if waves == nil && len(flat) > 0 {
		checkFlat(root, found)
	}
	if waves != nil {
		for _, m := range flat {
			found.add(m.keyStart, Problem{Rule: RuleForms, Path: m.value.path,
				Message: "belongs to the form of a single wave, and " + waves.path + " is given too",
				Remedy:  "move it into the wave as " + c.places[m.key] + ", or leave out " + waves.path})
		}
	}
	checkWaves(waves, found)
	checkPartitions(root, found)
	if both := root.member("approvalRequired"); both != nil && root.member("approval") != nil {
		found.add(both.start, Problem{Rule: RuleForms, Path: both.path, Value: both.shown(),
			Message: "says what approval says too", Remedy: "keep approval"})
	}
}

// flatKeys are the fields that only the form of a single wave has.
func flatKeys() []string {
	return []string{"waveId", "accounts", "regions", "tagFilters", "instanceIds"}
}

func flatMembers(root *node) []member {
	var flat []member
	for _, m := range root.members {
		if slices.Contains(flatKeys(), m.key) {
			flat = append(flat, m)
		}
	}
	return flat
}

func checkFlat(root *node, found *findings) {
	if list := root.member("accounts"); list.isEmpty() {
		found.add(startOf(list, root), Problem{Rule: RuleMissing, Path: "accounts", Message: "names no account",
			Remedy: fmt.Sprintf("give 1 to %d account ids", MaxAccountsPerWave)})
	}
	if root.member("regions") == nil {
		found.add(root.start, Problem{Rule: RuleMissing, Path: "regions", Message: mustBeGiven,
			Remedy: fmt.Sprintf("give 1 to %d regions", MaxRegionsPerWave)})
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
		checkWaveName(wave, defaultWaveName(i), taken, found)
	}
}

// checkWaveName finds names that differ from an earlier one by case at most:
// they are parts of keys, and people read them out.
func checkWaveName(wave *node, name string, taken map[string]string, found *findings) {
	given := wave.member("name")
	switch {
	case given == nil:
	case given.kind != nodeText:
		return
	default:
		name = given.text
	}
	folded := strings.ToLower(name)
	if path, ok := taken[folded]; ok {
		found.add(startOf(given, wave), Problem{Rule: RuleRepeated, Path: fieldPath(wave.path, "name"),
			Value: words.Quoted(name), Message: "is the name of " + path + " already",
			Remedy: "give each wave a name of its own"})
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
			partition := patch.Region(r.text).Partition()
			switch {
			case r.kind != nodeText || partition == "":
			case first == "":
				first = partition
			case partition != first:
				found.add(r.start, Problem{Rule: RulePartitions, Path: r.path, Value: words.Quoted(r.text),
					Message: "is in the partition " + partition + ", the run's first region in " + first,
					Remedy:  "start one run for each partition, from a hub in it"})
			}
		}
	}
}
