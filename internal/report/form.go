package report

import (
	"io"

	"ec2patch/internal/outcome"
	"ec2patch/internal/plan"
)

// Form writes one form of a report piece by piece: every planned instance
// first, then everything that was left out, then the end. It keeps what it must
// show together, never the whole fleet.
type Form interface {
	Instance(i outcome.InstanceReport) error
	Excluded(e plan.ExcludedInstance) error
	// Close writes what comes last. The writer below stays open.
	Close() error
}

// whole hands a report's lists to a form.
func whole(f Form, r *Report) error {
	for _, i := range r.Instances {
		if err := f.Instance(i); err != nil {
			return err
		}
	}
	for _, e := range r.Excluded {
		if err := f.Excluded(e); err != nil {
			return err
		}
	}
	return f.Close()
}

// JSON writes report.json of a report that is in memory.
func JSON(w io.Writer, r *Report) error {
	f, err := NewJSON(w, r)
	if err != nil {
		return err
	}
	return whole(f, r)
}

// CSV writes report.csv of a report that is in memory.
func CSV(w io.Writer, r *Report) error {
	f, err := NewCSV(w, r)
	if err != nil {
		return err
	}
	return whole(f, r)
}

// HTML writes report.html of a report that is in memory.
func HTML(w io.Writer, r *Report) error { return whole(NewHTML(w, r), r) }
