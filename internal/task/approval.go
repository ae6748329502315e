package task

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"ec2patch/internal/patch"
)

// Approvals is the task of SendApprovalRequest: it asks, and it settles what
// came of a round.
type Approvals struct {
	Table     Table
	Objects   Objects
	Mail      Mail
	Audience  Audience
	Links     Signer
	Decisions Verifier
	Metrics   Metrics
	Now       Clock

	HubAccount  patch.AccountID
	CallbackURL string
}

// ApprovalInput is the payload of both steps. The token is in a request only.
type ApprovalInput struct {
	Task  string      `json:"task"`
	Run   patch.RunID `json:"run"`
	Scope string      `json:"scope"`
	Token string      `json:"token"`
}

// RequestOutput says of a round whether anybody can have got its mail. It is for
// people who follow the run: no state acts on it.
type RequestOutput struct {
	Told bool `json:"told"`
}

// SettleOutput says how a question stands.
type SettleOutput struct {
	Scope        string `json:"scope"`
	Status       string `json:"status"`
	Then         string `json:"then"`
	Seconds      int    `json:"seconds"` // before the next round, or before the patching
	RoundSeconds int    `json:"roundSeconds"`
}

// Handle carries out one step.
func (a *Approvals) Handle(ctx context.Context, in ApprovalInput) (any, error) {
	switch in.Task {
	case "request":
		return a.request(ctx, in)
	case "settle":
		return a.settle(ctx, in)
	}
	return nil, fmt.Errorf("%w: task %q is neither request nor settle", patch.ErrInvalidInput, in.Task)
}

// request keeps the token, looks for a decision that came between rounds, and
// mails the link.
func (a *Approvals) request(ctx context.Context, in ApprovalInput) (RequestOutput, error) {
	var run patch.RunRow
	var rec patch.Approval
	recRow := &Row{Key: patch.ApprovalKey(patch.ApprovalID(in.Run, in.Scope)), Into: &rec}
	if err := a.Table.Load(ctx, recRow, &Row{Key: patch.RunKey(in.Run), Into: &run}); err != nil {
		return RequestOutput{}, err
	}
	doubt, err := loadDoubt(ctx, a.Table, in.Run, in.Scope)
	if err != nil {
		return RequestOutput{}, err
	}
	if run.Status != patch.RunRunning {
		return RequestOutput{}, fmt.Errorf("%w: run %s goes on no more, nobody is asked", patch.ErrConflict, in.Run)
	}
	index, err := loadIndex(ctx, a.Objects, in.Run)
	if err != nil {
		return RequestOutput{}, err
	}
	if run.Digest == "" || index.Digest != run.Digest {
		return RequestOutput{}, fmt.Errorf("%w: the plan of run %s does not have its digest", patch.ErrTampered, in.Run)
	}
	was, now := rec.Version, a.Now().UTC()
	if !recRow.Found {
		if rec, err = a.question(in, run, index, doubt, now); err != nil {
			return RequestOutput{}, err
		}
	}
	rec.Version++
	rec.Token, rec.Round, rec.RoundAt = in.Token, rec.Round+1, now
	rec.Unheard = a.unheard(ctx, rec)
	entry, head := rec.Audit.Append(patch.ApprovalChain(rec.ID), "approval-request", "Asked", asked(rec), now)
	rec.Audit = head
	write := Write{How: Replace, Key: patch.ApprovalKey(rec.ID), Item: rec, Was: was}
	if !recRow.Found {
		write.How = Create
	}
	if err := a.Table.Write(ctx, write, Write{How: Audit, Key: entry.Key(), Item: entry}); err != nil {
		return RequestOutput{}, err
	}
	if rec.Status != patch.ApprovalPending {
		// Decided between two rounds: the end of this round settles it, there is nobody to ask.
		return RequestOutput{}, fmt.Errorf("%w: %s is %s already", patch.ErrConflict, in.Scope, rec.Status)
	}
	mac, err := a.Links.MAC(ctx, rec.LinkMessage())
	if err != nil {
		return RequestOutput{}, err
	}
	subject, body := approvalMail(rec, run, index, doubt, a.link(rec.ID, mac))
	return RequestOutput{Told: !rec.Unheard}, a.Mail.Send(ctx, subject, body)
}

// asked is what the audit says of a round.
func asked(rec patch.Approval) string {
	text := fmt.Sprintf("round %d of %s, digest %s, %d instances", rec.Round, rec.Scope, rec.Digest, rec.Instances)
	if rec.Unheard {
		text += "; nobody has confirmed a subscription, nobody is told"
	}
	return text
}

// unheard tells whether the mail will reach nobody. The run waits all the same:
// the question can be answered by command. Where SNS does not say how many
// subscribers there are, what was true of the round before stands.
func (a *Approvals) unheard(ctx context.Context, rec patch.Approval) bool {
	n, err := a.Audience.Listeners(ctx)
	if err != nil {
		slog.Warn("subscribers of the approvals topic not counted", "run", string(rec.Run), "err", err)
		return rec.Unheard
	}
	value := 0.0
	if n == 0 {
		value = 1
		slog.Error("nobody is told that an approval is asked for", "run", string(rec.Run))
	}
	a.Metrics.Count("ApprovalUnheard", "Count", value, nil)
	return n == 0
}

func (a *Approvals) link(id string, mac []byte) string {
	return a.CallbackURL + "?a=" + id + "&c=" + patch.Capability(mac)
}

// question makes the record of a new question.
func (a *Approvals) question(in ApprovalInput, run patch.RunRow, x patch.Index, doubt patch.Doubt, now time.Time) (patch.Approval, error) {
	rec := patch.Approval{
		ID: patch.ApprovalID(in.Run, in.Scope), Run: in.Run, Scope: in.Scope, Digest: run.Digest, HubAccount: a.HubAccount,
		Instances: scopeCount(x, in.Scope), RequireDistinct: run.RequireDistinct, RequestedBy: run.RequestedBy,
		Asked: now, Expires: now.Add(time.Duration(run.ApprovalSeconds) * time.Second).Truncate(time.Second),
		Status: patch.ApprovalPending,
	}
	if !doubt.Any() {
		return rec, nil
	}
	var err error
	rec.Doubt, err = doubt.Digest()
	return rec, err
}

// loadDoubt reads what a question about going on is about. Other questions have no doubt.
func loadDoubt(ctx context.Context, table Table, run patch.RunID, scope string) (patch.Doubt, error) {
	if patch.ScopeThen(scope) != "judge" {
		return patch.Doubt{}, nil
	}
	var wave patch.WaveRow
	err := table.Load(ctx, &Row{Key: patch.WaveKey(run, patch.ScopeWave(scope)), Into: &wave})
	return wave.Doubt, err
}

// scopeCount is the blast radius of a question: the instances that it lets us touch.
func scopeCount(x patch.Index, scope string) int {
	wave := patch.ScopeWave(scope)
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
func (a *Approvals) settle(ctx context.Context, in ApprovalInput) (SettleOutput, error) {
	out := SettleOutput{Scope: in.Scope, Status: patch.ApprovalPending, Then: patch.ScopeThen(in.Scope), RoundSeconds: roundSeconds}
	var run patch.RunRow
	var rec patch.Approval
	var abort patch.Abort
	row := &Row{Key: patch.ApprovalKey(patch.ApprovalID(in.Run, in.Scope)), Into: &rec}
	stop := &Row{Key: patch.AbortKey(in.Run), Into: &abort}
	if err := a.Table.Load(ctx, row, stop, &Row{Key: patch.RunKey(in.Run), Into: &run}); err != nil {
		return out, err
	}
	if stop.Found || run.Status != patch.RunRunning {
		// The run goes no further, whatever was decided or will be. The record stays as it is.
		out.Status = patch.ApprovalRejected
		return out, nil
	}
	now := a.Now()
	if !row.Found {
		// The question could not even be written. It is written here, so that it expires, and asked again in a minute.
		out.Seconds = seconds(time.Minute)
		return out, a.note(ctx, in, run, now.UTC())
	}
	waited := min(now.Sub(rec.Asked), rec.Expires.Sub(rec.Asked)).Minutes()
	a.Metrics.Count("PendingApprovals", "None", waited, nil)
	status, err := verifyApproval(ctx, a.Table, a.Decisions, rec, run.Digest)
	if err != nil {
		return out, err
	}
	if status == patch.ApprovalPending && !now.Before(rec.Expires) {
		return out, a.expire(ctx, &out, rec, now)
	}
	out.Status = status
	switch {
	case status == patch.ApprovalPending:
		out.RoundSeconds = max(min(roundAt(run.Started, now), seconds(rec.Expires.Sub(now))), 1)
		out.Seconds = min(nextRound(rec, run.Started, now), out.RoundSeconds)
	case status == patch.ApprovalApproved && out.Then == "patch":
		out.Seconds, err = a.pauseLeft(ctx, in, now)
	}
	return out, err
}

// nextRound is how long to wait before it is asked again: not at all after a
// round that ran its course. One that could not be asked is tried again in a
// minute, and the longer it lasts the less often, so that the rounds of a week
// without mail, or without the plan's bucket, still fit into a history.
func nextRound(rec patch.Approval, started, now time.Time) int {
	const slack = 30 // seconds that the end of a round may take
	round := roundAt(started, rec.RoundAt)
	if lasted := seconds(now.Sub(rec.RoundAt)); lasted >= round-slack && lasted <= round+slack {
		return 0
	}
	return min(max(seconds(now.Sub(rec.Asked))/20, seconds(time.Minute)), roundSeconds)
}

// note writes a question that could not be asked.
func (a *Approvals) note(ctx context.Context, in ApprovalInput, run patch.RunRow, now time.Time) error {
	index, err := loadPlan(ctx, a.Objects, in.Run, run.Digest)
	if err != nil {
		return err
	}
	doubt, err := loadDoubt(ctx, a.Table, in.Run, in.Scope)
	if err != nil {
		return err
	}
	rec, err := a.question(in, run, index, doubt, now)
	if err != nil {
		return err
	}
	rec.Version = 1
	return a.Table.Write(ctx, Write{How: Create, Key: patch.ApprovalKey(rec.ID), Item: rec})
}

// expire closes a question that nobody answered. A decision that is written at
// the same moment wins or loses by the record's version.
func (a *Approvals) expire(ctx context.Context, out *SettleOutput, rec patch.Approval, now time.Time) error {
	was := rec.Version
	rec.Version++
	rec.Status, rec.Decided, rec.Token = patch.ApprovalExpired, now.UTC(), ""
	entry, head := rec.Audit.Append(patch.ApprovalChain(rec.ID), "approval-request", "Expired", "nobody decided in time", now)
	rec.Audit = head
	if err := a.Table.Write(ctx,
		Write{How: Audit, Key: entry.Key(), Item: entry},
		Write{How: Replace, Key: patch.ApprovalKey(rec.ID), Item: rec, Was: was}); err != nil {
		return err
	}
	out.Status = patch.ApprovalExpired
	return nil
}

// pauseLeft is what remains of the former wave's pause.
func (a *Approvals) pauseLeft(ctx context.Context, in ApprovalInput, now time.Time) (int, error) {
	wave := patch.ScopeWave(in.Scope)
	if wave == "" {
		return 0, nil
	}
	index, err := loadIndex(ctx, a.Objects, in.Run)
	if err != nil {
		return 0, err
	}
	for i, w := range index.Waves {
		if w.Name != wave || i == 0 {
			continue
		}
		var former patch.WaveRow
		if err := a.Table.Load(ctx, &Row{Key: patch.WaveKey(in.Run, index.Waves[i-1].Name), Into: &former}); err != nil {
			return 0, err
		}
		pause := time.Duration(former.PauseSeconds) * time.Second
		return max(seconds(pause-now.Sub(former.Decided.At)), 0), nil
	}
	return 0, nil
}

// verifyApproval reads the decisions and counts those whose MAC is right. A
// decision with a wrong MAC or after the deadline, or a record about another
// plan, is tampering.
func verifyApproval(ctx context.Context, table Table, verifier Verifier, rec patch.Approval, digest string) (string, error) {
	if rec.Digest != digest {
		return "", fmt.Errorf("%w: approval %s is about another plan", patch.ErrTampered, rec.ID)
	}
	var all []patch.Decision
	err := table.Scan(ctx, patch.ApprovalKey(rec.ID).PK, "DECISION#", func(_ string, decode func(any) error) error {
		var d patch.Decision
		if err := decode(&d); err != nil {
			return err
		}
		all = append(all, d)
		return nil
	})
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if !d.At.Before(rec.Expires) {
			return "", fmt.Errorf("%w: a decision of approval %s is later than its deadline", patch.ErrTampered, rec.ID)
		}
		ok, err := sealed(ctx, verifier, rec, d)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", fmt.Errorf("%w: a decision of approval %s is not signed by this hub", patch.ErrTampered, rec.ID)
		}
	}
	if rec.Status == patch.ApprovalExpired {
		return patch.ApprovalExpired, nil
	}
	return rec.Tally(all), nil
}

// checkApproval refuses to send what is not in the plan, and unless the wave's
// question was answered with an approval of this very plan. What must be asked
// stands in the plan itself. A verified answer is final, so it is looked at once a process.
func (s *Send) checkApproval(ctx context.Context, st *state) error {
	wave, err := s.plan.bind(ctx, s.Objects, st)
	if err != nil {
		return err
	}
	if wave.AskScope == "none" {
		return nil
	}
	id := patch.ApprovalID(st.target.Run, wave.AskScope)
	if s.approved[id+st.run.Digest] {
		return nil
	}
	var rec patch.Approval
	row := &Row{Key: patch.ApprovalKey(id), Into: &rec}
	if err := s.Table.Load(ctx, row); err != nil {
		return err
	}
	if !row.Found || wave.AskScope == "" {
		return fmt.Errorf("%w: wave %s was never approved", patch.ErrTampered, st.target.Wave)
	}
	if !rec.OnTerms(s.plan.last) {
		return fmt.Errorf("%w: approval %s was not asked on the terms of the plan", patch.ErrTampered, rec.ID)
	}
	status, err := verifyApproval(ctx, s.Table, s.Decisions, rec, st.run.Digest)
	if err != nil {
		return err
	}
	if status != patch.ApprovalApproved {
		return fmt.Errorf("%w: wave %s is %s, not approved", patch.ErrTampered, st.target.Wave, status)
	}
	if s.approved == nil {
		s.approved = map[string]bool{}
	}
	s.approved[id+st.run.Digest] = true
	return nil
}

// loadPlan reads the plan that the run was frozen with, and no other.
func loadPlan(ctx context.Context, objects Objects, run patch.RunID, digest string) (patch.Index, error) {
	x, found, err := findIndex(ctx, objects, run)
	if err == nil && (!found || x.Digest != digest) {
		return x, fmt.Errorf("%w: the plan of run %s is not the one that was frozen", patch.ErrTampered, run)
	}
	return x, err
}

func loadIndex(ctx context.Context, objects Objects, run patch.RunID) (patch.Index, error) {
	x, found, err := findIndex(ctx, objects, run)
	if err == nil && !found {
		return x, fmt.Errorf("%w: run %s has no plan", patch.ErrInternal, run)
	}
	return x, err
}

func findIndex(ctx context.Context, objects Objects, run patch.RunID) (x patch.Index, found bool, err error) {
	data, found, err := objects.Fetch(ctx, patch.IndexObject(run))
	if err != nil || !found {
		return x, found, err
	}
	if err := json.Unmarshal(data, &x); err != nil {
		return x, true, fmt.Errorf("%w: plan of run %s: %w", patch.ErrTampered, run, err)
	}
	sealed := x.Digest
	if err := x.Seal(); err != nil {
		return x, true, err
	}
	if x.Digest != sealed {
		return x, true, fmt.Errorf("%w: the plan of run %s does not have its digest", patch.ErrTampered, run)
	}
	return x, true, nil
}
