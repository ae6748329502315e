package plan

import "strings"

// ExclusionTag is the tag with which an owner takes an instance out of every
// plan. Any value but "false" counts.
const ExclusionTag = "PatchExclude"

// GroupTag is the tag with which Auto Scaling marks its instances.
// Source: Auto Scaling User Guide, tag instances, read 2026-11.
const GroupTag = "aws:autoscaling:groupName"

// OptedOut tells whether the owner took the instance out.
func OptedOut(tags map[string]string) bool {
	v, ok := tags[ExclusionTag]
	return ok && !strings.EqualFold(v, "false")
}
