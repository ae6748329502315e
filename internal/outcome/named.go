package outcome

import (
	"cmp"
	"slices"
	"time"
)

// NamedPatch is one patch of one instance, as SSM lists it.
// Source: SSM PatchComplianceData, read 2026-11.
type NamedPatch struct {
	State          NamedState `json:"state"`
	Title          string     `json:"title"`
	KB             string     `json:"kb"` // of Linux the name and architecture of the package
	Classification string     `json:"classification"`
	Severity       string     `json:"severity"`
	CVEs           []string   `json:"cveIds"`         // SSM names them of missing and failed patches only
	At             *time.Time `json:"time,omitempty"` // when it was installed; not every system says it
}

// NamedState is the state of a patch.
type NamedState string

// The states that are read. What else is on an instance, and no baseline asks
// for, may be thousands of packages.
const (
	PatchInstalled     NamedState = "Installed"
	PatchPendingReboot NamedState = "InstalledPendingReboot"
	PatchRejected      NamedState = "InstalledRejected"
	PatchMissing       NamedState = "Missing"
	PatchFailed        NamedState = "Failed"
)

// NamedStates are all of them.
func NamedStates() []NamedState {
	return []NamedState{PatchInstalled, PatchPendingReboot, PatchRejected, PatchMissing, PatchFailed}
}

// NamedList is what SSM lists of one instance by name.
type NamedList struct {
	Patches []NamedPatch
	Cut     bool // there are more than are read
}

// MaxNamed is how many patches by name a report keeps of one instance.
const MaxNamed = 100

// installed tells whether the patch is on the instance, and may be our doing: a
// rejected one never is.
func (p NamedPatch) installed() bool {
	return p.State == PatchInstalled || p.State == PatchPendingReboot
}

// installedSince tells whether it was installed after a moment. Windows knows the
// day alone, which SSM shows as its first moment: that day counts whole.
func (p NamedPatch) installedSince(at time.Time) bool {
	if !p.installed() || p.At == nil {
		return false
	}
	t := p.At.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		t = t.Add(24*time.Hour - 1)
	}
	return !t.Before(at)
}

// InstalledSince counts what was installed after a moment. known is false where
// the list does not say it: it was cut, or some patch has no time.
func (l *NamedList) InstalledSince(at time.Time) (n int, known bool) {
	if l == nil {
		return 0, false
	}
	known = !l.Cut
	for _, p := range l.Patches {
		if p.installedSince(at) {
			n++
		}
		known = known && (!p.installed() || p.At != nil)
	}
	return n, known || n > 0
}

// counted is how many are on the instance.
func (l *NamedList) counted() int {
	n := 0
	for _, p := range l.Patches {
		if p.installed() {
			n++
		}
	}
	return n
}

// Kept is what a report keeps: what failed, is missing, and was installed since,
// in that order, and how many more there are. It is never nil.
func (l NamedList) Kept(since time.Time) (kept []NamedPatch, more int) {
	kept = []NamedPatch{}
	for _, p := range l.Patches {
		if p.State == PatchFailed || p.State == PatchMissing || p.installedSince(since) {
			kept = append(kept, p)
		}
	}
	slices.SortStableFunc(kept, func(a, b NamedPatch) int {
		return cmp.Or(cmp.Compare(a.urgency(), b.urgency()), cmp.Compare(a.KB, b.KB), cmp.Compare(a.Title, b.Title))
	})
	more = max(len(kept)-MaxNamed, 0)
	return kept[:len(kept)-more], more
}

// urgency is 0 for what somebody must look at first.
func (p NamedPatch) urgency() int {
	switch p.State {
	case PatchFailed:
		return 0
	case PatchMissing:
		return 1
	}
	return 2
}
