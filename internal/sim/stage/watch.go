package stage

import "ec2patch/internal/asl"

// watcher is told of every invocation. It only looks.
type watcher interface {
	Watch(l *Lambda, payload, out []byte, failure *asl.Failure)
}

// told shows an invocation to whoever looks.
func (s *Stage) told(l *Lambda, payload, out []byte, failure *asl.Failure) {
	if s.Watcher != nil {
		s.Watcher.Watch(l, payload, out, failure)
	}
}
