package target

import (
	"context"
	"fmt"

	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// inOrder refuses to send in a wave before every earlier one of the plan was judged good. The state machine has that
// order; whoever calls the function past it has not. A good verdict is final, so it is looked for once a process.
func (s *Send) inOrder(ctx context.Context, st *state) error {
	at := st.target.Wave + "\x00" + st.run.Digest
	if s.ordered[at] {
		return nil
	}
	var rows []*store.Row
	var earlier []*store.WaveRow
	for _, w := range s.plan.last.Waves {
		if w.Name == st.target.Wave {
			break
		}
		row := &store.WaveRow{}
		earlier = append(earlier, row)
		rows = append(rows, &store.Row{Key: store.WaveKey(st.target.Run, w.Name), Into: row})
	}
	for from := 0; from < len(rows); from += store.MaxLoad {
		if err := s.Table.Load(ctx, rows[from:min(from+store.MaxLoad, len(rows))]...); err != nil {
			return err
		}
	}
	for i, row := range earlier {
		if row.Verdict != patch.VerdictGood {
			return fmt.Errorf("%w: wave %s is sent before wave %s was judged good",
				patch.ErrTampered, st.target.Wave, s.plan.last.Waves[i].Name)
		}
	}
	if s.ordered == nil {
		s.ordered = map[string]bool{}
	}
	s.ordered[at] = true
	return nil
}
