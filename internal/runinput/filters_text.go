package runinput

import (
	"maps"
	"slices"
	"strings"

	"ec2patch/internal/words"
)

// Text says in words what the filters ask for: "tag PatchGroup=default", "tags
// Env=prod|stage and Team=web, platform Linux", "2 named instances".
func (f Filters) Text() string {
	text := "every instance"
	switch {
	case len(f.InstanceIDs) > 0:
		text = words.BareCount(len(f.InstanceIDs), "named instance")
	case len(f.Tags) > 0:
		var tags []string
		for _, key := range slices.Sorted(maps.Keys(f.Tags)) {
			tags = append(tags, key+"="+strings.Join(f.Tags[key], "|"))
		}
		text = "tag"
		if len(tags) > 1 {
			text = "tags"
		}
		text += " " + strings.Join(tags, " and ")
	}
	var platforms []string
	for _, p := range f.Platforms {
		platforms = append(platforms, string(p))
	}
	if len(platforms) == 0 {
		return text
	}
	return text + ", platform " + strings.Join(platforms, " or ")
}
