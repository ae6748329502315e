package sim

import (
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
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// tables is what the API side of DynamoDB has accepted, as far as rules are about it.
type tables struct {
	chains    map[string]chainEnd
	heads     map[string]chainEnd        // of chains, as the state table binds them
	audited   map[string]bool            // see auditKey
	leases    map[string]leaseRow        // by account/region
	intents   map[string]*intentRow      // by marker
	byKey     map[string]*intentRow      // by place in the table
	approvals map[string]map[string]bool // identities that approved, by approval
	states    map[string]string          // of approvals and verdicts, by place in the table
	tokens    map[string]string          // task token to approval
	open      map[string]bool            // runs in the list of open ones
	status    map[string]string          // of runs
	frozen    map[string]bool            // runs whose plan is sealed
	verified  map[string]string          // the hash of a verified target's result, by run and place in the table
	codes     map[string]string          // what a person types, by approval
	accepted  map[string]time.Time       // transactions, by token
}

// resultOf is the hash of a target's result, empty before it is verified.
func (t tables) resultOf(at patch.Target) string {
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
	ids                        []string
	fence                      int
	settled                    bool
	sends                      []sentRow
	used                       map[int]usedFor // what the API side accepted for it, by place
}

// sentRow is what the product wrote of one send.
type sentRow struct {
	command       string
	refused, lost bool
	invalid       bool // refused because SSM does not reach the instance
}

// usedFor is a command that the API side accepted for an intent.
type usedFor struct {
	command string
	at      time.Time
}

func newTables() tables {
	return tables{
		chains: map[string]chainEnd{}, heads: map[string]chainEnd{}, audited: map[string]bool{}, leases: map[string]leaseRow{},
		intents: map[string]*intentRow{}, byKey: map[string]*intentRow{}, approvals: map[string]map[string]bool{},
		accepted: map[string]time.Time{}, codes: map[string]string{}, states: map[string]string{}, tokens: map[string]string{}, open: map[string]bool{}, status: map[string]string{}, frozen: map[string]bool{},
		verified: map[string]string{},
	}
}

// tokenHolds is how long DynamoDB knows a transaction by its token.
// Source: TransactWriteItems, ClientRequestToken, read 2026-11.
const tokenHolds = 10 * time.Minute

type item = map[string]types.AttributeValue

// wrote takes over what one call wrote. Audit lines come first: what is written
// together takes effect together.
func (c *checks) wrote(e world.Entry) {
	switch in := e.Input.(type) {
	case *dynamodb.PutItemInput:
		c.put(aws.ToString(in.TableName), aws.ToString(in.ConditionExpression), in.Item)
	case *dynamodb.UpdateItemInput:
		c.changed(aws.ToString(in.TableName), in.Key)
	case *dynamodb.TransactWriteItemsInput:
		c.transactItems += len(in.TransactItems)
		token := aws.ToString(in.ClientRequestToken)
		if c.now().Sub(c.tables.accepted[token]) < tokenHolds {
			return // sent again after a lost answer: it took effect the first time
		}
		c.tables.accepted[token] = c.now()
		for _, audit := range []bool{true, false} {
			for _, a := range in.TransactItems {
				c.action(a, audit)
			}
		}
	}
}

// action takes over one action of a transaction: of the audit table, or of the other.
func (c *checks) action(a types.TransactWriteItem, audit bool) {
	switch {
	case a.Put != nil && isAudit(a.Put.TableName) == audit:
		c.put(*a.Put.TableName, aws.ToString(a.Put.ConditionExpression), a.Put.Item)
	case a.Update != nil && isAudit(a.Update.TableName) == audit:
		c.changed(*a.Update.TableName, a.Update.Key)
	case a.Delete != nil && isAudit(a.Delete.TableName) == audit:
		c.changed(*a.Delete.TableName, a.Delete.Key)
		if attribute(a.Delete.Key, "pk") == "OPEN" {
			delete(c.tables.open, attribute(a.Delete.Key, "sk"))
		}
	}
}

func isAudit(table *string) bool { return strings.HasSuffix(aws.ToString(table), "-audit") }

// changed checks that nothing changes or deletes an audit line: I-45.
func (c *checks) changed(table string, key item) {
	if isAudit(&table) {
		c.violate("I-45", "the audit line %s %s was changed or deleted", attribute(key, "pk"), attribute(key, "sk"))
	}
}

// put takes over a row as it stands now.
func (c *checks) put(table, condition string, row item) {
	pk, sk := attribute(row, "pk"), attribute(row, "sk")
	c.expires(table, row)
	if isAudit(&table) {
		c.line(condition, row)
		return
	}
	kind, rest, _ := strings.Cut(pk, "#")
	c.head(kind, pk, sk, row)
	switch {
	case kind == "LEASE":
		place := strings.Replace(rest, "#", "/", 1)
		is := leaseRow{run: attribute(row, "run"), fence: number(row, "fence"), expires: moment(row, "leaseExpires")}
		is.letGo = !is.expires.After(c.now())
		c.leaseWritten(place, c.tables.leases[place], is)
		c.tables.leases[place] = is
	case kind == "OPEN" && strings.HasPrefix(sk, "RUN#"):
		c.tables.open[sk] = true
	case kind == "APPROVAL" && sk == "META":
		c.approval(rest, row)
	case kind == "APPROVAL" && strings.HasPrefix(sk, "DECISION#"):
		c.decision(rest, row)
	case kind == "RUN" && sk == "META":
		c.tables.status[rest] = attribute(row, "runStatus")
		before := c.tables.frozen[rest]
		if c.tables.frozen[rest] = attribute(row, "digest") != ""; !before && c.tables.frozen[rest] {
			c.keyTaken(patch.RunID(rest))
		}
	case kind == "RUN" && sk == "ABORT":
		c.abort(rest, boolean(row, "cancelInFlight"))
	case kind == "RUN" && strings.HasPrefix(sk, "SEND#"):
		c.intent(rest, sk, row)
	case kind == "RUN" && strings.HasPrefix(sk, "TARGET#"):
		if attribute(row, "targetStatus") == string(target.TargetVerified) {
			c.tables.verified[pk+" "+sk] = attribute(row, "resultHash")
		}
	case kind == "RUN" && strings.HasPrefix(sk, "WAVE#"):
		c.verdict(rest, sk, row)
	}
}

// expires checks that nothing which a run needs can be removed before 30 days
// are past, and no lease or audit line ever: I-50.
func (c *checks) expires(table string, row item) {
	n, ok := row["expires"].(*types.AttributeValueMemberN)
	if !ok {
		return
	}
	at, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || time.Unix(at, 0).Sub(c.now()) < 30*24*time.Hour || isAudit(&table) || strings.HasPrefix(attribute(row, "pk"), "LEASE#") {
		c.violate("I-50", "row %s %s expires at %s", attribute(row, "pk"), attribute(row, "sk"), n.Value)
	}
}

// maxReadLag is how long Run Command may take to list what it accepted.
// Source: GetCommandInvocation says eventually; field reports say up to a minute.
const maxReadLag = time.Minute

// intent takes over a send that is foretold, or what became of it.
func (c *checks) intent(run, sk string, row item) {
	parts := strings.Split(sk, "#")
	if len(parts) != 5 {
		c.violate("R-10", "%s names no batch", sk)
		return
	}
	key := run + " " + sk
	in := c.tables.byKey[key]
	if in == nil {
		in = &intentRow{
			run: run, wave: parts[1], account: parts[2], region: parts[3], marker: attribute(row, "marker"), ids: list(row, "ids"),
			fence: number(row, "fence"), used: map[int]usedFor{},
		}
		c.tables.byKey[key] = in
		if former := c.tables.intents[in.marker]; former != nil && in.marker != "" {
			c.violate("R-10", "two intents have the marker %q", in.marker)
		}
		c.tables.intents[in.marker] = in
		c.announced(in)
	}
	in.settled, in.sends = boolean(row, "settled"), sendsOf(row)
	for i, x := range in.sends {
		c.became(in, i, x)
	}
}

// became checks what the product says of one send of an intent against what the API side accepted.
func (c *checks) became(in *intentRow, i int, x sentRow) {
	used, accepted := in.used[i]
	marker := plan.SendMarker(in.marker, i)
	if x.refused && accepted {
		c.violate("R-10", "the send of %s is written down as refused, and the API side had accepted %s", marker, used.command)
	}
	if x.lost && accepted && c.now().Sub(used.at) < maxReadLag {
		c.violate("I-02", "the send of %s was given up %s after %s was accepted, when SSM need not list it yet", marker, c.now().Sub(used.at), used.command)
	}
	if x.lost && !accepted {
		c.givenUp(in, i)
	}
	if x.command != "" && x.command != used.command {
		c.violate("R-10", "the send of %s adopted %s, the API side had accepted %q for it", marker, x.command, used.command)
	}
}

// sendsOf reads what an intent's row says of its sends.
func sendsOf(row item) []sentRow {
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
		all = append(all, sentRow{command: attribute(m.Value, "c"), refused: attribute(m.Value, "refused") != "", lost: boolean(m.Value, "lost"), invalid: attribute(m.Value, "refused") == string(patch.ErrInvalidInstance)})
	}
	return all
}

// announced checks that no send is announced once its run is closed or aborted,
// or its wave judged, however late its sender is: rule 4, I-19.
func (c *checks) announced(in *intentRow) {
	if is := c.tables.status[in.run]; is != "Running" {
		c.violate("R-04", "the send of %s was announced when the run was %s", in.marker, is)
	}
	if is := c.tables.states["verdict "+in.run+" "+in.wave]; is != "" {
		c.violate("R-04", "the send of %s was announced when the wave was judged %s", in.marker, is)
	}
	if r := c.runs[patch.RunID(in.run)]; r != nil && !r.aborted.IsZero() {
		c.violate("R-04", "the send of %s was announced after the abort", in.marker)
	}
}

// approval takes over a question to people. Once it is decided it stays so: I-25, I-48.
func (c *checks) approval(id string, row item) {
	if r := c.runs[patch.RunID(attribute(row, "run"))]; r != nil && r.asked[id].IsZero() {
		r.asked[id] = c.now()
	}
	c.tables.codes[id] = fmt.Sprintf("%d-%.4s", number(row, "instances"), attribute(row, "digest"))
	if token := attribute(row, "taskToken"); token != "" {
		c.tables.tokens[token] = id
	}
	c.settles("approval "+id, attribute(row, "approvalStatus"), "pending")
}

// settles notes a state that is final but for its first.
func (c *checks) settles(what, is, first string) {
	was := c.tables.states[what]
	if was != "" && was != first && was != is {
		c.violate("I-48", "%s went from %s to %s", what, was, is)
	}
	c.tables.states[what] = is
}

// decision takes over a person's answer, which must be in the audit by now: I-44.
func (c *checks) decision(id string, row item) {
	identity := attribute(row, "identity")
	if !c.tables.audited[auditKey("Decided", "", id)] {
		c.violate("R-10", "%s decided on approval %s without an audit entry", identity, id)
	}
	if state := c.tables.states["approval "+id]; state != "" && state != "pending" && state != "approved" && state != "rejected" {
		c.violate("R-08", "a decision was recorded for an approval that was %s", state)
	}
	if attribute(row, "decision") != "approve" {
		return
	}
	if c.tables.approvals[id] == nil {
		c.tables.approvals[id] = map[string]bool{}
	}
	c.tables.approvals[id][identity] = true
}

// abort takes over the flag that stops a run.
func (c *checks) abort(run string, cancels bool) {
	if !c.tables.audited[auditKey("Aborted", "", decision.ApprovalID(patch.RunID(run), "abort"))] {
		c.violate("R-10", "run %s was aborted without an audit entry", run)
	}
	if r := c.runs[patch.RunID(run)]; r != nil && r.aborted.IsZero() {
		r.aborted, r.cancels = c.now(), cancels
	}
}

// verdict takes over what was judged of a wave; it does not change any more: I-48.
func (c *checks) verdict(run, sk string, row item) {
	is := attribute(row, "verdict")
	wave, _ := strings.CutPrefix(sk, "WAVE#")
	if is == "" {
		if was := c.tables.states["verdict "+run+" "+wave]; was != "" {
			c.violate("I-48", "the verdict %s on wave %s was taken back", was, wave)
		}
		return
	}
	if !c.tables.audited[auditKey("Verdict", "wave "+wave+": "+is, run)] {
		c.violate("R-10", "wave %s was judged %s without an audit entry", wave, is)
	}
	c.settles("verdict "+run+" "+wave, is, "")
}

// answered checks what Step Functions is told: a waiting run goes on only when
// that is in the audit: I-44.
func (c *checks) answered(e world.Entry, operation string) {
	in, ok := e.Input.(*sfn.SendTaskSuccessInput)
	if !ok {
		if operation != "StartExecution" {
			c.violate("I-12", "states:%s was called", operation)
		}
		return
	}
	id := c.tables.tokens[aws.ToString(in.TaskToken)]
	if id == "" || !c.tables.audited[auditKey("Release", "", id)] {
		c.violate("R-10", "a waiting task was answered for approval %q without an audit entry", id)
	}
}

// attribute is a text attribute of an item.
func attribute(row item, name string) string {
	v, ok := row[name].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return v.Value
}

func number(row item, name string) int {
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

func boolean(row item, name string) bool {
	v, ok := row[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

func moment(row item, name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, attribute(row, name))
	if err != nil {
		return time.Time{}
	}
	return t
}

func list(row item, name string) []string {
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
