package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// PlanOutput tells the state machine what to discover.
type PlanOutput struct {
	Run               patch.RunID   `json:"run"`
	Bucket            string        `json:"bucket"`
	RegionConcurrency int           `json:"regionConcurrency"`
	Discover          MapOver       `json:"discover"`
	Previous          patch.RunID   `json:"previous"` // the last run of the same waves
	Missed            []patch.RunID `json:"missed"`   // runs that ended and were not closed
}

// MapOver is one map over accounts.
type MapOver struct {
	Key            string `json:"key"`
	Children       string `json:"children"`
	MaxConcurrency int    `json:"maxConcurrency"`
}

// discoverConcurrency is how many accounts are looked at at once. Looking is
// cheap and harmless; the bound keeps Lambda's concurrency of small accounts free.
const discoverConcurrency = 40

// plan reads the input, writes its normalised form and opens the run.
func (v *Inventory) plan(ctx context.Context, in InventoryInput) (PlanOutput, error) {
	input, err := runinput.ParseInput(in.Input, v.Defaults)
	if err != nil {
		return PlanOutput{}, v.refuseInput(ctx, in, err)
	}
	written, err := patch.Canonical(input)
	if err != nil {
		return PlanOutput{}, err
	}
	input = v.Policy.Over(input)
	claim, err := v.claimKey(ctx, in, input)
	if err == nil {
		err = v.checkResume(ctx, input)
	}
	if err == nil {
		input, err = v.resolveUnits(ctx, in.Run, input)
	}
	if err != nil {
		if patch.KindOf(err) != patch.ErrInvalidInput {
			return PlanOutput{}, err
		}
		return PlanOutput{}, v.refuseInput(ctx, in, err)
	}
	missed, err := v.missed(ctx, in.Run)
	if err != nil {
		return PlanOutput{}, err
	}
	var last store.Series
	if err := v.Table.Load(ctx, &store.Row{Key: store.SeriesKey(input), Into: &last}); err != nil {
		return PlanOutput{}, err
	}
	// What was asked for goes on record. A second attempt may find other accounts in the units: those of the first
	// count.
	if err := v.open(ctx, in, input, patch.Digest(written), claim); err != nil {
		return PlanOutput{}, err
	}
	var first runinput.Input
	_, mine, err := v.once(ctx, store.InputObject(in.Run), input, &first)
	if err != nil {
		return PlanOutput{}, err
	}
	if !mine {
		input = first
	}
	var items []plan.AccountItem
	if _, _, err := v.once(ctx, store.AccountsObject(in.Run), accountsOf(input), &items); err != nil {
		return PlanOutput{}, err
	}
	return PlanOutput{
		Run: in.Run, Bucket: v.Bucket, RegionConcurrency: v.RegionConcurrency,
		Discover: MapOver{
			Key:            store.AccountsObject(in.Run),
			Children:       store.ChildrenPrefix(in.Run, "discover"),
			MaxConcurrency: discoverConcurrency,
		},
		Previous: last.Run, Missed: missed,
	}, nil
}

// open writes the run's row, its counters and its place in the list of open
// runs. A second attempt finds them and changes nothing.
func (v *Inventory) open(ctx context.Context, in InventoryInput, input runinput.Input, inputDigest string,
	claim []store.Write) error {
	row := store.RunRow{
		Run: in.Run, Status: patch.RunRunning, ExecutionARN: in.ExecutionARN, Started: in.StartedAt,
		DryRun: input.DryRun, Approval: input.Approval, ApprovalSeconds: input.ApprovalTimeoutSeconds,
		RequireDistinct: input.RequireDistinct, RequestedBy: input.RequestedBy, Reason: input.Reason,
		StartedBy:        input.StartedBy,
		WavePauseSeconds: input.WavePauseSeconds, AbortOnIssues: input.AbortOnIssues,
		StopUnreachable: input.OnUnreachable == "stop",
	}
	entry := row.Heads.Append(store.Inventory, store.RunSubject(in.Run), "plan", "RunOpened", "input "+inputDigest,
		v.Now())
	err := v.Table.Write(ctx, append(claim,
		entry.Write(),
		store.Write{How: store.Create, Key: store.RunKey(in.Run), Item: row},
		store.Write{How: store.Put, Key: store.OpenRunKey(in.Run),
			Item: store.OpenRun{Run: in.Run, ExecutionARN: in.ExecutionARN, Since: v.Now()}},
	)...)
	if !errors.Is(err, patch.ErrConflict) {
		return err
	}
	// Either this run was opened before, or another took the key a moment ago.
	var old store.RunRow
	again := &store.Row{Key: store.RunKey(in.Run), Into: &old}
	if loadErr := v.Table.Load(ctx, again); loadErr != nil {
		return loadErr
	}
	if again.Found && !old.Started.Equal(in.StartedAt) {
		// Step Functions frees a name after 90 days; our rows, and what was approved under it, stay.
		return fmt.Errorf("%w: a run of the name %s started at %s; give this one another name", patch.ErrInvalidInput, in.Run,
			old.Started.UTC().Format(time.RFC3339))
	}
	if again.Found {
		return nil
	}
	return err
}

// maxRefusal bounds the text of a refusal, which becomes part of rows and payloads.
const maxRefusal = 4000

// keyHolds is how long a runKey keeps other runs out after the start of a run that
// did what it was to do. A schedule that delivers twice, or a person who starts
// twice, does so within minutes; no schedule has two starts of its own this close
// together, not on a day with 23 hours either.
// Source: EventBridge Scheduler user guide, at-least-once delivery, read 2026-11.
const keyHolds = 2 * time.Hour

// claimKey makes the write by which this run takes its runKey. It refuses a key
// that another run keeps, unless this run resumes that one.
func (v *Inventory) claimKey(ctx context.Context, in InventoryInput, input runinput.Input) ([]store.Write, error) {
	if input.RunKey == "" {
		return nil, nil
	}
	var held store.KeyHolder
	row := &store.Row{Key: store.RunKeyKey(input.RunKey), Into: &held}
	if err := v.Table.Load(ctx, row); err != nil {
		return nil, err
	}
	if row.Found && held.Run == in.Run {
		return nil, nil
	}
	if row.Found && held.Run != input.Resume {
		kept, err := v.keyKept(ctx, held)
		if err != nil {
			return nil, err
		}
		if kept != "" {
			return nil, fmt.Errorf("%w: runKey: run %s keeps the key %q: %s; give another key to start a second run",
				patch.ErrInvalidInput, held.Run, input.RunKey, kept)
		}
	}
	was := held.Version
	held = store.KeyHolder{Versioned: store.Versioned{Version: was + 1}, Run: in.Run, Started: in.StartedAt.UTC()}
	claim := store.Write{How: store.Replace, Key: store.RunKeyKey(input.RunKey), Item: held, Was: was}
	if !row.Found {
		claim.How = store.Create
	}
	return []store.Write{claim}, nil
}

// keyKept says why the holder of a runKey keeps it and when it becomes free. It is
// empty where the key is free: the holder ended without doing what it was to do,
// or started two hours ago, or is so old that its row is gone.
func (v *Inventory) keyKept(ctx context.Context, held store.KeyHolder) (string, error) {
	var run store.RunRow
	if err := v.Table.Load(ctx, &store.Row{Key: store.RunKey(held.Run), Into: &run}); err != nil {
		return "", err
	}
	free := held.Started.Add(keyHolds).UTC()
	switch run.Status {
	case patch.RunRunning:
		// An execution that was stopped may end before its row says so.
		open, err := v.Runs.Running(ctx, run.ExecutionARN)
		if err != nil || !open {
			return "", err
		}
		return fmt.Sprintf("it is open; the key becomes free when that run has ended, and after a good end not before %s",
			free.Format(time.RFC3339)), nil
	case patch.RunSucceeded, patch.RunCompleted, patch.RunIncomplete:
		if v.Now().Before(free) {
			return fmt.Sprintf("it ended as %s; the key becomes free at %s, two hours after its start",
				run.Status, free.Format(time.RFC3339)), nil
		}
	}
	return "", nil
}

// refuseInput keeps the reason where the report will look for it.
func (v *Inventory) refuseInput(ctx context.Context, in InventoryInput, problem error) error {
	if all, ok := errors.AsType[runinput.Problems](problem); ok {
		problem = errors.New(all.Summary(maxRefusal))
	}
	row := store.RunRow{
		Run: in.Run, Status: patch.RunRefused, StatusReason: problem.Error(), ExecutionARN: in.ExecutionARN,
		Started: in.StartedAt,
	}
	entry,
		err := row.Heads.Append(store.Inventory, store.RunSubject(in.Run), "plan", "InputRefused", problem.Error(), v.Now()).
		Signed(ctx, v.Auditor)
	if err != nil {
		return err
	}
	err = v.Table.Write(ctx,
		entry.Write(),
		store.Write{How: store.Create, Key: store.RunKey(in.Run), Item: row},
	)
	if err != nil && !errors.Is(err, patch.ErrConflict) {
		return err
	}
	return fmt.Errorf("%w: %w", patch.ErrInvalidInput, problem)
}

// maxMissed bounds how many runs one plan closes; the next one closes more.
const maxMissed = 20

// missed lists the open runs whose execution has ended. Their end was not
// noticed: the event that tells it is sent once, as well as AWS can.
func (v *Inventory) missed(ctx context.Context, self patch.RunID) ([]patch.RunID, error) {
	var open []store.OpenRun
	err := v.Table.Scan(ctx, store.OpenRunKey("").PK, store.OpenRunKey("").SK,
		func(_ string, decode func(any) error) error {
			var o store.OpenRun
			if err := decode(&o); err != nil {
				return err
			}
			if o.Run != self && len(open) < maxMissed {
				open = append(open, o)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	ended := []patch.RunID{}
	for _, o := range open {
		running, err := v.Runs.Running(ctx, o.ExecutionARN)
		if err != nil {
			return nil, err
		}
		if !running {
			ended = append(ended, o.Run)
		}
	}
	return ended, nil
}

// accountsOf merges the waves' accounts, in the order in which they first occur.
func accountsOf(in runinput.Input) []plan.AccountItem {
	var items []plan.AccountItem
	at := map[patch.AccountID]int{}
	for _, w := range in.Waves {
		for _, a := range w.Accounts {
			i, ok := at[a]
			if !ok {
				i = len(items)
				at[a] = i
				items = append(items, plan.AccountItem{Account: a})
			}
			for _, r := range w.Regions {
				if !slices.Contains(items[i].Regions, r) {
					items[i].Regions = append(items[i].Regions, r)
				}
			}
		}
	}
	return items
}
