package store

import (
	"fmt"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

// Key is a row of the state table.
type Key struct{ PK, SK string }

// WholeRun is the wave name under which the run's own counters stand; no wave
// can have it.
const WholeRun = "*"

// RunKey is the run's own row.
func RunKey(run patch.RunID) Key { return Key{PK: "RUN#" + string(run), SK: "META"} }

// SealKey is what senders believe of a run's plan. It stands apart from the run's rows, so that one role alone can
// write it.
func SealKey(run patch.RunID) Key { return Key{PK: "SEAL#" + string(run), SK: "SEAL"} }

// AbortKey is the flag that every sender reads.
func AbortKey(run patch.RunID) Key { return Key{PK: "RUN#" + string(run), SK: "ABORT"} }

// TargetKey is the row of one wave's target.
func TargetKey(t patch.Target) Key {
	return Key{PK: "RUN#" + string(t.Run), SK: TargetPrefix(t.Wave) + string(t.Account) + "#" + string(t.Region)}
}

// TargetPrefix starts the sort keys of a wave's targets.
func TargetPrefix(wave string) string { return "TARGET#" + wave + "#" }

// SendKey is the intent of one batch.
func SendKey(t patch.Target, batch int) Key {
	return Key{PK: "RUN#" + string(t.Run), SK: fmt.Sprintf("%s%04d", SendPrefix(t), batch)}
}

// SendPrefix starts the sort keys of a target's intents.
func SendPrefix(t patch.Target) string {
	return "SEND#" + t.Wave + "#" + string(t.Account) + "#" + string(t.Region) + "#"
}

// TryKey is the journal of the send at place i of an intent.
func TryKey(t patch.Target, batch, i int) Key {
	return Key{PK: "RUN#" + string(t.Run), SK: fmt.Sprintf("TRY#%s#%s#%s#%04d#%03d", t.Wave, t.Account,
		t.Region, batch, i)}
}

// LookKey is what one poll of a target has found, counted from 1.
func LookKey(t patch.Target, look int) Key {
	return Key{PK: "RUN#" + string(t.Run), SK: fmt.Sprintf("%s%05d", LookPrefix(t), look)}
}

// LookPrefix starts the sort keys of what the polls of a target have found.
func LookPrefix(t patch.Target) string {
	return "LOOK#" + t.Wave + "#" + string(t.Account) + "#" + string(t.Region) + "#"
}

// WaveKey holds the counters of a wave, or of the whole run under WholeRun.
func WaveKey(run patch.RunID, wave string) Key {
	return Key{PK: "RUN#" + string(run), SK: "WAVE#" + wave}
}

// WatchKey is what was seen of a wave's alarms while it is patched.
func WatchKey(run patch.RunID, wave string) Key {
	return Key{PK: "RUN#" + string(run), SK: "WATCH#" + wave}
}

// LeaseKey is the lock of one account and region, across all runs.
func LeaseKey(account patch.AccountID, region patch.Region) Key {
	return Key{PK: "LEASE#" + string(account) + "#" + string(region), SK: "LEASE"}
}

// ApprovalKey is the record of one question.
func ApprovalKey(id string) Key { return Key{PK: "APPROVAL#" + id, SK: "META"} }

// DecisionKey is what one identity decided.
func DecisionKey(id, identity string) Key {
	return Key{PK: "APPROVAL#" + id, SK: "DECISION#" + identity}
}

// SeriesKey is the last run of the same waves: the same accounts, regions and
// filters under the same names, whatever else the input says. A wave of
// organizational units stays the same when accounts join or leave them.
func SeriesKey(in runinput.Input) Key {
	var b strings.Builder
	for _, w := range in.Waves {
		of := fmt.Sprintf("%q", w.Accounts)
		if len(w.OrganizationalUnits) > 0 {
			of = fmt.Sprintf("units %q", w.OrganizationalUnits)
		}
		fmt.Fprintf(&b, "%q %s %q %q %q %q\n", w.Name, of, w.Regions, fmt.Sprint(w.Filters.Tags), w.Filters.Platforms,
			w.Filters.InstanceIDs)
	}
	return Key{PK: "SERIES#" + patch.Digest([]byte(b.String()))[:32], SK: "LAST"}
}

// RunKeyKey tells which run has a runKey.
func RunKeyKey(key string) Key { return Key{PK: "SERIES#KEY#" + key, SK: "RUN"} }

// OpenRunKey lists a run that has not been closed.
func OpenRunKey(run patch.RunID) Key { return Key{PK: "OPEN", SK: "RUN#" + string(run)} }

// Prefix starts the key of every object of a run.
func Prefix(run patch.RunID) string { return "runs/" + string(run) + "/" }

// InputObject is the normalised input.
func InputObject(run patch.RunID) string { return Prefix(run) + "input.json" }

// AccountsObject lists the accounts to look at.
func AccountsObject(run patch.RunID) string {
	return Prefix(run) + patch.InventoryFolder + "/accounts.json"
}

// InventoryObject holds everything that was found in one account and region.
func InventoryObject(run patch.RunID, account patch.AccountID, region patch.Region) string {
	return Prefix(run) + patch.InventoryFolder + "/" + string(account) + "/" + string(region) + ".json"
}

// WaveAccountsObject lists the accounts that a wave patches.
func WaveAccountsObject(run patch.RunID, wave string) string {
	return Prefix(run) + patch.PlanFolder + "/" + wave + "/accounts.json"
}

// LeafObject is the plan of one target.
func LeafObject(t patch.Target) string {
	return Prefix(t.Run) + patch.PlanFolder + "/" + t.Wave + "/" + string(t.Account) + "/" + string(t.Region) + ".json"
}

// IndexObject is the plan's index, which carries its digest.
func IndexObject(run patch.RunID) string { return Prefix(run) + patch.PlanFolder + "/index.json" }

// RefusedObject is a plan that was refused. Nothing is ever sent from it.
func RefusedObject(run patch.RunID) string { return Prefix(run) + patch.PlanFolder + "/refused.json" }

// LooksObject holds what verify has found of a target so far.
func LooksObject(t patch.Target) string {
	return Prefix(t.Run) + patch.LooksFolder + "/" + t.Wave + "/" + string(t.Account) + "/" + string(t.Region) + ".json"
}

// PublicResultObject is a copy of the result that counts, where other programs
// read it. Nothing here believes it.
func PublicResultObject(t patch.Target) string {
	return Prefix(t.Run) + patch.ResultsFolder + "/" + t.Wave + "/" + string(t.Account) + "/" +
		string(t.Region) + ".json"
}

// ResultObject holds the outcomes of one target. It is named by its hash: what is
// another result stands elsewhere, and the target's row tells which one counts.
func ResultObject(t patch.Target, hash string) string {
	return Prefix(t.Run) + patch.ResultsFolder + "/" + t.Wave + "/" + string(t.Account) + "/" + string(t.Region) + "/" +
		hash + ".json"
}

// RollUpObject holds the outcomes of one account in one wave.
func RollUpObject(run patch.RunID, wave string, account patch.AccountID) string {
	return Prefix(run) + patch.ResultsFolder + "/" + wave + "/" + string(account) + ".json"
}

// HeadsObject is a list of the ends of audit chains, by its own digest.
func HeadsObject(run patch.RunID, digest string) string {
	return Prefix(run) + patch.HeadsFolder + "/" + digest + ".json"
}

// ReportObject is the report in one form: "json", "csv" or "html".
func ReportObject(run patch.RunID, form string) string { return Prefix(run) + "report." + form }

// ReportSliceObject is one slice of a report under way, counted from 0.
func ReportSliceObject(run patch.RunID, slice int) string {
	return fmt.Sprintf("%s%s/%05d.jsonl", Prefix(run), patch.SlicesFolder, slice)
}

// ReportSliceKey keeps the digest of one slice of a report under way.
func ReportSliceKey(run patch.RunID, slice int) Key {
	return Key{PK: "RUN#" + string(run), SK: fmt.Sprintf("SLICE#%05d", slice)}
}

// ChildrenPrefix is where the records of a map's child executions go.
func ChildrenPrefix(run patch.RunID, of string) string {
	return Prefix(run) + patch.ChildrenFolder + "/" + strings.TrimSuffix(of, "/")
}

// AccountCountersKey holds what the regions of one account add to in a wave.
func AccountCountersKey(t patch.Target) Key {
	return Key{PK: "RUN#" + string(t.Run), SK: "WAVE#" + t.Wave + "#" + string(t.Account) + "#COUNTERS"}
}

// CountersKey holds the numbers that many targets add to, for a wave or, under
// WholeRun, for the run.
func CountersKey(run patch.RunID, wave string) Key {
	return Key{PK: "RUN#" + string(run), SK: "WAVE#" + wave + "#COUNTERS"}
}
