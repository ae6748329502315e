package outcome

import "ec2patch/internal/patch"

// outcomeCounts counts instances by what they count as.
type Counts struct {
	Outcomes                map[Outcome]int
	Good, Failures, Neutral int
	CutShort                int // not sent because of a limit, an abort or the end of the run
	Sent, Back              int // named by an accepted command, and of these in service
}

func Count(instances []InstanceReport, reboot patch.RebootOption) Counts {
	n := Counts{Outcomes: map[Outcome]int{}}
	for _, r := range instances {
		n.Outcomes[r.Outcome]++
		switch r.Class(reboot) {
		case Good:
			n.Good++
		case Failure:
			n.Failures++
		default:
			n.Neutral++
		}
		if why := r.NotSent(); why != "" && why != ReasonOffline && why != ReasonOptedOut {
			n.CutShort++
		}
		if r.CommandID != "" {
			n.Sent++
			if r.Outcome != Unhealthy && r.Outcome != Gone && r.Outcome != Unknown {
				n.Back++
			}
		}
	}
	return n
}
