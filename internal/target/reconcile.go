package target

import (
	"context"
	"strings"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
)

// recover settles an intent whose sender died in the middle. It never sends: what the journal does not name was not
// tried, and waits again.
func (s *Send) recover(ctx context.Context, st *state) (Answer, error) {
	intents, err := st.loadOpen(ctx, s.Table)
	if err != nil {
		return Answer{}, err
	}
	in := intents[st.row.Pending]
	if left := st.unlisted(in); left > 0 {
		return wait(left), nil
	}
	leaf, err := plan.LoadLeaf(ctx, s.Objects, st.target, st.row.LeafDigest)
	if err != nil {
		return Answer{}, err
	}
	if in.Sends, err = journal(ctx, s.Table, st.target, in); err != nil {
		return Answer{}, err
	}
	listed, err := s.listed(ctx, st, []*Intent{in})
	if err != nil {
		return Answer{}, err
	}
	take(in, listed)
	answer := send()
	err = s.settle(ctx, st, leaf, *in, in.Sends, &answer, endOfStep(st.target, in)...)
	return answer, err
}

// endOfStep takes the next place in the journal of an intent, so that a sender that is alive after all, in another
// execution of the target, stops. If it was faster, the intent is not settled.
func endOfStep(t patch.Target, in *Intent) []store.Write {
	n := len(in.Sends)
	if n == len(in.IDs) {
		return nil
	}
	return []store.Write{{How: store.Create, Key: store.TryKey(t, in.Batch, n), Item: Try{Before: in.Sends[n-1]}}}
}

// resolve looks for the sends whose answers were lost, once SSM must list them.
func (s *Send) resolve(ctx context.Context, st *state) error {
	intents, err := loadIntentsOf(ctx, s.Table, st.target, st.row.Doubts)
	if err != nil {
		return err
	}
	var due []*Intent
	var later []int
	for _, n := range st.row.Doubts {
		if st.unlisted(intents[n]) > 0 {
			later = append(later, n)
		} else {
			due = append(due, intents[n])
		}
	}
	if len(due) == 0 {
		return nil
	}
	listed, err := s.listed(ctx, st, due)
	if err != nil {
		return err
	}
	var writes []store.Write
	var markers []string // of the intents with lost sends
	var accepted, lost int
	for _, in := range due {
		a, l := take(in, listed)
		accepted, lost = accepted+a, lost+l
		if l > 0 {
			markers = append(markers, in.Marker)
		}
		was := in.Version
		in.Version++
		writes = append(writes, store.Write{How: store.Replace, Key: store.SendKey(st.target, in.Batch), Item: *in, Was: was})
	}
	st.row.resolve(later, accepted, lost, due[0].Written)
	booked, err := s.booked(ctx, st, accepted, lost, strings.Join(markers, ", "))
	if err != nil {
		return err
	}
	return st.save(ctx, s.Table, append(writes, booked...)...)
}

// listed finds the commands of intents by their markers. An account that can no longer be read shows none.
func (s *Send) listed(ctx context.Context, st *state, intents []*Intent) (map[string]port.Accepted, error) {
	since := intents[0].Written
	var markers []string
	for _, in := range intents {
		markers = append(markers, in.Marker)
		if in.Written.Before(since) {
			since = in.Written
		}
	}
	spoke, err := s.Spokes.Spoke(ctx, st.target)
	if err != nil {
		return nil, patch.Without(err, patch.ErrAccessDenied)
	}
	listed, err := spoke.Marked(ctx, markers, since.Add(-outcome.ListMargin))
	return listed, patch.Without(err, patch.ErrAccessDenied)
}

// take takes over the commands that are listed, and gives the doubtful sends up that are not.
func take(in *Intent, listed map[string]port.Accepted) (accepted, lost int) {
	for i := range in.Sends {
		x := &in.Sends[i]
		if !x.Doubtful() {
			continue
		}
		if a, ok := listed[plan.SendMarker(in.Marker, i)]; ok {
			x.Command, x.At = a.ID, a.At
			accepted++
			continue
		}
		x.Lost = true
		lost++
	}
	return accepted, lost
}
