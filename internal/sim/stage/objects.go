package stage

import (
	"encoding/json"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// Leaf is a target's plan as it stands in the bucket.
func (s *Stage) Leaf(t patch.Target) (plan.Leaf, bool) {
	var leaf plan.Leaf
	data, ok := s.World.Object(s.Bucket(), store.LeafObject(t))
	if !ok || json.Unmarshal(data, &leaf) != nil {
		return leaf, false
	}
	return leaf, true
}

// RegionConcurrency is how many regions of an account the template lets run at once.
func (s *Stage) RegionConcurrency() int {
	for _, f := range s.Hub.Functions() {
		if v := f.Environment["REGION_CONCURRENCY"]; v != "" {
			n := 0
			for _, c := range v {
				n = n*10 + int(c-'0')
			}
			return max(n, 1)
		}
	}
	return 1
}

// SlowStart tells whether a target's plan begins slowly.
func (s *Stage) SlowStart(t patch.Target) bool {
	var leaf struct {
		SlowStart bool `json:"slowStart"`
	}
	data, ok := s.World.Object(s.Bucket(), store.LeafObject(t))
	return ok && json.Unmarshal(data, &leaf) == nil && leaf.SlowStart
}

// Bucket is the data bucket's name.
func (s *Stage) Bucket() string {
	for _, f := range s.Hub.Functions() {
		if b := f.Environment["DATA_BUCKET"]; b != "" {
			return b
		}
	}
	return ""
}

// Index is the plan as it stands in the bucket.
func (s *Stage) Index() (plan.Index, bool) {
	var x plan.Index
	data, ok := s.World.Object(s.Bucket(), store.IndexObject(s.Setup.RunID))
	if !ok || json.Unmarshal(data, &x) != nil {
		return x, false
	}
	return x, true
}
