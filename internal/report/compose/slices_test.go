package compose_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/fake"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/site"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
	"ec2patch/internal/task"
)

// shelf is a bucket that can be copied. With a folder it keeps its objects there,
// and leaves the memory to the code under test.
type shelf struct {
	fake.Bucket
	dir string
}

func (d *shelf) path(key string) string {
	return filepath.Join(d.dir, strings.ReplaceAll(key, "/", "_"))
}

func (d *shelf) Store(ctx context.Context, key, kind string, data []byte) error {
	if d.dir == "" {
		return d.Bucket.Store(ctx, key, kind, data)
	}
	return os.WriteFile(d.path(key), data, 0o600)
}

func (d *shelf) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	if d.dir == "" {
		return d.Bucket.Fetch(ctx, key)
	}
	data, err := os.ReadFile(d.path(key))
	if os.IsNotExist(err) {
		return nil, false, nil
	}
	return data, err == nil, err
}

func (d *shelf) Begin(ctx context.Context, key, kind string) io.WriteCloser {
	if d.dir == "" {
		return d.Bucket.Begin(ctx, key, kind)
	}
	f, err := os.Create(d.path(key))
	if err != nil {
		panic(err)
	}
	return f
}

// fleet is a run whose waves were all verified and judged good.
type fleet struct {
	*site.Site
	disk *shelf
}

// newFleet makes up a run of one wave: so many accounts, each with the regions
// and in each region with the instances. One instance in fifty failed.
func newFleet(t testing.TB, dir string, accounts, regions, instances int) *fleet {
	t.Helper()
	f := &fleet{disk: &shelf{dir: dir, Bucket: fake.Bucket{Objects: fake.Objects{}}}}
	f.Site = &site.Site{Table: fake.NewState(), Mail: &fake.Mail{}, Key: &fake.Key{Secret: "decisions"},
		Metrics: site.Metrics{}, Now: time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)}
	wave := plan.IndexWave{Name: "w", Operation: patch.Install, RebootOption: patch.RebootIfNeeded,
		Planned: accounts * regions * instances, AskScope: "none"}
	for a := range accounts {
		account := patch.AccountID(fmt.Sprintf("%012d", 100_000_000_000+a))
		up := compose.AccountResult{Run: site.Run, Wave: "w", Account: account}
		for r := range regions {
			target := patch.Target{Run: site.Run, Wave: "w", Account: account,
				Region: patch.Region(fmt.Sprintf("us-east-%d", r+1))}
			data := f.verifiedTarget(t, target, a*regions+r, instances)
			up.Results = append(up.Results, data)
			up.Excluded = append(up.Excluded, f.awayIn(t, target, a))
			wave.Targets = append(wave.Targets,
				plan.IndexTarget{Account: account, Region: target.Region, Planned: instances, Excluded: 1, Digest: "d"})
		}
		data, err := patch.Canonical(up)
		require.NoError(t, err)
		require.NoError(t, f.disk.Store(t.Context(), store.RollUpObject(site.Run, "w", account), "", data))
	}
	f.Index = plan.Index{Run: site.Run, Waves: []plan.IndexWave{wave}}
	require.NoError(t, f.Index.Seal())
	data, err := patch.Canonical(f.Index)
	require.NoError(t, err)
	require.NoError(t, f.disk.Store(t.Context(), store.IndexObject(site.Run), "", data))
	require.NoError(t, f.disk.Store(t.Context(), store.InputObject(site.Run), "", []byte(`{"waves":[]}`)))
	f.Table.Put(store.RunKey(site.Run),
		store.RunRow{Run: site.Run, Status: patch.RunRunning, Digest: f.Index.Digest, Started: f.Now.Add(-4 * time.Hour)})
	f.Table.Put(store.WaveKey(site.Run, "w"), store.WaveRow{Wave: "w", Planned: wave.Planned, Verdict: patch.VerdictGood})
	return f
}

// copied is the same run once more.
func (f *fleet) copied() *fleet {
	c := *f.Site
	c.Table, c.Mail, c.Metrics = fake.NewState(), &fake.Mail{}, site.Metrics{}
	c.Table.Rows, c.Table.Audits = maps.Clone(f.Table.Rows), maps.Clone(f.Table.Audits)
	return &fleet{Site: &c, disk: &shelf{Bucket: fake.Bucket{Objects: maps.Clone(f.disk.Objects)}}}
}

// verifiedTarget writes the row and the result of one target.
func (f *fleet) verifiedTarget(t testing.TB, at patch.Target, number, instances int) []byte {
	t.Helper()
	zero, some := 0, 12
	result := target.TargetResult{Target: at, At: f.Now, Settled: true}
	for i := range instances {
		state := outcome.PatchState{
			Operation: patch.Install, SnapshotID: plan.SnapshotID(at), Started: f.Now, Ended: f.Now.Add(time.Minute),
			Missing: &zero, Failed: &zero, InstalledPendingReboot: &zero, Installed: &some,
		}
		r := outcome.InstanceReport{
			InstanceID: site.Instance(number*instances + i), Account: at.Account, Region: at.Region, Wave: at.Wave,
			Platform: patch.Linux,
			Name:     fmt.Sprintf("web-%06d", i), Outcome: outcome.Patched, CommandID: "11111111-2222-3333-4444-555555555555",
			Status: "Success", Before: &state, After: &state,
		}
		if i%50 == 7 {
			r.Outcome, r.Reason, r.Output = outcome.Failed, "the command failed", strings.Repeat("error: disk full\n", 100)
		}
		result.Instances = append(result.Instances, r)
	}
	data, err := patch.Canonical(result)
	require.NoError(t, err)
	require.NoError(t, f.disk.Store(t.Context(), store.ResultObject(at, patch.Digest(data)), "", data))
	f.Table.Put(store.TargetKey(at),
		target.TargetRow{Status: target.TargetVerified, Planned: instances, ResultHash: patch.Digest(data),
			FirstSent: f.Now.Add(-time.Hour)})
	return data
}

// awayIn is what the target's region has besides, as its inventory says.
func (f *fleet) awayIn(t testing.TB, target patch.Target, number int) plan.ExcludedInstance {
	t.Helper()
	away := plan.ExcludedInstance{InstanceID: site.Instance(10_000_000 + number), Account: target.Account,
		Region: target.Region, Wave: "w", Outcome: outcome.Offline, Reason: "away"}
	data, err := patch.Canonical(plan.Inventory{Excluded: []plan.ExcludedInstance{away}})
	require.NoError(t, err)
	require.NoError(t, f.disk.Store(t.Context(), store.InventoryObject(site.Run, target.Account, target.Region), "", data))
	return away
}

func (f *fleet) call(t testing.TB, in task.VerifyInput) (compose.ReportOutput, error) {
	t.Helper()
	in.Run = site.Run
	v := &task.PostVerify{Reports: compose.Reports{Auditor: &fake.Auditor{},
		Table: f.Table, Objects: f.disk, Decisions: f.Key, Notices: f.Mail, Metrics: f.Metrics, Now: f.Clock,
		Targets: &target.Abandon{Table: f.Table, Now: f.Clock},
	}}
	out, err := v.Handle(t.Context(), in)
	answer, _ := out.(compose.ReportOutput)
	return answer, err
}

// run calls as the state machine does, until the report is written.
func (f *fleet) run(t testing.TB) (calls int) {
	t.Helper()
	in := task.VerifyInput{Task: patch.TaskReport}
	for calls = 1; calls < 100; calls++ {
		out, err := f.call(t, in)
		require.NoError(t, err)
		if out.Next == patch.NextDone {
			assert.True(t, out.Status.Good(), "what the fleet left to do depends on the case: %s", out.Status)
			return calls
		}
		require.Equal(t, patch.NextReport, out.Next)
		require.Equal(t, in.Cursor+1, out.Cursor)
		in.Cursor = out.Cursor
	}
	t.Fatal("the report does not come to an end")
	return calls
}

func (f *fleet) object(t testing.TB, key string) string {
	t.Helper()
	data, found, err := f.disk.Fetch(t.Context(), key)
	require.NoError(t, err)
	require.True(t, found, key)
	return string(data)
}

// forms are the three files of the report.
func (f *fleet) forms(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, form := range []string{"json", "csv", "html"} {
		all[form] = f.object(t, store.ReportObject(site.Run, form))
	}
	return all
}

// A run of any size is folded in slices, and each instance is in the report once.
func TestReport_slices(t *testing.T) {
	tests := []struct {
		name                         string
		accounts, regions, instances int
		calls                        int
	}{
		{"one account", 1, 2, 5, 1},
		{"as much as a slice holds", 50, 1, 99, 1}, // one more of each is excluded
		{"one account more", 51, 1, 99, 2},
		{"many small targets", 300, 4, 1, 2},
		{"an account larger than a slice, region by region", 1, 3, 1700, 2},
		{"a region larger than a slice", 2, 1, 5000, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, "", tt.accounts, tt.regions, tt.instances)
			assert.Equal(t, tt.calls, f.run(t))
			var r report.Report
			require.NoError(t, json.Unmarshal([]byte(f.forms(t)["json"]), &r))
			n := tt.accounts * tt.regions * tt.instances
			seen := map[patch.InstanceID]bool{}
			for _, i := range r.Instances {
				seen[i.InstanceID] = true
			}
			assert.Len(t, seen, n)
			assert.Len(t, r.Instances, n)
			assert.Equal(t, n, r.Totals.Planned)
			assert.Equal(t, n, r.Totals.Good+r.Totals.Failures)
			assert.Len(t, r.Waves[0].Accounts, tt.accounts, "an account in two slices is one")
			assert.Equal(t, tt.regions*tt.instances, r.Waves[0].Accounts[0].Planned)
			assert.Len(t, r.Excluded, tt.accounts*tt.regions)
			assert.Equal(t, len(r.Excluded), r.Totals.Excluded)
			assert.Equal(t, f.Now.Add(-time.Hour), *r.Waves[0].Started)
			rows, err := csv.NewReader(strings.NewReader(f.forms(t)["csv"])).ReadAll()
			require.NoError(t, err)
			assert.Len(t, rows, 1+n+len(r.Excluded))
			assert.Len(t, f.Mail.Sent, 1)
		})
	}
}

// Whatever is lost, repeated or cut off on the way, the report has the same bytes.
func TestReport_sameBytes(t *testing.T) {
	whole := newFleet(t, "", 105, 20, 1)
	calm := whole.copied()
	require.Equal(t, 3, calm.run(t))
	want := calm.forms(t)
	tests := []struct {
		name string
		do   func(t *testing.T, f *fleet)
	}{
		{"a slice is lost", func(t *testing.T, f *fleet) {
			_, err := f.call(t, task.VerifyInput{Task: patch.TaskReport})
			require.NoError(t, err)
			delete(f.disk.Objects, store.ReportSliceObject(site.Run, 0))
			_, err = f.call(t, task.VerifyInput{Task: patch.TaskReport, Cursor: 2})
			require.NoError(t, err)
		}},
		{"slices are planted before they are folded, and edited after", func(t *testing.T, f *fleet) {
			_, err := f.call(t, task.VerifyInput{Task: patch.TaskReport})
			require.NoError(t, err)
			folded := f.object(t, store.ReportSliceObject(site.Run, 0))
			forged := strings.ReplaceAll(folded, string(outcome.Patched), string(outcome.Compliant))
			require.NotEqual(t, folded, forged)
			for slice := range 2 { // the call that folds the second one is left out
				f.disk.Objects[store.ReportSliceObject(site.Run, slice)] = []byte(forged)
			}
			_, err = f.call(t, task.VerifyInput{Task: patch.TaskReport, Cursor: 2})
			require.NoError(t, err)
		}},
		{"every call twice", func(t *testing.T, f *fleet) {
			for cursor := range 3 {
				for range 2 {
					_, err := f.call(t, task.VerifyInput{Task: patch.TaskReport, Cursor: cursor})
					require.NoError(t, err)
				}
			}
		}},
		{"the last call dies before the run is closed, and comes again later", func(t *testing.T, f *fleet) {
			f.Table.Fail = func(writes []store.Write) error {
				for _, w := range writes {
					if w.How == store.Delete {
						return patch.ErrUnavailable
					}
				}
				return nil
			}
			_, err := f.call(t, task.VerifyInput{Task: patch.TaskReport, Cursor: 2})
			require.ErrorIs(t, err, patch.ErrUnavailable)
			f.Table.Fail = nil
			f.Now = f.Now.Add(time.Hour)
			_, err = f.call(t, task.VerifyInput{Task: patch.TaskClose, Status: "FAILED"})
			require.NoError(t, err)
		}},
		{"no roll-up", func(t *testing.T, f *fleet) {
			for a := range 105 {
				delete(f.disk.Objects, store.RollUpObject(site.Run, "w", patch.AccountID(fmt.Sprintf("%012d", 100_000_000_000+a))))
			}
			f.run(t)
		}},
		{"rebuilt from results and table", func(t *testing.T, f *fleet) {
			f.run(t)
			for form := range want {
				delete(f.disk.Objects, store.ReportObject(site.Run, form))
			}
			f.Now = f.Now.Add(24 * time.Hour)
			before := f.Table.Snapshot()
			out, err := f.call(t, task.VerifyInput{Task: patch.TaskRebuild})
			require.NoError(t, err)
			assert.Equal(t, compose.ReportOutput{Next: patch.NextDone, Status: patch.RunSucceeded,
				Cause: "Succeeded: see the report"}, out)
			assert.Equal(t, before, f.Table.Snapshot(), "a rebuild changes nothing")
			assert.Len(t, f.Mail.Sent, 1)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := whole.copied()
			tt.do(t, f)
			for form, text := range f.forms(t) {
				assert.True(t, want[form] == text, "report.%s is another", form)
			}
		})
	}
}

// A close that runs out of time is called again, and goes on where it was.
func TestClose_goesOn(t *testing.T) {
	f := newFleet(t, "", 160, 20, 1)
	clock := func() time.Time { // a slice takes 80 seconds, so two are all that a call has time for
		slices := 0
		for _, key := range f.disk.Stored {
			if strings.Contains(key, "/slices/") {
				slices++
			}
		}
		return f.Now.Add(time.Duration(slices) * 80 * time.Second)
	}
	v := &task.PostVerify{Reports: compose.Reports{Auditor: &fake.Auditor{},
		Table: f.Table, Objects: f.disk, Decisions: f.Key, Notices: f.Mail, Metrics: f.Metrics, Now: clock,
		Targets: &target.Abandon{Table: f.Table, Now: clock},
	}}
	calls := 0
	for calls = 1; calls < 10; calls++ {
		out, err := v.Handle(t.Context(), task.VerifyInput{Task: patch.TaskClose, Run: site.Run, Status: "ABORTED"})
		if err == nil {
			assert.Equal(t, patch.RunAborted, out.(compose.ReportOutput).Status)
			break
		}
		require.ErrorIs(t, err, patch.ErrUnavailable)
	}
	assert.Equal(t, 2, calls)
	folded := map[string]int{}
	for _, key := range f.disk.Stored {
		if strings.Contains(key, "/slices/") {
			folded[key]++
		}
	}
	assert.Len(t, folded, 3)
	for key, n := range folded {
		assert.Equal(t, 1, n, key)
	}
	assert.NotEmpty(t, f.forms(t)["json"])
}

// A report of a run that has not ended is not anybody's to rebuild.
func TestRebuild_refused(t *testing.T) {
	f := newFleet(t, "", 1, 1, 1)
	_, err := f.call(t, task.VerifyInput{Task: patch.TaskRebuild})
	require.ErrorIs(t, err, patch.ErrInvalidInput)
	assert.NotContains(t, f.disk.Objects, store.ReportObject(site.Run, "json"))
}

// BenchmarkReport_memory is the largest run that we promise: 1,000 accounts of
// 100 instances. MB/peak is what the heap grows by at most, garbage included.
func BenchmarkReport_memory(b *testing.B) {
	f := newFleet(b, b.TempDir(), 1000, 1, 100)
	rows, audits := maps.Clone(f.Table.Rows), maps.Clone(f.Table.Audits)
	for b.Loop() {
		b.StopTimer()
		f.Table.Rows, f.Table.Audits = maps.Clone(rows), maps.Clone(audits)
		runtime.GC()
		var base runtime.MemStats
		runtime.ReadMemStats(&base)
		stop, peak := make(chan bool), make(chan uint64)
		go func() {
			high := uint64(0)
			for {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				high = max(high, m.HeapInuse)
				select {
				case <-stop:
					peak <- high - base.HeapInuse
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
		b.StartTimer()
		b.ReportMetric(float64(f.run(b)), "calls")
		b.StopTimer()
		close(stop)
		b.ReportMetric(float64(<-peak)/(1<<20), "MB/peak")
		b.ReportMetric(float64(len(f.object(b, store.ReportObject(site.Run, "json"))))/(1<<20), "MB/json")
		b.StartTimer()
	}
}
