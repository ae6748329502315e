package plan_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

func index() plan.Index {
	return plan.Index{
		Run: "run-1", InputDigest: patch.Digest([]byte("input")),
		Waves: []plan.IndexWave{
			{Name: "canary", Planned: 2, Targets: []plan.IndexTarget{{Account: "111111111111", Region: "us-east-1",
				Planned: 2, Digest: patch.Digest([]byte("a"))}}},
			{Name: "main", Planned: 5, Targets: []plan.IndexTarget{
				{Account: "222222222222", Region: "us-east-1", Planned: 3, Digest: patch.Digest([]byte("b"))},
				{Account: "222222222222", Region: "us-west-2", Planned: 2, Digest: patch.Digest([]byte("c"))},
			}},
		},
	}
}

func sealed(change func(*plan.Index)) string {
	x := index()
	change(&x)
	if err := x.Seal(); err != nil {
		panic(err)
	}
	return x.Digest
}

func TestIndex_Seal_anyChangeChangesTheDigest(t *testing.T) {
	same := sealed(func(*plan.Index) {})
	assert.Regexp(t, `^[0-9a-f]{64}$`, same)
	assert.Equal(t, same, sealed(func(x *plan.Index) { x.Digest = "whatever stood there" }), "it does not cover itself")
	assert.Equal(t, same, sealed(func(x *plan.Index) { x.Frozen = time.Now() }),
		"the same plan frozen later is the same plan")

	changes := map[string]func(*plan.Index){
		"another run":     func(x *plan.Index) { x.Run = "run-2" },
		"another input":   func(x *plan.Index) { x.InputDigest = patch.Digest([]byte("other")) },
		"a wave less":     func(x *plan.Index) { x.Waves = x.Waves[:1] },
		"waves swapped":   func(x *plan.Index) { x.Waves[0], x.Waves[1] = x.Waves[1], x.Waves[0] },
		"a wave renamed":  func(x *plan.Index) { x.Waves[0].Name = "canary2" },
		"a target less":   func(x *plan.Index) { x.Waves[1].Targets = x.Waves[1].Targets[:1] },
		"targets swapped": func(x *plan.Index) { t := x.Waves[1].Targets; t[0], t[1] = t[1], t[0] },
		"another account": func(x *plan.Index) { x.Waves[0].Targets[0].Account = "111111111112" },
		"another region":  func(x *plan.Index) { x.Waves[0].Targets[0].Region = "us-east-2" },
		"another leaf": func(x *plan.Index) {
			x.Waves[0].Targets[0].Digest = patch.Digest([]byte("z"))
		},
		"no leaf":                        func(x *plan.Index) { x.Waves[0].Targets[0].Digest = "" },
		"a target in another wave":       func(x *plan.Index) { moveTarget(x) },
		"fewer instances than there are": func(x *plan.Index) { x.Waves[0].Planned = 1 },
		"nobody is asked":                func(x *plan.Index) { x.Waves[0].AskScope = "none" },
		"two waves of the same two":      func(x *plan.Index) { x.Waves = append(x.Waves, x.Waves[1]) },
	}
	seen := map[string]string{same: "no change"}
	for name, change := range changes {
		got := sealed(change)
		if former, dup := seen[got]; dup {
			t.Errorf("%s has the digest of %s", name, former)
		}
		seen[got] = name
	}
}

// moveTarget keeps the sequence of all targets and moves the border between the waves.
func moveTarget(x *plan.Index) {
	first, second := &x.Waves[0], &x.Waves[1]
	first.Targets = append(first.Targets, second.Targets[0])
	second.Targets = second.Targets[1:]
}

func TestIndex_Planned(t *testing.T) {
	x := index()
	assert.Equal(t, 7, x.Planned())
}

func TestCanonical(t *testing.T) {
	a, err := patch.Canonical(map[string]int{"b": 1, "a": 2})
	require.NoError(t, err)
	assert.Equal(t, `{"a":2,"b":1}`, string(a))
	_, err = patch.Canonical(make(chan int))
	assert.Error(t, err)
}

func TestLeaf_everyFieldIsInTheDigest(t *testing.T) {
	leaf := plan.Leaf{
		Target:    patch.Target{Run: "r", Wave: "w", Account: "111111111111", Region: "us-east-1"},
		Document:  patch.Document,
		Operation: patch.Install, RebootOption: patch.NoReboot, SnapshotID: "s", CommandTimeoutSeconds: 1,
		Concurrency: 1, ErrorLimit: 1,
		OptOutTag: plan.ExclusionTag, Instances: []outcome.PlannedInstance{{ID: "i-1"}},
	}
	data, err := patch.Canonical(leaf)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	for _, name := range []string{
		"run", "wave", "account", "region", "document", "operation", "rebootOption", "snapshotId",
		"commandTimeoutSeconds", "concurrency", "errorLimit", "slowStart", "optOutTag", "instances",
	} {
		assert.Contains(t, fields, name)
	}
	assert.Len(t, fields, 14)
}

func target() patch.Target {
	return patch.Target{Run: "run-1", Wave: "canary", Account: "111111111111", Region: "us-east-1"}
}

// neighbours are targets that differ from target in one part, or in where a part ends.
func neighbours() []patch.Target {
	t := target()
	return []patch.Target{
		t,
		{Run: "run-2", Wave: t.Wave, Account: t.Account, Region: t.Region},
		{Run: t.Run, Wave: "canary2", Account: t.Account, Region: t.Region},
		{Run: t.Run, Wave: t.Wave, Account: "111111111112", Region: t.Region},
		{Run: t.Run, Wave: t.Wave, Account: t.Account, Region: "us-east-2"},
		{Run: "run-", Wave: "1canary", Account: t.Account, Region: t.Region},
	}
}

func TestSnapshotID(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for _, at := range neighbours() {
		id := plan.SnapshotID(at)
		assert.Regexp(t, uuid, id)
		assert.Equal(t, id, plan.SnapshotID(at), "a second attempt asks for the same one")
		assert.False(t, seen[id], "%+v has another target's snapshot", at)
		seen[id] = true
	}
}

func TestMarker(t *testing.T) {
	seen := map[string]bool{}
	for _, at := range neighbours() {
		for _, batch := range []int{1, 2, 11, 9999} {
			m := plan.Marker(at, batch)
			assert.LessOrEqual(t, len(m), 100, "SSM takes no longer comment")
			assert.False(t, seen[m], "%+v batch %d has another's marker", at, batch)
			seen[m] = true
		}
	}
}

func TestThreshold_zeroLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 100_000).Draw(rt, "n")
		th := patch.Threshold{Value: rapid.IntRange(0, 100).Draw(rt, "value"),
			Percent: rapid.Bool().Draw(rt, "percent")}
		assert.Equal(rt, th.Value == 0, th.Limit(n) == 0, "%s of %d tolerates nothing only if written as nothing", th,
			n)
		back, err := patch.ParseThreshold(th.String())
		require.NoError(rt, err)
		assert.Equal(rt, th, back)
		assert.LessOrEqual(rt, th.Concurrency(n), max(n, 1))
	})
}
