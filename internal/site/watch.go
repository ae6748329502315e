package site

import "ec2patch/internal/store"

func (s *Site) Watched() store.Watch {
	s.T.Helper()
	var w store.Watch
	s.Read(store.WatchKey(Run, "w"), &w)
	return w
}
