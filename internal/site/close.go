package site

import (
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// DieAtSettle lets the process die before the first step is settled.
func (s *Site) DieAtSettle() {
	s.Table.Fail = func(writes []store.Write) error {
		for _, w := range writes {
			if w.How == store.Replace && w.Key == store.SendKey(s.Target, 1) {
				return patch.ErrUnavailable
			}
		}
		return nil
	}
}
