package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/fleetfile"
)

// patchRun is one patch operation as its record shows it.
type patchRun struct {
	operation, reboot, snapshot string
	start, end                  time.Time
}

// patchCounts are the counts of one moment.
type patchCounts struct{ installed, pending, missing, failed, rejected int }

// EvidenceReading is what AWS-RunPatchBaseline leaves of an Install on Linux that reboots. Which one holds is not
// documented: the public payload uploads before it exits with 194, the document's page shows pending patches.
// Source: docs/aws-semantics.md 2.8.
type EvidenceReading int

const (
	// EvidenceTwice is a record before the reboot, with the patches pending, and a clean one after it.
	EvidenceTwice EvidenceReading = 1 + iota
	// EvidenceBefore is a record before the reboot alone, which reports no patch as pending.
	EvidenceBefore
	// EvidenceAfter is a record after the reboot alone.
	EvidenceAfter
)

// patchRecord is the one patch state record of an instance; every operation of
// any tool overwrites it. Source: D23:patch-manager-compliance-data-overwrites.
type patchRecord struct {
	run    patchRun
	counts patchCounts
	bad    bool // as Windows leaves it after some failures: -1 counts, 1970 times
}

func (i *Instance) counts() patchCounts {
	return patchCounts{installed: i.installed, pending: i.Pending, missing: i.Missing, failed: i.failed,
		rejected: i.rejected}
}

func (i *Instance) newRecord(run patchRun) *patchRecord {
	if run.snapshot == "" {
		run.snapshot = uuid(i.rng)
	}
	c := i.counts()
	if run.operation == scan {
		c.missing, c.failed = c.missing+c.failed, 0
	}
	return &patchRecord{run: run, counts: c, bad: i.Fate == fleetfile.FateBadState && i.runs > 0}
}

// record writes the record of the operation as it stands now.
func (r *agentRun) record() {
	switch r.i.Fate {
	case fleetfile.FateStaleState, fleetfile.FateNoState:
		return
	}
	r.run.end = r.w.Now()
	r.i.record, r.recorded = r.i.newRecord(r.run), true
	r.note(AgentRecorded, 0)
}

// state is the record in the SDK's shape. Source: B:ssm/InstancePatchState.
func (i *Instance) state() ssmtypes.InstancePatchState {
	rec := i.record
	c, start, end := rec.counts, rec.run.start, rec.run.end
	if rec.bad {
		c = patchCounts{-1, -1, -1, -1, 0}
		start, end = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()
	}
	s := ssmtypes.InstancePatchState{
		InstanceId:                  aws.String(i.ID),
		BaselineId:                  aws.String("pb-0123456789abcdef0"),
		PatchGroup:                  aws.String(i.patchGroup()),
		SnapshotId:                  aws.String(rec.run.snapshot),
		Operation:                   ssmtypes.PatchOperationType(rec.run.operation),
		OperationStartTime:          aws.Time(start),
		OperationEndTime:            aws.Time(end),
		RebootOption:                ssmtypes.RebootOption(rec.run.reboot),
		InstalledCount:              int32(c.installed),
		InstalledOtherCount:         otherPatches,
		InstalledPendingRebootCount: aws.Int32(int32(c.pending)),
		InstalledRejectedCount:      aws.Int32(int32(c.rejected)),
		MissingCount:                int32(c.missing),
		FailedCount:                 int32(c.failed),
		NotApplicableCount:          notApplicable,
		CriticalNonCompliantCount:   aws.Int32(int32(c.pending + c.missing + c.failed + c.rejected)),
		SecurityNonCompliantCount:   aws.Int32(int32(c.pending + c.missing + c.failed + c.rejected)),
		OtherNonCompliantCount:      aws.Int32(0),
		OwnerInformation:            aws.String(""),
	}
	if rec.run.operation == install && rec.run.reboot == noReboot {
		s.LastNoRebootInstallOperationTime = aws.Time(end)
	}
	return s
}

// patchGroup reads the tag in both spellings. Source: D23:patch-manager-patch-groups.
func (i *Instance) patchGroup() string {
	if g, ok := i.Tags["Patch Group"]; ok {
		return g
	}
	return i.Tags["PatchGroup"]
}

// uuid draws a version 4 UUID.
func uuid(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}
