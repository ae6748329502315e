package check

import (
	"crypto/ecdsa"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// tables is what the API side of DynamoDB has accepted, as far as rules are about it.
type tables struct {
	chains    map[string]chainEnd
	heads     map[string]chainEnd         // of chains, as the state table binds them
	Audited   map[string]bool             // see auditKey
	Leases    map[string]leaseRow         // by account/region
	Intents   map[string]*intentRow       // by marker
	byKey     map[string]*intentRow       // by place in the table
	approvals map[string]map[string]bool  // identities that approved, by approval
	States    map[string]string           // of approvals and verdicts, by place in the table
	tokens    map[string]string           // task token to approval
	open      map[string]bool             // runs in the list of open ones
	Status    map[string]string           // of runs
	frozen    map[string]bool             // runs whose plan is frozen
	sealed    map[string]string           // by run: the plan that its seal is about
	verified  map[string]string           // the hash of a verified target's result, by run and place in the table
	codes     map[string]string           // what a person types, by approval
	accepted  map[string]time.Time        // transactions, by token
	planned   map[string]int              // instances of a target, by place in the table
	public    map[string]*ecdsa.PublicKey // of the audit's writers
}

// ResultOf is the hash of a target's result, empty before it is verified.
func (t tables) ResultOf(at patch.Target) string {
	k := store.TargetKey(at)
	return t.verified[k.PK+" "+k.SK]
}

// chainEnd is the last line of an audit chain.
type chainEnd struct {
	seq  int
	hash string
}

// intentRow is one intent as DynamoDB has it.
type intentRow struct {
	run, wave, account, region string
	marker                     string
	IDs                        []string
	fence                      int
	settled                    bool
	Sends                      []sentRow
	used                       map[int]usedFor // what the API side accepted for it, by place
}

// sentRow is what the product wrote of one send.
type sentRow struct {
	command       string
	refused, Lost bool
	invalid       bool // refused because SSM does not reach the instance
}

// usedFor is a command that the API side accepted for an intent.
type usedFor struct {
	command string
	at      time.Time
}

func newTables() tables {
	return tables{
		chains: map[string]chainEnd{}, heads: map[string]chainEnd{}, Audited: map[string]bool{},
		Leases:  map[string]leaseRow{},
		Intents: map[string]*intentRow{}, byKey: map[string]*intentRow{}, approvals: map[string]map[string]bool{},
		accepted: map[string]time.Time{}, codes: map[string]string{}, States: map[string]string{},
		tokens: map[string]string{}, open: map[string]bool{}, Status: map[string]string{},
		frozen: map[string]bool{}, sealed: map[string]string{},
		verified: map[string]string{}, planned: map[string]int{}, public: map[string]*ecdsa.PublicKey{},
	}
}

// tokenHolds is how long DynamoDB knows a transaction by its token.
// Source: TransactWriteItems, ClientRequestToken, read 2026-11.
const tokenHolds = 10 * time.Minute

// Item is a row as DynamoDB has it.
type Item = map[string]types.AttributeValue

// wrote takes over what one call wrote. Audit lines come first: what is written
// together takes effect together.
func (c *Checks) wrote(e core.Entry) {
	switch in := e.Input.(type) {
	case *dynamodb.PutItemInput:
		c.put(e.Principal, aws.ToString(in.TableName), aws.ToString(in.ConditionExpression), in.Item)
	case *dynamodb.UpdateItemInput:
		c.changed(aws.ToString(in.TableName), in.Key)
	case *dynamodb.TransactWriteItemsInput:
		c.TransactItems += len(in.TransactItems)
		token := aws.ToString(in.ClientRequestToken)
		if c.now().Sub(c.Tables.accepted[token]) < tokenHolds {
			return // sent again after a lost answer: it took effect the first time
		}
		c.Tables.accepted[token] = c.now()
		for _, audit := range []bool{true, false} {
			for _, a := range in.TransactItems {
				c.action(e.Principal, a, audit)
			}
		}
	}
}

// action takes over one action of a transaction: of the audit table, or of the other.
func (c *Checks) action(by *core.Principal, a types.TransactWriteItem, audit bool) {
	switch {
	case a.Put != nil && stage.IsAudit(a.Put.TableName) == audit:
		c.put(by, *a.Put.TableName, aws.ToString(a.Put.ConditionExpression), a.Put.Item)
	case a.Update != nil && stage.IsAudit(a.Update.TableName) == audit:
		c.changed(*a.Update.TableName, a.Update.Key)
	case a.Delete != nil && stage.IsAudit(a.Delete.TableName) == audit:
		c.changed(*a.Delete.TableName, a.Delete.Key)
		if Attribute(a.Delete.Key, "pk") == "OPEN" {
			delete(c.Tables.open, Attribute(a.Delete.Key, "sk"))
		}
	}
}

// changed checks that nothing changes or deletes an audit line: I-45.
func (c *Checks) changed(table string, key Item) {
	if stage.IsAudit(&table) {
		c.Violate("I-45", "the audit line %s %s was changed or deleted", Attribute(key, "pk"), Attribute(key, "sk"))
	}
}

// put takes over a row as it stands now.
func (c *Checks) put(by *core.Principal, table, condition string, row Item) {
	pk, sk := Attribute(row, "pk"), Attribute(row, "sk")
	c.expires(table, row)
	if stage.IsAudit(&table) {
		c.line(by.RoleARN, condition, row)
		return
	}
	kind, rest, _ := strings.Cut(pk, "#")
	c.head(kind, pk, sk, row)
	switch {
	case kind == "LEASE":
		place := strings.Replace(rest, "#", "/", 1)
		is := leaseRow{run: Attribute(row, "run"), Fence: number(row, "fence"), expires: moment(row, "leaseExpires")}
		is.letGo = !is.expires.After(c.now())
		c.leaseWritten(place, c.Tables.Leases[place], is)
		c.Tables.Leases[place] = is
	case kind == "OPEN" && strings.HasPrefix(sk, "RUN#"):
		c.Tables.open[sk] = true
	case kind == "SEAL":
		if was := c.Tables.sealed[rest]; was != "" {
			c.Violate("I-31", "the plan of %s was sealed again, with %s after %s", rest, Attribute(row, "digest"), was)
		}
		c.Tables.sealed[rest] = Attribute(row, "digest")
	case kind == "APPROVAL" && sk == "META":
		c.approval(rest, row)
	case kind == "APPROVAL" && strings.HasPrefix(sk, "DECISION#"):
		c.decision(rest, row)
	case kind == "RUN" && sk == "META":
		c.Tables.Status[rest] = Attribute(row, "runStatus")
		before := c.Tables.frozen[rest]
		if c.Tables.frozen[rest] = Attribute(row, "digest") != ""; !before && c.Tables.frozen[rest] {
			c.keyTaken(patch.RunID(rest))
		}
	case kind == "RUN" && sk == "ABORT":
		c.abort(rest, boolean(row, "cancelInFlight"))
	case kind == "RUN" && strings.HasPrefix(sk, "SEND#"):
		c.intent(rest, sk, row)
	case kind == "RUN" && strings.HasPrefix(sk, "TARGET#"):
		c.Tables.planned[pk+" "+sk] = number(row, "planned")
		if Attribute(row, "targetStatus") == string(target.TargetVerified) {
			c.Tables.verified[pk+" "+sk] = Attribute(row, "resultHash")
		}
	case kind == "RUN" && strings.HasPrefix(sk, "WAVE#"):
		c.verdict(rest, sk, row)
	}
}

// expires checks that nothing which a run needs can be removed before 30 days
// are past, and no lease or audit line ever: I-50.
func (c *Checks) expires(table string, row Item) {
	n, ok := row["expires"].(*types.AttributeValueMemberN)
	if !ok {
		return
	}
	at, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || time.Unix(at, 0).Sub(c.now()) < 30*24*time.Hour || stage.IsAudit(&table) ||
		strings.HasPrefix(Attribute(row, "pk"), "LEASE#") {
		c.Violate("I-50", "row %s %s expires at %s", Attribute(row, "pk"), Attribute(row, "sk"), n.Value)
	}
}

// maxReadLag is how long Run Command may take to list what it accepted.
// Source: GetCommandInvocation says eventually; field reports say up to a minute.
const maxReadLag = time.Minute

// intent takes over a send that is foretold, or what became of it.
func (c *Checks) intent(run, sk string, row Item) {
	parts := strings.Split(sk, "#")
	if len(parts) != 5 {
		c.Violate("R-10", "%s names no batch", sk)
		return
	}
	key := run + " " + sk
	in := c.Tables.byKey[key]
	if in == nil {
		in = &intentRow{
			run: run, wave: parts[1], account: parts[2], region: parts[3], marker: Attribute(row, "marker"),
			IDs:   list(row, "ids"),
			fence: number(row, "fence"), used: map[int]usedFor{},
		}
		c.Tables.byKey[key] = in
		if former := c.Tables.Intents[in.marker]; former != nil && in.marker != "" {
			c.Violate("R-10", "two intents have the marker %q", in.marker)
		}
		c.Tables.Intents[in.marker] = in
		c.announced(in)
		c.endSigned(in, row)
	}
	in.settled, in.Sends = boolean(row, "settled"), sendsOf(row)
	for i, x := range in.Sends {
		c.became(in, i, x)
	}
}

// became checks what the product says of one send of an intent against what the API side accepted.
func (c *Checks) became(in *intentRow, i int, x sentRow) {
	used, accepted := in.used[i]
	marker := plan.SendMarker(in.marker, i)
	if x.refused && accepted {
		c.Violate("R-10", "the send of %s is written down as refused, and the API side had accepted %s", marker, used.command)
	}
	if x.Lost && accepted && c.now().Sub(used.at) < maxReadLag {
		c.Violate("I-02", "the send of %s was given up %s after %s was accepted, when SSM need not list it yet", marker,
			c.now().Sub(used.at), used.command)
	}
	if x.Lost && !accepted {
		c.givenUp(in, i)
	}
	if x.command != "" && x.command != used.command {
		c.Violate("R-10", "the send of %s adopted %s, the API side had accepted %q for it", marker, x.command, used.command)
	}
}

// sendsOf reads what an intent's row says of its sends.
func sendsOf(row Item) []sentRow {
	v, ok := row["sends"].(*types.AttributeValueMemberL)
	if !ok {
		return nil
	}
	var all []sentRow
	for _, one := range v.Value {
		m, _ := one.(*types.AttributeValueMemberM)
		if m == nil {
			continue
		}
		all = append(all, sentRow{command: Attribute(m.Value, "c"), refused: Attribute(m.Value, "refused") != "",
			Lost: boolean(m.Value, "lost"), invalid: Attribute(m.Value, "refused") == string(patch.ErrInvalidInstance)})
	}
	return all
}

// announced checks that no send is announced once its run is closed or aborted,
// or its wave judged, however late its sender is: rule 4, I-19.
func (c *Checks) announced(in *intentRow) {
	if is := c.Tables.Status[in.run]; is != "Running" {
		c.Violate("R-04", "the send of %s was announced when the run was %s", in.marker, is)
	}
	if is := c.Tables.States["verdict "+in.run+" "+in.wave]; is != "" {
		c.Violate("R-04", "the send of %s was announced when the wave was judged %s", in.marker, is)
	}
	if r := c.runs[patch.RunID(in.run)]; r != nil && !r.Aborted.IsZero() {
		c.Violate("R-04", "the send of %s was announced after the abort", in.marker)
	}
}

// approval takes over a question to people. Once it is decided it stays so: I-25, I-48.
func (c *Checks) approval(id string, row Item) {
	if r := c.runs[patch.RunID(Attribute(row, "run"))]; r != nil && r.asked[id].IsZero() {
		r.asked[id] = c.now()
	}
	c.Tables.codes[id] = fmt.Sprintf("%d-%.4s", number(row, "instances"), Attribute(row, "digest"))
	if token := Attribute(row, "taskToken"); token != "" {
		c.Tables.tokens[token] = id
	}
	c.settles("approval "+id, Attribute(row, "approvalStatus"), "pending")
}

// settles notes a state that is final but for its first.
func (c *Checks) settles(what, is, first string) {
	was := c.Tables.States[what]
	if was != "" && was != first && was != is {
		c.Violate("I-48", "%s went from %s to %s", what, was, is)
	}
	c.Tables.States[what] = is
}

// decision takes over a person's answer, which must be in the audit by now: I-44.
func (c *Checks) decision(id string, row Item) {
	identity := Attribute(row, "identity")
	if !c.Tables.Audited[AuditKey("Decided", "", id)] {
		c.Violate("R-10", "%s decided on approval %s without an audit entry", identity, id)
	}
	if state := c.Tables.States["approval "+id]; state != "" && state != "pending" && state != "approved" &&
		state != "rejected" {
		c.Violate("R-08", "a decision was recorded for an approval that was %s", state)
	}
	if Attribute(row, "decision") != "approve" {
		return
	}
	if c.Tables.approvals[id] == nil {
		c.Tables.approvals[id] = map[string]bool{}
	}
	c.Tables.approvals[id][identity] = true
}

// abort takes over the flag that stops a run.
func (c *Checks) abort(run string, cancels bool) {
	if !c.Tables.Audited[AuditKey("Aborted", "", decision.ApprovalID(patch.RunID(run), "abort"))] {
		c.Violate("R-10", "run %s was aborted without an audit entry", run)
	}
	if r := c.runs[patch.RunID(run)]; r != nil && r.Aborted.IsZero() {
		r.Aborted, r.cancels = c.now(), cancels
	}
}

// verdict takes over what was judged of a wave; it does not change any more: I-48.
func (c *Checks) verdict(run, sk string, row Item) {
	is := Attribute(row, "verdict")
	wave, _ := strings.CutPrefix(sk, "WAVE#")
	if is == "" {
		if was := c.Tables.States["verdict "+run+" "+wave]; was != "" {
			c.Violate("I-48", "the verdict %s on wave %s was taken back", was, wave)
		}
		return
	}
	if !c.Tables.Audited[AuditKey("Verdict", "wave "+wave+": "+is, run)] {
		c.Violate("R-10", "wave %s was judged %s without an audit entry", wave, is)
	}
	c.settles("verdict "+run+" "+wave, is, "")
}

// answered checks what Step Functions is told: a waiting run goes on only when
// that is in the audit: I-44.
func (c *Checks) answered(e core.Entry, operation string) {
	in, ok := e.Input.(*sfn.SendTaskSuccessInput)
	if !ok {
		if operation != "StartExecution" {
			c.Violate("I-12", "states:%s was called", operation)
		}
		return
	}
	id := c.Tables.tokens[aws.ToString(in.TaskToken)]
	if id == "" || !c.Tables.Audited[AuditKey("Release", "", id)] {
		c.Violate("R-10", "a waiting task was answered for approval %q without an audit entry", id)
	}
}

// Attribute is a text attribute of an item.
func Attribute(row Item, name string) string {
	v, ok := row[name].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return v.Value
}

func number(row Item, name string) int {
	v, ok := row[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(v.Value)
	if err != nil {
		return 0
	}
	return n
}

func binary(row Item, name string) []byte {
	v, ok := row[name].(*types.AttributeValueMemberB)
	if !ok {
		return nil
	}
	return v.Value
}

func boolean(row Item, name string) bool {
	v, ok := row[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

func moment(row Item, name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, Attribute(row, name))
	if err != nil {
		return time.Time{}
	}
	return t
}

func list(row Item, name string) []string {
	v, ok := row[name].(*types.AttributeValueMemberL)
	if !ok {
		return nil
	}
	var all []string
	for _, one := range v.Value {
		if s, ok := one.(*types.AttributeValueMemberS); ok {
			all = append(all, s.Value)
		}
	}
	return all
}
