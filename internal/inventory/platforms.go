package inventory

import (
	"fmt"
	"strings"

	"ec2patch/internal/port"
)

// unpatched lists the beginnings of the names of operating systems that Patch
// Manager is known not to patch: its baselines know no such system, and the patch
// document ends with an error there. A name that is not listed is planned: what
// can be patched must never be left out because we do not know it. That a release
// is no longer listed among the supported ones is no proof either.
// Source: SSM API, CreatePatchBaseline OperatingSystem; Patch Manager
// prerequisites, read 2026-11. The names are those of os-release, NAME.
func unpatched() []string {
	return []string{"Bottlerocket", "Flatcar", "Fedora", "openSUSE", "Alpine", "Arch Linux", "Gentoo"}
}

// notPatchable says why Patch Manager does not patch the agent's system, empty if it may.
func notPatchable(a port.Agent) string {
	for _, name := range unpatched() {
		if len(a.System) >= len(name) && strings.EqualFold(a.System[:len(name)], name) {
			return fmt.Sprintf("Patch Manager does not patch %s", strings.TrimSpace(a.System+" "+a.Release))
		}
	}
	return ""
}
