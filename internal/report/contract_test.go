package report_test

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
)

// Programs that read report.json find every field that the contract names, in a
// report that has nothing to say in any of them, too.
func TestJSON_everyNamedFieldIsThere(t *testing.T) {
	r := &report.Report{
		Waves: []report.WaveReport{{}}, Instances: []outcome.InstanceReport{{}}, Excluded: []plan.ExcludedInstance{{}},
		Unreachable: []plan.UnreachableAccount{{}},
	}
	var got map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(render(t, report.JSON, r)), &got))
	has(t, got, "schemaVersion run status planDigest waves instances excluded unreachable approvals totals",
		"status planDigest")
	first := func(list string) map[string]json.RawMessage {
		var all []map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(got[list], &all))
		require.Len(t, all, 1, list)
		return all[0]
	}
	has(t, first("waves"), "name verdict outcomes", "verdict")
	has(t, first("instances"), "instanceId account region wave platform outcome reason commandId before after output "+
		"patches",
		"platform reason commandId before after output patches")
	has(t, first("excluded"), "instanceId account region outcome reason", "reason")
	has(t, first("unreachable"), "account region reason", "region reason")
	assert.JSONEq(t, "[]", string(got["approvals"]))
}

// has wants all names, and of those that are null no others.
func has(t *testing.T, in map[string]json.RawMessage, names, null string) {
	t.Helper()
	for name := range strings.FieldsSeq(names) {
		require.Contains(t, in, name)
		assert.Equal(t, strings.Contains(" "+null+" ", " "+name+" "), string(in[name]) == "null", "%s is %s", name, in[name])
	}
}

// The form that is written has every field of the report: what is filled in is read back.
func TestJSON_noFieldIsForgotten(t *testing.T) {
	want := report.Report{
		Instances: make([]outcome.InstanceReport, 1), Excluded: make([]plan.ExcludedInstance, 1),
		Unreachable: make([]plan.UnreachableAccount, 1), Waves: make([]report.WaveReport, 1),
		Inactive: make([]runinput.InactiveAccount, 1), Approvals: make([]report.ApprovalReport, 1),
		Totals: report.Totals{Outcomes: map[outcome.Outcome]int{outcome.Patched: 1}},
	}
	fill(reflect.ValueOf(&want).Elem())
	var got report.Report
	require.NoError(t, json.Unmarshal([]byte(render(t, report.JSON, &want)), &got))
	assert.Equal(t, want, got)
}

// fill puts something into every field.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(reflect.ValueOf(outcome.Patched), reflect.ValueOf(7))
		v.Set(m)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at(3)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// Instances that are down share one group by what is wrong; each tells since when.
func TestReport_downIsOneGroup(t *testing.T) {
	r := &report.Report{Status: patch.RunCompleted, Waves: []report.WaveReport{{Name: "w", Verdict: patch.VerdictGood}}}
	for i, reason := range []string{"stopped since 2026-12-01 02:31 UTC; 3 patches installed",
		"stopped since 2026-12-01 02:44 UTC; nothing was installed"} {
		r.Instances = append(r.Instances, outcome.InstanceReport{
			InstanceID: patch.InstanceID([]string{"i-1", "i-2"}[i]), Account: "111111111111", Region: "us-east-1", Wave: "w",
			Outcome: outcome.Unhealthy,
			Reason:  reason, Down: outcome.DownStopped, Since: ptr(at(31 + 13*i)),
		})
	}
	r.Totals = report.Totals{Planned: 2, Failures: 2, Outcomes: map[outcome.Outcome]int{outcome.Unhealthy: 2}}
	text := renderText(t, r)
	assert.Contains(t, text, "     2  Unhealthy      stopped\n")
	assert.Contains(t, text, "i-1 111111111111 us-east-1 w: stopped since 2026-12-01 02:31 UTC; 3 patches installed")
	page := render(t, report.HTML, r)
	assert.Contains(t, page, "stopped since 2026-12-01 02:44 UTC; nothing was installed")
	assert.Contains(t, text, "Every wave was judged good, and not every instance is.")
}

// A reboot that a wave forbids is asked of nobody: it is good, with a note.
func TestReport_rebootThatWasForbidden(t *testing.T) {
	of := func(reboot patch.RebootOption) string {
		r := &report.Report{
			Status: patch.RunSucceeded,
			Waves: []report.WaveReport{{Name: "w", Planned: 1, Reboot: reboot, Verdict: patch.VerdictGood,
				Outcomes: map[outcome.Outcome]int{outcome.PatchedPendingReboot: 1}}},
			Instances: []outcome.InstanceReport{{InstanceID: "i-1", Wave: "w", Outcome: outcome.PatchedPendingReboot,
				Reason: "a reboot is due"}},
			Totals: report.Totals{Planned: 1, Outcomes: map[outcome.Outcome]int{outcome.PatchedPendingReboot: 1}},
		}
		return renderText(t, r)
	}
	assert.Contains(t, of(patch.NoReboot), "Good, with a warning")
	assert.Contains(t, of(patch.NoReboot), "Every planned instance is patched or compliant.")
	assert.NotContains(t, of(patch.RebootIfNeeded), "Good, with a warning")
}

func TestHTML_patchesByName(t *testing.T) {
	page := render(t, report.HTML, sample())
	assert.Contains(t, page, "9 patches by name")
	assert.Contains(t, page, "KB5031234")
	assert.Contains(t, page, "CVE-2026-0001 CVE-2026-0002")
	assert.Contains(t, page, "7 more are not kept.")
	assert.Contains(t, render(t, report.CSV, sample()), ",KB2267602,KB5031234,,7")
}

func renderText(t *testing.T, r *report.Report) string {
	return render(t, func(w io.Writer, r *report.Report) error { return report.Text(w, r, 120, false) }, r)
}
