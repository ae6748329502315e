package target

import (
	"context"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// frozen is the frozen plan that a process has read last. One is enough: a run
// has many targets, and few runs are under way at once.
type frozen struct{ last *plan.Index }

// bind finds a target's wave in the plan that its run was frozen with. It refuses
// a target whose row is not of that plan, and notes in the row what polls, which
// do not read the plan, must know of it.
func (p *frozen) bind(ctx context.Context, objects store.Objects, st *state) (plan.IndexWave, error) {
	if p.last == nil || p.last.Digest != st.run.Digest {
		x, err := plan.Load(ctx, objects, st.target.Run, st.run.Digest)
		if err != nil {
			return plan.IndexWave{}, err
		}
		p.last = &x
	}
	t := st.target
	wave, ok := p.last.Wave(t.Wave)
	if !ok || st.row.LeafDigest == "" || p.last.Leaf(t) != st.row.LeafDigest {
		return wave, fmt.Errorf("%w: %s/%s in wave %s is not what the plan of run %s says",
			patch.ErrTampered, t.Account, t.Region, t.Wave, t.Run)
	}
	st.row.bind(plan.PlannedIn(wave, t.Account))
	return wave, nil
}
