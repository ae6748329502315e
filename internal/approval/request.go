package approval

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/doubt"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/port"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// Requests is the task of SendApprovalRequest: it seals the plan, it asks, and it
// settles what came of a round.
type Requests struct {
	Table     store.Table
	Objects   store.Objects
	Mail      port.Mail
	Audience  port.Audience
	Links     port.Signer
	Seals     port.Signer // of plans
	Decisions port.Verifier
	People    decision.People // who counts as whom, of those who decide
	Metrics   port.Metrics
	Auditor   store.Signer
	Now       port.Clock

	HubAccount  patch.AccountID
	CallbackURL string
	Policy      runinput.Policy // what the hub demands of every run
	Deployed    *int            // endpoints that the hub was deployed with, and that may get requests; nil: not told
}

// RequestInput is the payload of all steps. The token is in a request only.
type RequestInput struct {
	Task  patch.Task  `json:"task"`
	Run   patch.RunID `json:"run"`
	Scope patch.Scope `json:"scope"`
	Token string      `json:"token"`
}

// RequestOutput says of a round whether anybody can have got its mail. It is for
// people who follow the run: no state acts on it.
type RequestOutput struct {
	Told bool `json:"told"`
}

// SettleOutput says how a question stands.
type SettleOutput struct {
	Scope        patch.Scope     `json:"scope"`
	Status       decision.Status `json:"status"`
	Then         patch.Then      `json:"then"`
	Seconds      int             `json:"seconds"` // before the next round, or before the patching
	RoundSeconds int             `json:"roundSeconds"`
}

// Handle carries out one step.
func (a *Requests) Handle(ctx context.Context, in RequestInput) (any, error) {
	switch in.Task {
	case patch.TaskSeal:
		return a.sealPlan(ctx, in)
	case patch.TaskRequest:
		return a.request(ctx, in)
	case patch.TaskSettle:
		return a.settle(ctx, in)
	}
	return nil, fmt.Errorf("%w: task %q is none of seal, request, settle", patch.ErrInvalidInput, in.Task)
}

// request keeps the token, looks for a decision that came between rounds, and
// mails the link.
func (a *Requests) request(ctx context.Context, in RequestInput) (RequestOutput, error) {
	var run store.RunRow
	var rec decision.Approval
	recRow := &store.Row{Key: store.ApprovalKey(decision.ApprovalID(in.Run, in.Scope)), Into: &rec}
	if err := a.Table.Load(ctx, recRow, &store.Row{Key: store.RunKey(in.Run), Into: &run}); err != nil {
		return RequestOutput{}, err
	}
	doubt, err := loadDoubt(ctx, a.Table, in.Run, in.Scope)
	if err != nil {
		return RequestOutput{}, err
	}
	if run.Status != patch.RunRunning {
		return RequestOutput{}, fmt.Errorf("%w: run %s has ended; no approval is requested", patch.ErrConflict, in.Run)
	}
	seal, err := a.sealOf(ctx, in.Run)
	if err != nil {
		return RequestOutput{}, err
	}
	index, err := plan.Load(ctx, a.Objects, in.Run, seal.Digest)
	if err != nil {
		return RequestOutput{}, err
	}
	was, now := rec.Version, a.Now().UTC()
	if !recRow.Found {
		if rec, err = a.question(in, seal, index, doubt, now); err != nil {
			return RequestOutput{}, err
		}
	}
	rec.Version++
	rec.Token, rec.Round, rec.RoundAt = in.Token, rec.Round+1, now
	rec.Unheard = a.unheard(ctx, rec)
	entry, err := a.audit(ctx, &rec, "Asked", asked(rec), now)
	if err != nil {
		return RequestOutput{}, err
	}
	write := store.Write{How: store.Replace, Key: store.ApprovalKey(rec.ID), Item: rec, Was: was}
	if !recRow.Found {
		write.How = store.Create
	}
	if err := a.Table.Write(ctx, write, entry); err != nil {
		return RequestOutput{}, err
	}
	if rec.Status != decision.ApprovalPending {
		// Decided between two rounds: the end of this round settles it, there is nobody to ask.
		return RequestOutput{}, fmt.Errorf("%w: %s is %s already", patch.ErrConflict, in.Scope, rec.Status)
	}
	mac, err := a.Links.MAC(ctx, rec.LinkMessage())
	if err != nil {
		return RequestOutput{}, err
	}
	subject, body := approvalMail(rec, run, index, doubt, a.link(rec.ID, mac))
	if err := a.Mail.Send(ctx, subject, body); err != nil {
		a.Metrics.Count("ApprovalUnheard", "Count", 1, nil) // whoever listens, this round told nobody
		return RequestOutput{}, err
	}
	return RequestOutput{Told: !rec.Unheard}, nil
}

// audit appends to the asking function's chain about the question. Each entry may be the last, so each is signed.
func (a *Requests) audit(
	ctx context.Context, rec *decision.Approval, action, detail string, at time.Time,
) (store.Write, error) {
	subject := store.ApprovalSubject(rec.ID)
	entry, err := rec.Heads.Append(store.Request, subject, "approval-request", action, detail, at).Signed(ctx, a.Auditor)
	return entry.Write(), err
}

// asked is what the audit says of a round.
func asked(rec decision.Approval) string {
	text := fmt.Sprintf("round %d of %s, digest %s, %d instances", rec.Round, rec.Scope, rec.Digest, rec.Instances)
	if rec.Unheard {
		text += "; no subscription is confirmed, so no one is notified"
	}
	return text
}

// unheard tells whether the mail will reach nobody. The run waits all the same:
// the question can be answered by command. Where SNS does not say how many
// subscribers there are, what was true of the round before stands.
func (a *Requests) unheard(ctx context.Context, rec decision.Approval) bool {
	n, err := a.Audience.Listeners(ctx)
	if err != nil {
		slog.Warn("subscribers of the approvals topic not counted", "run", string(rec.Run), "err", err)
		return rec.Unheard
	}
	value := 0.0
	if n == 0 {
		value = 1
		slog.Error("no one is notified that an approval is requested", "run", string(rec.Run))
	}
	a.Metrics.Count("ApprovalUnheard", "Count", value, nil)
	if a.Deployed != nil {
		strangers := max(n-*a.Deployed, 0)
		if strangers > 0 {
			slog.Error("more get requests for approval than were deployed", "run", string(rec.Run), "subscribers", n, "deployed",
				*a.Deployed)
		}
		a.Metrics.Count("ApprovalStrangers", "Count", float64(strangers), nil)
	}
	return n == 0
}

func (a *Requests) link(id string, mac []byte) string {
	return a.CallbackURL + "?a=" + id + "&c=" + decision.Capability(mac)
}

// question makes the record of a new question, on the terms that the plan was sealed with.
func (a *Requests) question(in RequestInput, seal decision.Seal, x plan.Index, doubt doubt.Doubt,
	now time.Time) (decision.Approval, error) {
	rec := decision.Approval{
		ID: decision.ApprovalID(in.Run, in.Scope), Run: in.Run, Scope: in.Scope, Digest: seal.Digest,
		HubAccount: a.HubAccount,
		Instances:  scopeCount(x, in.Scope), RequireDistinct: seal.Terms.Distinct, RequestedBy: seal.RequestedBy,
		Asked: now, Expires: now.Add(time.Duration(seal.Terms.Seconds) * time.Second).Truncate(time.Second),
		Status: decision.ApprovalPending,
	}
	if !doubt.Any() {
		return rec, nil
	}
	var err error
	rec.Doubt, err = doubt.Digest()
	return rec, err
}

// loadDoubt reads what a question about going on is about. Other questions have no doubt.
func loadDoubt(ctx context.Context, table store.Table, run patch.RunID, scope patch.Scope) (doubt.Doubt, error) {
	if !scope.Soak() {
		return doubt.Doubt{}, nil
	}
	var wave store.WaveRow
	err := table.Load(ctx, &store.Row{Key: store.WaveKey(run, scope.Wave()), Into: &wave})
	return wave.Doubt, err
}

// scopeCount is the blast radius of a question: the instances that it lets us touch.
func scopeCount(x plan.Index, scope patch.Scope) int {
	wave := scope.Wave()
	if wave == "" {
		return x.Planned()
	}
	for _, w := range x.Waves {
		if w.Name == wave {
			return w.Planned
		}
	}
	return 0
}

// settle reads the record again. Nothing but signed decisions makes an approval,
// and nothing at all makes one for a run that was aborted, or closed while its
// execution was away.
func (a *Requests) settle(ctx context.Context, in RequestInput) (SettleOutput, error) {
	out := SettleOutput{Scope: in.Scope, Status: decision.ApprovalPending, Then: in.Scope.Then(),
		RoundSeconds: decision.RoundSeconds}
	var run store.RunRow
	var rec decision.Approval
	var abort store.Abort
	row := &store.Row{Key: store.ApprovalKey(decision.ApprovalID(in.Run, in.Scope)), Into: &rec}
	stop := &store.Row{Key: store.AbortKey(in.Run), Into: &abort}
	if err := a.Table.Load(ctx, row, stop, &store.Row{Key: store.RunKey(in.Run), Into: &run}); err != nil {
		return out, err
	}
	if stop.Found || run.Status != patch.RunRunning {
		// The run goes no further, whatever was decided or will be. The record stays as it is.
		out.Status = decision.ApprovalRejected
		return out, nil
	}
	now := a.Now()
	if !row.Found {
		// The question could not even be written. It is written here, so that it expires, and asked again in a minute.
		out.Seconds = words.Seconds(time.Minute)
		return out, a.note(ctx, in, now.UTC())
	}
	waited := min(now.Sub(rec.Asked), rec.Expires.Sub(rec.Asked)).Minutes()
	a.Metrics.Count("PendingApprovals", "None", waited, nil)
	seal, err := a.sealOf(ctx, in.Run)
	if err != nil {
		return out, err
	}
	status, err := decision.Verify(ctx, a.Table, a.Decisions, a.People, rec, seal.Digest)
	if err != nil {
		return out, err
	}
	if status == decision.ApprovalPending && !now.Before(rec.Expires) {
		return out, a.expire(ctx, &out, rec, now)
	}
	out.Status = status
	switch {
	case status == decision.ApprovalPending:
		out.RoundSeconds = max(min(decision.RoundAt(run.Started, now), words.Seconds(rec.Expires.Sub(now))), 1)
		out.Seconds = min(nextRound(rec, run.Started, now), out.RoundSeconds)
	case status == decision.ApprovalApproved && out.Then == patch.ThenPatch:
		out.Seconds, err = a.pauseLeft(ctx, in, now)
	}
	return out, err
}

// nextRound is how long to wait before it is asked again: not at all after a
// round that ran its course. One that could not be asked is tried again in a
// minute, and the longer it lasts the less often, so that the rounds of a week
// without mail, or without the plan's bucket, still fit into a history.
func nextRound(rec decision.Approval, started, now time.Time) int {
	const slack = 30 // seconds that the end of a round may take
	round := decision.RoundAt(started, rec.RoundAt)
	if lasted := words.Seconds(now.Sub(rec.RoundAt)); lasted >= round-slack && lasted <= round+slack {
		return 0
	}
	return min(max(words.Seconds(now.Sub(rec.Asked))/20, words.Seconds(time.Minute)), decision.RoundSeconds)
}

// note writes a question that could not be asked.
func (a *Requests) note(ctx context.Context, in RequestInput, now time.Time) error {
	seal, err := a.sealOf(ctx, in.Run)
	if err != nil {
		return err
	}
	index, err := plan.Load(ctx, a.Objects, in.Run, seal.Digest)
	if err != nil {
		return err
	}
	doubt, err := loadDoubt(ctx, a.Table, in.Run, in.Scope)
	if err != nil {
		return err
	}
	rec, err := a.question(in, seal, index, doubt, now)
	if err != nil {
		return err
	}
	rec.Version = 1
	return a.Table.Write(ctx, store.Write{How: store.Create, Key: store.ApprovalKey(rec.ID), Item: rec})
}

// expire closes a question that nobody answered. A decision that is written at
// the same moment wins or loses by the record's version.
func (a *Requests) expire(ctx context.Context, out *SettleOutput, rec decision.Approval, now time.Time) error {
	was := rec.Version
	rec.Version++
	rec.Status, rec.Decided, rec.Token = decision.ApprovalExpired, now.UTC(), ""
	entry, err := a.audit(ctx, &rec, "Expired", "no one decided in time", now)
	if err != nil {
		return err
	}
	if err := a.Table.Write(ctx, entry,
		store.Write{How: store.Replace, Key: store.ApprovalKey(rec.ID), Item: rec, Was: was}); err != nil {
		return err
	}
	out.Status = decision.ApprovalExpired
	return nil
}

// pauseLeft is what remains of the former wave's pause.
func (a *Requests) pauseLeft(ctx context.Context, in RequestInput, now time.Time) (int, error) {
	wave := in.Scope.Wave()
	if wave == "" {
		return 0, nil
	}
	index, err := plan.LoadIndex(ctx, a.Objects, in.Run)
	if err != nil {
		return 0, err
	}
	for i, w := range index.Waves {
		if w.Name != wave || i == 0 {
			continue
		}
		var former store.WaveRow
		if err := a.Table.Load(ctx, &store.Row{Key: store.WaveKey(in.Run, index.Waves[i-1].Name),
			Into: &former}); err != nil {
			return 0, err
		}
		pause := time.Duration(former.PauseSeconds) * time.Second
		return max(words.Seconds(pause-now.Sub(former.Decided.At)), 0), nil
	}
	return 0, nil
}
