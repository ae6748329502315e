package runinput

import "slices"

// Policy is what the hub demands of its runs, whatever their inputs say. The zero Policy demands nothing.
type Policy struct {
	MinimumApproval ApprovalMode `json:"minimumApproval"` // of a run that changes instances
	MinimumDistinct int          `json:"minimumDistinct"` // people, wherever somebody is asked
	MaxInstances    int          `json:"maxInstances"`    // of one plan; 0 is no bound
}

// Terms are when people are asked, and how many of them must approve.
type Terms struct {
	Approval ApprovalMode `json:"approval"`
	Distinct int          `json:"distinct"`
}

// strictness orders the modes, the weakest first.
func strictness() []ApprovalMode { return []ApprovalMode{ApproveNone, ApproveOnce, ApprovePerWave} }

// Weaker tells whether the mode asks less often than another. A mode that nobody knows asks nobody.
func (m ApprovalMode) Weaker(than ApprovalMode) bool {
	return max(slices.Index(strictness(), m), 0) < slices.Index(strictness(), than)
}

// Over applies the policy to an input: of the two the stricter holds. What the input itself says is kept beside it. A
// run
// that changes nothing asks nobody, and so is left as it is.
func (p Policy) Over(in Input) Input {
	if in.Asked == nil {
		in.Asked = &Terms{Approval: in.Approval, Distinct: in.RequireDistinct}
	}
	if !in.Installs() {
		return in
	}
	if in.Approval.Weaker(p.MinimumApproval) {
		in.Approval = p.MinimumApproval
	}
	in.RequireDistinct = max(in.RequireDistinct, p.MinimumDistinct)
	return in
}
