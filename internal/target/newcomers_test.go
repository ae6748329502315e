package target_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
	"ec2patch/internal/words"
)

const groupTag = "aws:autoscaling:groupName"

// joined is a site of four whose first instance, of the group web, is gone, and
// whose wave's filter selects three more than its plan has.
func joined(t *testing.T, change ...func(*plan.Leaf)) *site.Site {
	t.Helper()
	s := site.Through(t, 4, func(l *plan.Leaf, _ *target.TargetRow, _ *store.WaveRow, _ *store.RunRow) {
		l.Filters = &runinput.Filters{Tags: map[string][]string{"PatchGroup": {"default"}},
			Platforms: []patch.Platform{patch.Linux}}
		for i := range l.Instances {
			l.Instances[i].Group = "web"
		}
		for _, f := range change {
			f(l)
		}
	})
	s.Patched(site.Instance(1), site.Instance(2), site.Instance(3))
	delete(s.SSM.Known, site.Instance(0))
	s.Now = s.Now.Add(20 * time.Minute)
	for i := 1; i < 4; i++ {
		s.SSM.Matches = append(s.SSM.Matches, s.SSM.Known[site.Instance(i)])
	}
	s.SSM.Matches = append(s.SSM.Matches,
		port.Machine{ID: "i-0f", State: "running", Tags: map[string]string{groupTag: "web"}},
		port.Machine{ID: "i-0e", State: "running"},
		port.Machine{ID: "i-0d", State: "stopped"},
	)
	s.Inventory(plan.Inventory{Run: site.Run, Planned: s.Leaf.Instances,
		Excluded: []plan.ExcludedInstance{{InstanceID: "i-0d", Wave: "w", Outcome: outcome.Offline,
			Reason: "instance is stopped"}}})
	return s
}

// A successor is listed with what it stands in for, a stranger without, and
// what the plan left out is no newcomer.
func TestVerify_newcomers(t *testing.T) {
	s := joined(t)
	s.SSM.Described = nil
	s.Verified()
	assert.Equal(t, map[patch.InstanceID]string{
		"i-0e": "not patched: it was not there, or not tagged, when the plan was made",
		"i-0f": "not patched: Auto Scaling group web put it in place of " + string(site.Instance(0)),
	}, s.Came())
	assert.Equal(t, outcome.Gone, s.Outcome(site.Instance(0)).Outcome)
	assert.Equal(t, []patch.InstanceID{site.Instance(0)}, s.SSM.Described,
		"only what the listing lacks is asked for by id")
	assert.Equal(t, map[outcome.Outcome]int{outcome.Patched: 3, outcome.Gone: 1}, s.Row().Outcomes,
		"a newcomer has no result")

	s.Judge()
	_, r := s.Report(task.VerifyInput{Task: patch.TaskReport})
	assert.Len(t, r.Instances, 4)
	assert.Equal(t, 2, r.Totals.Excluded)
	require.Len(t, r.Excluded, 2)
	assert.Equal(t, patch.InstanceID("i-0e"), r.Excluded[0].InstanceID)
	for _, form := range []string{"csv", "html"} {
		assert.Contains(t, string(s.Bucket.Objects[store.ReportObject(site.Run, form)]),
			"in place of "+string(site.Instance(0)), form)
	}
}

func TestVerify_whoIsNoNewcomer(t *testing.T) {
	tests := []struct {
		name string
		set  func(*site.Site)
		want []patch.InstanceID
	}{
		{"taken out by its owner", func(s *site.Site) {
			s.SSM.Matches[3].Tags[plan.ExclusionTag] = "yes"
		}, []patch.InstanceID{"i-0e"}},
		{"another platform to ec2", func(s *site.Site) { s.SSM.Matches[3].Windows = true }, []patch.InstanceID{"i-0e"}},
		{"another platform to ssm", func(s *site.Site) {
			s.SSM.Managed["i-0f"] = port.Agent{Platform: patch.MacOS}
		}, []patch.InstanceID{"i-0e"}},
		{"told by a former wave", func(s *site.Site) {
			other := s.Target
			other.Wave = "former"
			s.Inventory(plan.Inventory{Run: site.Run, Planned: []outcome.PlannedInstance{{ID: "i-0d", Wave: "former"}}})
			data,
				err := patch.Canonical(target.TargetResult{Target: other, Newcomers: []plan.ExcludedInstance{{InstanceID: "i-0f"}}})
			require.NoError(s.T, err)
			s.Bucket.Objects[store.ResultObject(other, patch.Digest(data))] = data
			s.Table.Put(store.TargetKey(other), target.TargetRow{Status: target.TargetVerified, ResultHash: patch.Digest(data)})
		}, []patch.InstanceID{"i-0e"}},
		{"the inventory is lost", func(s *site.Site) {
			delete(s.Bucket.Objects, store.InventoryObject(site.Run, s.Target.Account, s.Target.Region))
		}, []patch.InstanceID{}},
		{"the inventory cannot be read", func(s *site.Site) {
			s.Bucket.Objects[store.InventoryObject(site.Run, s.Target.Account, s.Target.Region)] = []byte("{")
		}, []patch.InstanceID{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := joined(t)
			test.set(s)
			s.Verified()
			assert.Equal(t, test.want, words.SortedKeys(s.Came()))
		})
	}
}

// A wave that names its instances selects no others.
func TestVerify_namedInstances(t *testing.T) {
	s := joined(t, func(l *plan.Leaf) { l.Filters = nil })
	s.Verified()
	assert.Empty(t, s.Came())
}

// Which of a group's instances stands in for which, nobody knows.
func TestVerify_manyReplaced(t *testing.T) {
	s := joined(t)
	s.SSM.Matches = s.SSM.Matches[3:]
	for i := range 3 {
		delete(s.SSM.Known, site.Instance(i))
	}
	s.Verified()
	assert.Equal(t, "not patched: Auto Scaling group web put it in place of "+string(site.Instance(0))+" or "+
		string(site.Instance(1))+" or "+string(site.Instance(2)), s.Came()["i-0f"])

	s = joined(t)
	s.SSM.Matches = s.SSM.Matches[3:]
	clear(s.SSM.Known)
	s.Verified()
	assert.Equal(t, "not patched: Auto Scaling group web put it in place of one of 4 instances that are gone",
		s.Came()["i-0f"])
}
