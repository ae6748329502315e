package plan

import "ec2patch/internal/patch"

// Notable is one instance that whoever approves should see: new since the
// previous run, gone since then, or failing EC2's status checks already.
type Notable struct {
	ID       patch.InstanceID `json:"id"`
	Account  patch.AccountID  `json:"account,omitempty"` // not in a target's own row
	Region   patch.Region     `json:"region,omitempty"`
	Platform patch.Platform   `json:"platform,omitempty"`
	Name     string           `json:"name,omitempty"`
	New      bool             `json:"new,omitempty"`
	Gone     bool             `json:"gone,omitempty"`
	Impaired bool             `json:"impaired,omitempty"`
}

// How many notable instances of each kind are named. The counts beside them are
// of all.
const (
	NotableOfTarget = 2
	NotableOfWave   = 8
)

// maxNotableName keeps a row and the plan small whatever an instance is called.
const maxNotableName = 64

// kind is what an instance is listed for. One that is both new and impaired is
// listed once, as impaired.
func (n Notable) kind() int {
	switch {
	case n.Impaired:
		return 0
	case n.New:
		return 1
	}
	return 2
}

// FewNotable keeps the first of each kind, the impaired first, then the new, then those that are gone.
func FewNotable(all []Notable, ofEach int) []Notable {
	var few []Notable
	for kind := range 3 {
		left := ofEach
		for _, n := range all {
			if n.kind() != kind || left == 0 {
				continue
			}
			left--
			if name := []rune(n.Name); len(name) > maxNotableName {
				n.Name = string(name[:maxNotableName])
			}
			few = append(few, n)
		}
	}
	return few
}
