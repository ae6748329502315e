package approval

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// link is what the address in a mail carries. Both parts are canonical: there
// is one spelling of each, and nothing in it needs percent-encoding.
type link struct {
	id  string
	mac []byte
}

// target is the page of the link, relative to the page that it is on.
func (l link) target() string { return "callback?a=" + l.id + "&c=" + decision.Capability(l.mac) }

// Bounds of what is looked at in an address.
const (
	maxQuery      = 4096
	maxParameters = 50
)

// linkFrom reads a link's query. Parameters that others add are ignored. A
// known one that is repeated, encoded or in another form makes the link damaged.
func linkFrom(raw string) (link, bool) {
	if len(raw) > maxQuery || strings.Count(raw, "&") >= maxParameters {
		return link{}, false
	}
	values := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(key)
		if err != nil || name != "a" && name != "c" {
			continue
		}
		if _, repeated := values[name]; repeated || name != key {
			return link{}, false
		}
		values[name] = value
	}
	return newLink(values["a"], values["c"])
}

func newLink(id, capability string) (link, bool) {
	mac, ok := decision.ParseCapability(capability)
	if !ok || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return link{}, false
	}
	return link{id: id, mac: mac}, true
}

// question is an approval with everything that stands about it in the table.
type question struct {
	rec       decision.Approval
	run       store.RunRow
	decisions []decision.Decision // in the order in which they were made; every MAC is right
	status    decision.Status     // what the decisions amount to
	approvals int                 // people who approved and count
	ignored   ignoredRow
	aborted   *store.Abort
}

// ignoredRow counts the answers to a question that came too late.
type ignoredRow struct {
	store.Versioned
	Count int `json:"count"`
}

func ignoredKey(id string) store.Key { return store.Key{PK: store.ApprovalKey(id).PK, SK: "IGNORED"} }

// open finds the question of a link. A link without a record costs the same
// calls as one with a wrong MAC, and has the same answer.
func (c *Callback) open(ctx context.Context, l link) (question, error) {
	var rec decision.Approval
	row := &store.Row{Key: store.ApprovalKey(l.id), Into: &rec}
	if err := c.Table.Load(ctx, row); err != nil {
		return question{}, err
	}
	right, err := c.Links.Check(ctx, rec.LinkMessage(), l.mac)
	if err != nil {
		return question{}, err
	}
	if !row.Found || !right || !c.owns(rec, l.id) {
		return question{}, pageDamaged
	}
	return c.read(ctx, l.id)
}

// owns tells whether the record is one of this hub, at the place where it belongs.
func (c *Callback) owns(rec decision.Approval, id string) bool {
	return rec.ID == id && id == decision.ApprovalID(rec.Run, rec.Scope) && rec.HubAccount == c.HubAccount
}

// read loads a question and checks all of it. It is read anew after each
// conflict: what was true before is of no use then.
func (c *Callback) read(ctx context.Context, id string) (question, error) {
	var q question
	rec := &store.Row{Key: store.ApprovalKey(id), Into: &q.rec}
	if err := c.Table.Load(ctx, rec, &store.Row{Key: ignoredKey(id), Into: &q.ignored}); err != nil {
		return q, err
	}
	if !rec.Found || !c.owns(q.rec, id) {
		return q, pageDamaged
	}
	var abort store.Abort
	run := &store.Row{Key: store.RunKey(q.rec.Run), Into: &q.run}
	flag := &store.Row{Key: store.AbortKey(q.rec.Run), Into: &abort}
	if err := c.Table.Load(ctx, run, flag); err != nil {
		return q, err
	}
	if flag.Found {
		q.aborted = &abort
	}
	if !run.Found || q.run.Digest != q.rec.Digest {
		return q, fmt.Errorf("%w: approval %s is about another plan than its run", patch.ErrTampered, id)
	}
	if !c.startedHere(q.run) {
		return q, pageDamaged
	}
	return q, c.readDecisions(ctx, &q)
}

// readDecisions reads the answers and what they amount to.
func (c *Callback) readDecisions(ctx context.Context, q *question) error {
	err := c.Table.Scan(ctx, store.ApprovalKey(q.rec.ID).PK, "DECISION#", func(sk string, decode func(any) error) error {
		var d decision.Decision
		if err := decode(&d); err != nil {
			return err
		}
		if sk != store.DecisionKey(q.rec.ID, d.Identity).SK || d.Approval != q.rec.ID {
			return fmt.Errorf("%w: a decision of approval %s is not at its place", patch.ErrTampered, q.rec.ID)
		}
		q.decisions = append(q.decisions, d)
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range q.decisions {
		if !d.At.Before(q.rec.Expires) {
			return fmt.Errorf("%w: a decision of approval %s is later than its deadline", patch.ErrTampered, q.rec.ID)
		}
		ok, err := c.sealedHere(ctx, q.rec, d)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: a decision of approval %s is not signed by this hub", patch.ErrTampered, q.rec.ID)
		}
	}
	decision.SortDecisions(q.decisions)
	q.status, q.approvals = q.rec.Status, q.rec.Approvals(c.People, q.decisions)
	if q.status != decision.ApprovalExpired && !q.rec.Fits(c.People, q.decisions) {
		return fmt.Errorf("%w: approval %s says %q, its decisions say %q",
			patch.ErrTampered, q.rec.ID, q.rec.Status, q.rec.Tally(c.People, q.decisions))
	}
	return nil
}

// startedHere tells whether the run is an execution of our state machine.
func (c *Callback) startedHere(run store.RunRow) bool {
	if c.StateMachineARN == "" || run.ExecutionARN == "" {
		return true
	}
	machine := strings.Replace(c.StateMachineARN, ":stateMachine:", ":execution:", 1)
	return run.ExecutionARN == machine+":"+string(run.Run)
}
