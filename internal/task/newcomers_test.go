package task_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/task"
)

const groupTag = "aws:autoscaling:groupName"

// joined is a site of four whose first instance, of the group web, is gone, and
// whose wave's filter selects three more than its plan has.
func joined(t *testing.T, change ...func(*patch.Leaf)) *site {
	t.Helper()
	s := through(t, 4, func(l *patch.Leaf, _ *patch.TargetRow, _ *patch.WaveRow, _ *patch.RunRow) {
		l.Filters = &patch.Filters{Tags: map[string][]string{"PatchGroup": {"default"}}, Platforms: []patch.Platform{patch.Linux}}
		for i := range l.Instances {
			l.Instances[i].Group = "web"
		}
		for _, f := range change {
			f(l)
		}
	})
	s.patched(instance(1), instance(2), instance(3))
	delete(s.spoke.machines, instance(0))
	s.now = s.now.Add(20 * time.Minute)
	for i := 1; i < 4; i++ {
		s.spoke.matching = append(s.spoke.matching, s.spoke.machines[instance(i)])
	}
	s.spoke.matching = append(s.spoke.matching,
		task.Machine{ID: "i-0f", State: "running", Tags: map[string]string{groupTag: "web"}},
		task.Machine{ID: "i-0e", State: "running"},
		task.Machine{ID: "i-0d", State: "stopped"},
	)
	s.inventory(patch.Inventory{Run: siteRun, Planned: s.leaf.Instances, Excluded: []patch.ExcludedInstance{{InstanceID: "i-0d", Wave: "w", Outcome: patch.Offline, Reason: "instance is stopped"}}})
	return s
}

func (s *site) inventory(inv patch.Inventory) {
	s.t.Helper()
	data, err := patch.Canonical(inv)
	require.NoError(s.t, err)
	s.bucket.localObjects[patch.InventoryObject(siteRun, s.target.Account, s.target.Region)] = data
}

// came lists the newcomers of the stored result.
func (s *site) came() map[patch.InstanceID]string {
	s.t.Helper()
	var result task.TargetResult
	require.NoError(s.t, json.Unmarshal(s.bucket.localObjects[s.resultKey()], &result))
	all := map[patch.InstanceID]string{}
	for _, n := range result.Newcomers {
		assert.Equal(s.t, patch.Newcomer, n.Outcome)
		assert.Equal(s.t, "w", n.Wave)
		all[n.InstanceID] = n.Reason
	}
	assert.Len(s.t, all, len(result.Newcomers), "each once")
	return all
}

// A successor is listed with what it stands in for, a stranger without, and
// what the plan left out is no newcomer.
func TestVerify_newcomers(t *testing.T) {
	s := joined(t)
	s.spoke.described = nil
	s.verified()
	assert.Equal(t, map[patch.InstanceID]string{
		"i-0e": "not patched: it was not there, or not tagged, when the plan was made",
		"i-0f": "not patched: Auto Scaling group web put it in place of " + string(instance(0)),
	}, s.came())
	assert.Equal(t, patch.Gone, s.outcome(instance(0)).Outcome)
	assert.Equal(t, []patch.InstanceID{instance(0)}, s.spoke.described, "only what the listing lacks is asked for by id")
	assert.Equal(t, map[patch.Outcome]int{patch.Patched: 3, patch.Gone: 1}, s.row().Outcomes, "a newcomer has no result")

	s.judge()
	_, r := s.report(task.VerifyInput{Task: "report"})
	assert.Len(t, r.Instances, 4)
	assert.Equal(t, 2, r.Totals.Excluded)
	require.Len(t, r.Excluded, 2)
	assert.Equal(t, patch.InstanceID("i-0e"), r.Excluded[0].InstanceID)
	for _, form := range []string{"csv", "html"} {
		assert.Contains(t, string(s.bucket.localObjects[patch.ReportObject(siteRun, form)]), "in place of "+string(instance(0)), form)
	}
}

func TestVerify_whoIsNoNewcomer(t *testing.T) {
	tests := []struct {
		name string
		set  func(*site)
		want []patch.InstanceID
	}{
		{"taken out by its owner", func(s *site) { s.spoke.matching[3].Tags[patch.ExclusionTag] = "yes" }, []patch.InstanceID{"i-0e"}},
		{"another platform to ec2", func(s *site) { s.spoke.matching[3].Windows = true }, []patch.InstanceID{"i-0e"}},
		{"another platform to ssm", func(s *site) { s.spoke.agents["i-0f"] = task.Agent{Platform: patch.MacOS} }, []patch.InstanceID{"i-0e"}},
		{"told by a former wave", func(s *site) {
			other := s.target
			other.Wave = "former"
			s.inventory(patch.Inventory{Run: siteRun, Planned: []patch.PlannedInstance{{ID: "i-0d", Wave: "former"}}})
			data, err := patch.Canonical(task.TargetResult{Target: other, Newcomers: []patch.ExcludedInstance{{InstanceID: "i-0f"}}})
			require.NoError(s.t, err)
			s.bucket.localObjects[patch.ResultObject(other, patch.Digest(data))] = data
			s.table.put(patch.TargetKey(other), patch.TargetRow{Status: patch.TargetVerified, ResultHash: patch.Digest(data)})
		}, []patch.InstanceID{"i-0e"}},
		{"the inventory is lost", func(s *site) {
			delete(s.bucket.localObjects, patch.InventoryObject(siteRun, s.target.Account, s.target.Region))
		}, []patch.InstanceID{}},
		{"the inventory cannot be read", func(s *site) {
			s.bucket.localObjects[patch.InventoryObject(siteRun, s.target.Account, s.target.Region)] = []byte("{")
		}, []patch.InstanceID{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := joined(t)
			test.set(s)
			s.verified()
			assert.Equal(t, test.want, task.SortedKeys(s.came()))
		})
	}
}

// A wave that names its instances selects no others.
func TestVerify_namedInstances(t *testing.T) {
	s := joined(t, func(l *patch.Leaf) { l.Filters = nil })
	s.verified()
	assert.Empty(t, s.came())
}

// Which of a group's instances stands in for which, nobody knows.
func TestVerify_manyReplaced(t *testing.T) {
	s := joined(t)
	s.spoke.matching = s.spoke.matching[3:]
	for i := range 3 {
		delete(s.spoke.machines, instance(i))
	}
	s.verified()
	assert.Equal(t, "not patched: Auto Scaling group web put it in place of "+string(instance(0))+" or "+string(instance(1))+" or "+string(instance(2)), s.came()["i-0f"])

	s = joined(t)
	s.spoke.matching = s.spoke.matching[3:]
	clear(s.spoke.machines)
	s.verified()
	assert.Equal(t, "not patched: Auto Scaling group web put it in place of one of 4 instances that are gone", s.came()["i-0f"])
}
