package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
)

// part is a slice of the report that was folded: what it adds to the totals,
// and its instances. It is kept as lines of JSON, so that it can be counted
// without its instances, and read one instance at a time.
type part struct {
	partHead
	instances []outcome.InstanceReport
	excluded  []plan.ExcludedInstance
}

// partHead is the first line of a part.
type partHead struct {
	Accounts  []accountTally `json:"accounts"`
	Instances int            `json:"instances"` // the lines that follow
	Excluded  int            `json:"excluded"`  // and those after them
}

// accountTally is what one piece adds to the totals.
type accountTally struct {
	Wave string `json:"wave"`
	report.AccountReport
	Good      int       `json:"good"`
	Failures  int       `json:"failures"`
	Neutral   int       `json:"neutral"`
	FirstSent time.Time `json:"firstSent,omitzero"`
}

// add counts the instances of a piece.
func (p *part) add(w plan.IndexWave, account patch.AccountID, firstSent time.Time, instances []outcome.InstanceReport,
	excluded []plan.ExcludedInstance) {
	tally := accountTally{
		Wave: w.Name, AccountReport: report.AccountReport{Account: account}, FirstSent: firstSent,
	}
	n := outcome.Count(instances, w.RebootOption)
	tally.Planned, tally.Outcomes, tally.Good, tally.Failures, tally.Neutral = len(instances), n.Outcomes, n.Good,
		n.Failures, n.Neutral
	p.Accounts = append(p.Accounts, tally)
	p.instances = append(p.instances, instances...)
	p.excluded = append(p.excluded, excluded...)
	p.Instances, p.Excluded = len(p.instances), len(p.excluded)
}

// encode writes the part as lines.
func (p *part) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(p.partHead); err != nil {
		return nil, fmt.Errorf("encode a slice of the report: %w", err)
	}
	for _, i := range p.instances {
		if err := enc.Encode(i); err != nil {
			return nil, fmt.Errorf("encode a slice of the report: %w", err)
		}
	}
	for _, e := range p.excluded {
		if err := enc.Encode(e); err != nil {
			return nil, fmt.Errorf("encode a slice of the report: %w", err)
		}
	}
	return b.Bytes(), nil
}

// decodeHead reads the first line of a part, and returns the others.
func decodeHead(data []byte) (head partHead, lines []byte, err error) {
	first, lines, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(first, &head); err != nil {
		return head, nil, fmt.Errorf("%w: a slice of the report cannot be read: %w", patch.ErrInternal, err)
	}
	return head, lines, nil
}

// decodeLines reads n lines one at a time.
func decodeLines[T any](lines []byte, n int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for range n {
			line, rest, _ := bytes.Cut(lines, []byte("\n"))
			var v T
			err := json.Unmarshal(line, &v)
			if err != nil {
				err = fmt.Errorf("%w: a slice of the report cannot be read: %w", patch.ErrInternal, err)
			}
			if !yield(v, err) || err != nil {
				return
			}
			lines = rest
		}
	}
}

// skipLines drops n lines.
func skipLines(lines []byte, n int) []byte {
	for range n {
		_, lines, _ = bytes.Cut(lines, []byte("\n"))
	}
	return lines
}
