package site

import (
	"context"
	"errors"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
)

// naming is what SSM lists by name; every site has one.
type naming struct {
	port.Spoke
	Names map[patch.InstanceID]outcome.NamedList // of the others there is no answer
	Asked []patch.InstanceID
}

func (n *naming) Patches(_ context.Context, id patch.InstanceID) (outcome.NamedList, error) {
	n.Asked = append(n.Asked, id)
	names, known := n.Names[id]
	if !known {
		return names, errors.New("ThrottlingException")
	}
	return names, nil
}

// Naming is where a test says what is listed by name.
func (s *Site) Naming() *naming { return s.SSM.Spoke.(*naming) }
