package world

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// patchesOf reads all patches of an instance, by state where one is given.
func patchesOf(t *testing.T, s *SSM, id string,
	filters ...ssmtypes.PatchOrchestratorFilter) (all []ssmtypes.PatchComplianceData) {
	t.Helper()
	var token *string
	for range 200 {
		out,
			err := s.DescribeInstancePatches(context.Background(),
			&ssm.DescribeInstancePatchesInput{InstanceId: &id, Filters: filters, NextToken: token, MaxResults: aws.Int32(100)})
		require.NoError(t, err)
		all = append(all, out.Patches...)
		if token = out.NextToken; aws.ToString(token) == "" {
			return all
		}
	}
	t.Fatal("the pages do not end")
	return nil
}

func patchFilter(key string, values ...string) ssmtypes.PatchOrchestratorFilter {
	return ssmtypes.PatchOrchestratorFilter{Key: &key, Values: values}
}

// Every count of the record is so many rows, at every moment of every fate.
func TestDescribeInstancePatches_Counts(t *testing.T) {
	for _, fate := range fleetfile.Fates() {
		for _, reading := range []EvidenceReading{EvidenceTwice, EvidenceBefore, EvidenceAfter} {
			w, s, insts := newFleet(t, 4, fate)
			w.SSMOptions.Evidence = reading
			if !w.sendable(insts[0]) {
				continue
			}
			id := insts[0].ID
			send(t, s, patching(id))
			for range 5 {
				p := patchState(t, s, id)
				if p == nil || p.MissingCount < 0 {
					require.Empty(t, patchesOf(t, s, id))
					runFor(w, 10*time.Minute+time.Second)
					continue
				}
				want := map[ssmtypes.PatchComplianceDataState]int32{
					"INSTALLED": p.InstalledCount, "INSTALLED_OTHER": p.InstalledOtherCount,
					"INSTALLED_PENDING_REBOOT": *p.InstalledPendingRebootCount,
					"INSTALLED_REJECTED":       *p.InstalledRejectedCount, "MISSING": p.MissingCount, "FAILED": p.FailedCount,
					"NOT_APPLICABLE": p.NotApplicableCount,
				}
				got := map[ssmtypes.PatchComplianceDataState]int32{}
				names := map[string]bool{}
				for _, row := range patchesOf(t, s, id) {
					got[row.State]++
					require.False(t, names[*row.KBId], "%s twice", *row.KBId)
					names[*row.KBId] = true
				}
				for state, n := range want {
					require.Equal(t, n, got[state], "%s %s", fate, state)
				}
				runFor(w, 10*time.Minute+time.Second)
			}
		}
	}
}

// A run's own patches are those whose time lies within its operation.
func TestDescribeInstancePatches_Times(t *testing.T) {
	w, s, insts := newFleet(t, 4, fleetfile.FateOK)
	w.WholePages = false
	missing := patchesOf(t, s, insts[0].ID, patchFilter("State", "Missing"))
	require.Len(t, missing, insts[0].Missing)
	cves := 0
	for _, m := range missing {
		require.Equal(t, noTime(), *m.InstalledTime)
		if m.CVEIds != nil {
			cves++
		}
	}
	require.Positive(t, cves)
	send(t, s, patching(insts[0].ID))
	runFor(w, time.Hour)
	p := patchState(t, s, insts[0].ID)
	var ours []string
	for _, row := range patchesOf(t, s, insts[0].ID, patchFilter("State", "Installed")) {
		require.Nil(t, row.CVEIds)
		if row.InstalledTime.After(testStart()) {
			require.False(t, row.InstalledTime.After(*p.OperationEndTime))
			ours = append(ours, *row.KBId)
		}
	}
	var were []string
	for _, m := range missing {
		were = append(were, *m.KBId)
	}
	require.ElementsMatch(t, were, ours)
	require.Contains(t, ours, "kernel.x86_64")
}

func TestDescribeInstancePatches_Platforms(t *testing.T) {
	w, s, _ := newFleet(t, 4)
	kb := func(spec InstanceSpec) ssmtypes.PatchComplianceData {
		spec.Account, spec.Region = testAccount, testRegion
		i, err := w.AddInstance(spec)
		require.NoError(t, err)
		return patchesOf(t, s, i.ID, patchFilter("State", "Missing"))[0]
	}
	require.Regexp(t, `^KB\d{7}$`, *kb(InstanceSpec{Name: "win", Platform: fleetfile.Windows}).KBId)
	apt := kb(InstanceSpec{Name: "ubuntu", PlatformName: "Ubuntu", PlatformVersion: "22.04"})
	require.Nil(t, apt.CVEIds)
	require.Regexp(t, `\.amd64$`, *apt.KBId)
}

func TestDescribeInstancePatches_FiltersAndRefusals(t *testing.T) {
	_, s, insts := newFleet(t, 4, fleetfile.FateOK, fleetfile.FateUnmanaged)
	for _, row := range patchesOf(t, s, insts[0].ID, patchFilter("Severity", "Critical"),
		patchFilter("State", "Installed", "Missing")) {
		require.Equal(t, "Critical", *row.Severity)
		require.Contains(t, []ssmtypes.PatchComplianceDataState{"INSTALLED", "MISSING"}, row.State)
	}
	require.Len(t, patchesOf(t, s, insts[0].ID, patchFilter("KBId", "kernel.x86_64")), 1)
	tests := []struct {
		name string
		in   ssm.DescribeInstancePatchesInput
		code string
	}{
		{"a node that is not registered", ssm.DescribeInstancePatchesInput{InstanceId: &insts[1].ID}, "InvalidInstanceId"},
		{"a filter that is none", ssm.DescribeInstancePatchesInput{InstanceId: &insts[0].ID,
			Filters: []ssmtypes.PatchOrchestratorFilter{patchFilter("Title", "x")}}, "InvalidFilter"},
		{"9 a page", ssm.DescribeInstancePatchesInput{InstanceId: &insts[0].ID, MaxResults: aws.Int32(9)},
			"ValidationException"},
		{"a foreign token", ssm.DescribeInstancePatchesInput{InstanceId: &insts[0].ID, NextToken: aws.String("abc")},
			"InvalidNextToken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.DescribeInstancePatches(context.Background(), &tt.in)
			requireCode(t, err, tt.code)
		})
	}
}
