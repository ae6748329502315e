package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/port"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// answer is what somebody says to a question.
type answer struct {
	decision               decision.Choice
	identity, name, reason string
	from                   string // for the audit alone
}

// decided is what came of an answer.
type decided struct {
	q        question // as it stands now
	recorded bool     // this answer counts
	slow     bool     // recorded, but the waiting run could not be told yet
	barred   bar      // why this identity may not answer so, where it is not because of an earlier answer
}

// bar is a reason not to take an answer of an identity, empty if there is none. It is the stable name of the refusal.
type bar string

const (
	barOwnRun     bar = "own_run"
	barLink       bar = "link_only"
	barSamePerson bar = "same_person"
)

// sentence says to whom it may concern why the answer is not taken.
func (b bar) sentence(run patch.RunID) string {
	switch b {
	case barOwnRun:
		return "By what the starter of this run says, you asked for it. Others decide on it."
	case barLink:
		return "More than one person must approve, and a link does not say who holds it. Decide with an identity of your " +
			"own: ec2patch approve " +
			string(run)
	case barSamePerson:
		return "You approved before, or somebody else in your role did. The next approval must come from another person: " +
			"by a login of their own, or by ec2patch approve."
	}
	return ""
}

const (
	// decideAttempts bounds how often a decision is tried when others write at
	// the same time. Each conflict means that another write got through.
	decideAttempts = 10
	// maxIgnored bounds how many late answers are written down for a question.
	maxIgnored = 20
)

// decidable tells whether the question can be decided at all, by whomever: page and operator's route ask it before
// anything is recorded, and the page before it shows a form. A question that is decided is no reason to refuse; an
// answer to it changes nothing. What it returns beside is the plan that the question is about.
func (c *Callback) decidable(ctx context.Context, q question) (shownPlan, error) {
	pending := q.status == decision.ApprovalPending
	switch {
	case q.status == decision.ApprovalExpired, pending && q.over(c.Now()):
		return shownPlan{}, pageExpired
	case pending && !q.run.Ended.IsZero():
		return shownPlan{}, pageRunEnded
	case pending && q.aborted != nil:
		return shownPlan{}, pageAborted
	}
	return c.plan(ctx, q) // nobody decides on a question that the plan does not ask
}

// bars says why an identity may not give this answer, where the question is open. Where one approval is enough nothing
// does. One rejection is enough always, so only who holds a mere link may not give it.
func (c *Callback) bars(q question, identity string, answer decision.Choice) bar {
	switch why := q.rec.Uncounted(c.People, q.decisions, identity); {
	case why == decision.UncountedBearer:
		return barLink
	case answer == decision.Reject:
		return ""
	case why == decision.UncountedRequester:
		return barOwnRun
	case why == decision.UncountedTwice:
		return barSamePerson
	}
	return ""
}

// decide records an answer and tells the waiting run. The first answer that
// settles the question wins by the record's version; any other changes nothing.
func (c *Callback) decide(ctx context.Context, q question, a answer) (decided, error) {
	for range decideAttempts {
		if _, err := c.decidable(ctx, q); err != nil {
			return decided{}, err
		}
		if q.status != decision.ApprovalPending || q.answeredBy(a.identity) {
			return c.ignore(ctx, q, a)
		}
		if why := c.bars(q, a.identity, a.decision); why != "" {
			done, err := c.ignore(ctx, q, a)
			done.barred = why
			return done, err
		}
		next, err := c.record(ctx, q, a)
		if err == nil {
			slow := c.release(ctx, next)
			c.tell(ctx, next, a)
			return decided{q: next, recorded: true, slow: slow}, nil
		}
		if !errors.Is(err, patch.ErrConflict) {
			return decided{}, err
		}
		if q, err = c.read(ctx, q.rec.ID); err != nil {
			return decided{}, err
		}
	}
	return decided{}, fmt.Errorf("%w: approval %s is written by too many at once", patch.ErrConflict, q.rec.ID)
}

// record writes the decision, the record and the audit, or nothing.
func (c *Callback) record(ctx context.Context, q question, a answer) (question, error) {
	now := c.Now().UTC().Truncate(time.Millisecond)
	if q.over(now) { // again, so that the time on record is never past the deadline
		return q, pageExpired
	}
	d := decision.Decision{
		Approval: q.rec.ID, Decision: a.decision, Identity: a.identity, Name: a.name, Reason: a.reason, At: now,
	}
	d, err := c.seal(ctx, q.rec, d)
	if err != nil {
		return q, err
	}
	was := q.rec.Version
	q.rec.Version++
	q.decisions = append(slices.Clone(q.decisions), d)
	q.status, q.approvals = q.rec.Tally(c.People, q.decisions), q.rec.Approvals(c.People, q.decisions)
	note := store.Note{Action: "Decided", Detail: fmt.Sprintf("%s by %s, name %q, reason %q, %s; %s",
		a.decision, a.identity, a.name, a.reason, a.from, q.status)}
	if q.status != decision.ApprovalPending {
		q.rec.Status, q.rec.Decided = q.status, now
		if q.rec.Token != "" {
			note.Releases = true
		}
	}
	entry, err := c.audit(ctx, &q.rec, note)
	if err != nil {
		return q, err
	}
	writes := []store.Write{entry}
	writes = append(writes,
		store.Write{How: store.Create, Key: store.DecisionKey(q.rec.ID, d.Identity), Item: d},
		store.Write{How: store.Replace, Key: store.ApprovalKey(q.rec.ID), Item: q.rec, Was: was})
	return q, c.Table.Write(ctx, writes...)
}

// audit appends to the callback's chain about the question. Its head is in the
// record, so the record's version keeps the chain without gaps and without
// forks. Each entry may be the last, so each is signed.
func (c *Callback) audit(ctx context.Context, rec *decision.Approval, note store.Note) (store.Write, error) {
	note.Actor = "approval-callback"
	entry, err := rec.Heads.Note(store.Callback, store.ApprovalSubject(rec.ID), note, c.Now()).Signed(ctx, c.Auditor)
	return entry.Write(), err
}

// ignore writes down that an answer changed nothing, a bounded number of times.
// If the run was not told yet, because a call ended between the decision and
// the release, it is told now.
func (c *Callback) ignore(ctx context.Context, q question, a answer) (decided, error) {
	for range decideAttempts {
		if q.ignored.Count >= maxIgnored {
			return decided{q: q}, nil
		}
		next, err := c.writeIgnored(ctx, q, a)
		if err == nil {
			c.release(ctx, next)
			return decided{q: next}, nil
		}
		if !errors.Is(err, patch.ErrConflict) {
			return decided{}, err
		}
		if q, err = c.read(ctx, q.rec.ID); err != nil {
			return decided{}, err
		}
	}
	slog.Warn("late answer not written down", "run", string(q.rec.Run))
	return decided{q: q}, nil
}

func (c *Callback) writeIgnored(ctx context.Context, q question, a answer) (question, error) {
	was, ignoredWas := q.rec.Version, q.ignored.Version
	q.rec.Version++
	q.ignored.Version++
	q.ignored.Count++
	note := store.Note{Action: "Ignored", Detail: fmt.Sprintf("%s by %s, name %q, %s; the question is %s",
		a.decision, a.identity, nameText(a.name), a.from, q.status)}
	if q.status != decision.ApprovalPending && q.rec.Token != "" {
		note.Releases = true
	}
	entry, err := c.audit(ctx, &q.rec, note)
	if err != nil {
		return q, err
	}
	writes := []store.Write{entry}
	count := store.Write{How: store.Replace, Key: ignoredKey(q.rec.ID), Item: q.ignored, Was: ignoredWas}
	if ignoredWas == 0 {
		count.How = store.Create
	}
	writes = append(writes, count,
		store.Write{How: store.Replace, Key: store.ApprovalKey(q.rec.ID), Item: q.rec, Was: was})
	return q, c.Table.Write(ctx, writes...)
}

// release ends the waiting round of a decided question.
func (c *Callback) release(ctx context.Context, q question) (slow bool) {
	if q.status == decision.ApprovalPending || q.rec.Token == "" {
		return false
	}
	return c.free(ctx, q.rec)
}

// free answers the task token of a record and forgets it. The token itself
// approves nothing: the next state reads the record again. If it fails, the end
// of the round does the same.
func (c *Callback) free(ctx context.Context, rec decision.Approval) (slow bool) {
	// Gone means that the round ended by itself: its end settles the question.
	if _, err := c.Waiter.Release(ctx, rec.Token, []byte(`{}`)); err != nil {
		slog.Warn("waiting run not told", "run", string(rec.Run), "err", err)
		return true
	}
	was := rec.Version
	rec.Version++
	rec.Token = ""
	err := c.Table.Write(ctx, store.Write{How: store.Replace, Key: store.ApprovalKey(rec.ID), Item: rec, Was: was})
	if err != nil && !errors.Is(err, patch.ErrConflict) {
		slog.Warn("spent token not forgotten", "run", string(rec.Run), "err", err)
	}
	return false
}

// tell lets everybody who was asked know. A lost mail changes nothing.
func (c *Callback) tell(ctx context.Context, q question, a answer) {
	subject, body := decisionMail(q, a)
	if err := c.Notices.Send(ctx, subject, body); err != nil {
		slog.Warn("decision not mailed", "run", string(q.rec.Run), "err", err)
	}
}

// decisionMail is the news of a decision as plain text, without any link.
func decisionMail(q question, a answer) (subject, body string) {
	subject = fmt.Sprintf("ec2patch %s: %s (%s)", q.rec.Run, q.status, q.rec.Scope.Text())
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s, %s: %s\n\n", q.rec.Run, q.rec.Scope.Text(), q.status)
	fmt.Fprintf(&b, "Answer: %s\nName given: %s\n", a.decision, words.Clean(a.name, words.Mail))
	fmt.Fprintf(&b, "Identity: %s\n", words.Clean(identityText(a.identity), words.Mail))
	if a.reason != "" {
		fmt.Fprintf(&b, "Reason: %s\n", words.Clean(a.reason, words.Mail))
	}
	fmt.Fprintf(&b, "Instances: %s\nPlan digest: %s\n", words.Number(q.rec.Instances), q.rec.Digest)
	if q.status == decision.ApprovalPending {
		fmt.Fprintf(&b, "\nApprovals so far: %d of %d.\n", q.approvals, q.needed())
	}
	b.WriteString("\nIf this is a surprise, abort the run at once: ec2patch abort " + string(q.rec.Run) + "\n")
	return words.Clean(subject, words.Mail, words.Limit(port.MaxSubject)), b.String()
}

func (q question) answeredBy(identity string) bool {
	return slices.ContainsFunc(q.decisions, func(d decision.Decision) bool { return d.Identity == identity })
}

func (q question) needed() int { return max(q.rec.RequireDistinct, 1) }

// settledBy is the decision that settled the question.
func (q question) settledBy() (decision.Decision, bool) {
	for _, d := range slices.Backward(q.decisions) {
		if q.status != decision.ApprovalRejected || d.Decision == decision.Reject {
			return d, true
		}
	}
	return decision.Decision{}, false
}

func identityText(identity string) string {
	if identity == decision.Bearer {
		return "whoever holds the link (not proven)"
	}
	return identity
}
