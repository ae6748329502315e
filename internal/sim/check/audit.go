package check

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/patch"
)

// auditLine is one line of an audit chain in the form over which its hash goes.
type auditLine struct {
	Chain  string    `json:"chain"`
	Seq    int       `json:"seq"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Detail string    `json:"detail"`
	Prev   string    `json:"prev"`
	Hash   string    `json:"hash"`
}

// LineOf reads a line of the audit out of its row.
func LineOf(row Item) auditLine {
	return auditLine{
		Chain: Attribute(row, "pk"), Seq: number(row, "seq"), At: moment(row, "at"), Actor: Attribute(row, "actor"),
		Action: Attribute(row, "action"), Detail: Attribute(row, "detail"), Prev: Attribute(row, "prev"), Hash: Attribute(row, "hash"),
	}
}

// sum is the hash that the line should have.
func (l auditLine) sum() string {
	l.Hash = ""
	data, err := json.Marshal(l)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// AuditKey finds a line again: by what was done, to what, and for whom (a run,
// an approval or an account/region).
func AuditKey(action, what, whom string) string { return action + "|" + what + "|" + whom }

// line checks a new audit line: appended, never written over, the next of its
// chain, with the hash of the one before: I-45.
func (c *Checks) line(condition string, row Item) {
	l := LineOf(row)
	if condition != "attribute_not_exists(pk)" {
		c.Violate("I-45", "line %d of %s was written without the condition that none stands there", l.Seq, l.Chain)
	}
	end := c.Tables.chains[l.Chain]
	if l.Seq != end.seq+1 || l.Prev != end.hash || l.Hash != l.sum() {
		c.Violate("I-45", "line %d of %s does not follow line %d", l.Seq, l.Chain, end.seq)
	}
	c.Tables.chains[l.Chain] = chainEnd{l.Seq, l.Hash}
	what, _, _ := strings.Cut(l.Detail, ",")
	whom := l.Chain
	switch parts := strings.Split(l.Chain, "#"); l.Action {
	case "SendCommand":
		whom = ""
		c.named(what, l.Detail)
	case "CancelCommand":
		for name := range namesIn(l.Detail) {
			command, _, _ := strings.Cut(name, "/")
			c.Tables.Audited[AuditKey("CancelCommand", command, "")] = true
		}
	case "LeaseTaken", "LeaseTakenOver":
		what = ""
		if len(parts) == 4 {
			whom = parts[2] + "/" + parts[3]
		}
		l.Action = "LeaseTaken"
	case "Verdict":
		what, _, _ = strings.Cut(l.Detail, ";")
		whom = parts[1]
	case "Decided", "Release", "Aborted":
		what = ""
		if len(parts) > 1 {
			whom = parts[1]
		}
	}
	c.Tables.Audited[AuditKey(l.Action, what, whom)] = true
}

// named keeps which instances an audit line of a send names.
func (c *Checks) named(marker, detail string) {
	for id := range namesIn(detail) {
		c.Tables.Audited[AuditKey("named", marker, id)] = true
	}
}

// namesIn lists what an audit line names in brackets at its end.
func namesIn(detail string) iter.Seq[string] {
	_, names, _ := strings.Cut(detail, "[")
	return strings.FieldsSeq(strings.TrimSuffix(names, "]"))
}

// foretold checks that an intent and an audit line that name the very instances
// stood before a command was accepted, and that no other command used them:
// rule 10, I-44, I-46.
func (c *Checks) foretold(s *sending, in *intentRow) bool {
	if in == nil {
		c.Violate("R-10", "%s was sent to %v without an intent", s.Command, s.ids)
		return c.guess(s)
	}
	if in.account != s.account || in.region != s.region || s.nth >= len(in.IDs) || !slices.Equal(in.IDs[s.nth:s.nth+1], s.ids) {
		c.Violate("R-10", "%s was sent to %v in %s as %s, its intent names %v in %s/%s", s.Command, s.ids, s.place, s.marker, in.IDs, in.account, in.region)
	}
	if former, used := in.used[s.nth]; used {
		c.Violate("R-01", "the send of %s was made twice: %s after %s", s.marker, s.Command, former.command)
	}
	if in.settled && (s.nth >= len(in.Sends) || in.Sends[s.nth].Lost || in.Sends[s.nth].refused) {
		c.Violate("R-01", "%s was sent for an intent that was given up", s.Command)
	}
	in.used[s.nth] = usedFor{s.Command, c.now()}
	for _, id := range s.ids {
		if !c.Tables.Audited[AuditKey("named", in.marker, id)] {
			c.Violate("R-10", "no audit entry named %s before %s was sent to it", id, s.Command)
			break
		}
	}
	if s.run = c.runs[patch.RunID(in.run)]; s.run == nil {
		return false
	}
	if s.wave = s.run.ByName[in.wave]; s.wave == nil {
		c.Violate("R-02", "a command was sent for wave %q, which the input does not have", in.wave)
	}
	return s.wave != nil
}

// guess finds the run and the wave of a command that nobody foretold, by the
// plan, so that the other rules can judge it too.
func (c *Checks) guess(s *sending) bool {
	for _, r := range c.Order {
		c.LoadPlan(r)
		for _, id := range s.ids {
			if w := r.plan[id]; w != nil {
				s.run, s.wave = r, w
				return true
			}
		}
	}
	return false
}

// cancelled checks that an audit line stood before a cancel, and that what is at
// work is cancelled for a reason: I-44, rule 4. It stays at work until it ends.
func (c *Checks) cancelled(command string, ids []string) {
	if !c.Tables.Audited[AuditKey("CancelCommand", command, "")] {
		c.Violate("R-10", "%s was cancelled without an audit entry", command)
	}
	s := c.Commands[command]
	if s == nil {
		return
	}
	slack := c.Skew + c.LateSend // the functions count by their clocks, and from when they sent
	late := !c.now().Before(s.At.Add(s.timeout - slack))
	id := s.ids[0]
	if c.atWork[id] != s || s.cancelled[id] {
		return
	}
	s.cancelled[id] = true
	if !late && !s.run.cancels && c.now().Sub(c.begun[id]) > maxReadLag {
		c.Violate("R-04", "%s was cancelled on %s, which was at work and within its time", command, id)
	}
}

// head takes over the end of a chain as the state table binds it.
func (c *Checks) head(kind, pk, sk string, row Item) {
	m, ok := row["audit"].(*types.AttributeValueMemberM)
	if !ok {
		return
	}
	end := chainEnd{number(m.Value, "seq"), Attribute(m.Value, "hash")}
	chain := pk
	if parts := strings.Split(sk, "#"); kind == "RUN" && parts[0] == "TARGET" && len(parts) == 4 {
		chain = pk + "#" + parts[2] + "#" + parts[3]
	}
	if end.seq > c.Tables.heads[chain].seq {
		c.Tables.heads[chain] = end
	}
}

// chains checks every audit chain as it stands in the table at the end, and that
// the loss of any one line would be noticed: I-43, I-45.
func (c *Checks) chains() {
	all := map[string][]auditLine{}
	var order []string
	for _, r := range c.Stage.Hub.OfType("AWS::DynamoDB::Table") {
		if !strings.HasSuffix(r.Name, "-audit") {
			continue
		}
		for _, row := range c.Stage.World.Items(r.ARN) {
			l := LineOf(row)
			if all[l.Chain] == nil {
				order = append(order, l.Chain)
			}
			all[l.Chain] = append(all[l.Chain], l)
		}
	}
	for _, chain := range order {
		lines := all[chain]
		head, bound := c.Tables.heads[chain]
		if !bound { // one that stands alone: the row that it speaks of binds it
			head = chainEnd{len(lines), lines[len(lines)-1].Hash}
			if len(lines) > 1 {
				c.Violate("I-43", "nothing binds the end of chain %s", chain)
			}
		}
		if why := broken(lines, head); why != "" {
			c.Violate("I-45", "audit chain %s: %s", chain, why)
			continue
		}
		for _, i := range []int{0, len(lines) / 2, len(lines) - 1} {
			if broken(slices.Delete(slices.Clone(lines), i, i+1), head) == "" {
				c.Violate("I-43", "line %d of audit chain %s can be removed unseen", i+1, chain)
			}
		}
	}
}

// broken says what is wrong with a chain, or nothing.
func broken(lines []auditLine, head chainEnd) string {
	var end chainEnd
	for _, l := range lines {
		switch {
		case l.Seq != end.seq+1:
			return fmt.Sprintf("line %d follows line %d", l.Seq, end.seq)
		case l.Prev != end.hash || l.Hash != l.sum():
			return fmt.Sprintf("line %d does not have its hash", l.Seq)
		}
		end = chainEnd{l.Seq, l.Hash}
	}
	if end != head {
		return fmt.Sprintf("it ends with line %d, the state table binds line %d", end.seq, head.seq)
	}
	return ""
}
