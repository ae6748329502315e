package outcome

import (
	"slices"
	"strconv"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// Counted is one number of which a reason is made: "14 patches missing", "2 rejected".
type Counted struct {
	N       int
	What    string
	Patches bool // the number is followed by what is counted
}

// Short is what keeps a record from being clean, as the reason of a bad outcome counts it.
func (s *PatchState) Short() []Counted {
	missing := orZero(s.Missing)
	switch {
	case orZero(s.Failed) > 0:
		return []Counted{{N: orZero(s.Failed), What: "failed although the command succeeded", Patches: true}}
	case s.Operation == patch.Scan && !s.Clean():
		all := []Counted{
			{N: missing, What: "missing", Patches: true},
			{N: orZero(s.InstalledPendingReboot), What: "waiting for a reboot"},
			{N: orZero(s.InstalledRejected), What: "rejected"},
		}
		return slices.DeleteFunc(all, func(c Counted) bool { return c.N == 0 && !c.Patches })
	case s.Operation == patch.Install && missing > 0:
		return []Counted{{N: missing, What: "still missing", Patches: true}}
	}
	return nil
}

// Short is of which counts the reason is made of an instance that is judged by its record, nil where the reason says
// something else.
func (i InstanceReport) Short() []Counted {
	switch {
	case i.After == nil:
		return nil
	case i.Outcome == NonCompliant:
		return i.After.Short()
	case i.Outcome == Failed && (i.Status == "Success" || i.Status == "" || i.Status == "Undeliverable"):
		return i.After.Short()
	}
	return nil
}

// CountedText is the reason that the counts make.
func CountedText(all []Counted) string {
	var parts []string
	for _, c := range all {
		number := strconv.Itoa(c.N)
		if c.Patches {
			number = words.BareCount(c.N, "patch")
		}
		parts = append(parts, number+" "+c.What)
	}
	return strings.Join(parts, ", ")
}
