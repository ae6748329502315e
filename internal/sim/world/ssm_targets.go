package world

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
)

// sendTargets finds the instances. Ids are all or nothing. Source: B:SendCommand, docs/aws-semantics.md 2.1.
func (s *SSM) sendTargets(req sendRequest) ([]*Instance, error) {
	if len(req.targets) > 0 {
		if err := checkTargets(req.targets); err != nil {
			return nil, err
		}
		var found []*Instance
		for _, i := range s.fleet().instances {
			if s.w.sendable(i) && i.targeted(req.targets) {
				found = append(found, i)
			}
		}
		return found, nil
	}
	var found []*Instance
	var bad []string
	for n, id := range req.ids {
		if slices.Contains(req.ids[:n], id) {
			return nil, duplicateInstanceID(id)
		}
		i, ok := s.w.instances[id]
		if !ok || i.Account != s.p.Account || i.Region != s.region || !s.w.sendable(i) {
			bad = append(bad, id)
			continue
		}
		found = append(found, i)
	}
	if len(bad) > 0 {
		return nil, invalidInstanceID(bad, s.p.Account)
	}
	return found, nil
}

func (w *World) sendable(i *Instance) bool {
	if !i.managed || i.State == stateShuttingDown || i.State == stateTerminated {
		return false
	}
	return !w.SSMOptions.RefuseOffline || i.online
}

// checkTargets accepts tag:<key>, tag-key and InstanceIds targets.
func checkTargets(targets []ssmtypes.Target) error {
	for _, t := range targets {
		key := aws.ToString(t.Key)
		switch {
		case len(t.Values) > maxTargetValues:
			return core.Invalid("targets.values", "length less than or equal to 50")
		case strings.HasPrefix(key, "tag:") || key == "tag-key" || key == "InstanceIds":
		default:
			return core.Unmodelled("a SendCommand target with key " + key)
		}
	}
	return nil
}

// targeted tells whether all targets match: keys AND, values OR.
func (i *Instance) targeted(targets []ssmtypes.Target) bool {
	for _, t := range targets {
		if !i.hit(aws.ToString(t.Key), t.Values) {
			return false
		}
	}
	return len(targets) > 0
}

func (i *Instance) hit(key string, values []string) bool {
	switch {
	case key == "InstanceIds":
		return slices.Contains(values, i.ID)
	case key == "tag-key":
		for _, v := range values {
			if _, ok := i.Tags[v]; ok {
				return true
			}
		}
		return false
	}
	v, ok := i.Tags[strings.TrimPrefix(key, "tag:")]
	return ok && slices.Contains(values, v)
}
