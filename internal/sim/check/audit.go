package check

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
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

	Binds    string `json:"binds,omitempty"`
	Releases bool   `json:"releases,omitempty"`

	Prev string `json:"prev"`
	Hash string `json:"hash"`

	signature []byte // no part of what is hashed
}

// LineOf reads a line of the audit out of its row.
func LineOf(row Item) auditLine {
	return auditLine{
		Chain: Attribute(row, "pk"), Seq: number(row, "seq"), At: moment(row, "at"), Actor: Attribute(row, "actor"),
		Action: Attribute(row, "action"), Detail: Attribute(row, "detail"), Prev: Attribute(row, "prev"),
		Hash:  Attribute(row, "hash"),
		Binds: Attribute(row, "binds"), Releases: boolean(row, "releases"), signature: binary(row, "signature"),
	}
}

// writers are the functions by what the names of their chains begin with, and the keys that they sign with.
func writers() map[string]struct{ function, key string } {
	return map[string]struct{ function, key string }{
		"INVENTORY": {"PreEC2Inventory", "InventoryAuditKey"},
		"SEND":      {"SendSsmCommand", "SendAuditKey"},
		"POLL":      {"PollSsmCommand", "PollAuditKey"},
		"VERIFY":    {"PostEC2Verify", "VerifyAuditKey"},
		"REQUEST":   {"SendApprovalRequest", "ApprovalRequestAuditKey"},
		"CALLBACK":  {"ApprovalCallback", "ApprovalCallbackAuditKey"},
	}
}

// subject is what a chain is about: its name without the writer.
func subject(chain string) (writer, about string) {
	writer, about, _ = strings.Cut(chain, "#")
	return writer, about
}

// signed tells whether the line has the signature of its writer. One by anybody else, or of anything else, breaks I-43.
func (c *Checks) signed(l auditLine) bool {
	if len(l.signature) == 0 {
		return false
	}
	writer, _ := subject(l.Chain)
	digest, err := hex.DecodeString(l.Hash)
	public := c.publicKey(writer)
	if err != nil || public == nil || !ecdsa.VerifyASN1(public, digest, l.signature) {
		c.Violate("I-43", "line %d of %s has a signature that is not of its writer", l.Seq, l.Chain)
	}
	return true
}

// publicKey is the public half of what a writer signs with, nil if the hub has none for it.
func (c *Checks) publicKey(writer string) *ecdsa.PublicKey {
	if known, ok := c.Tables.public[writer]; ok {
		return known
	}
	var public *ecdsa.PublicKey
	for _, r := range c.Stage.Hub.OfType("AWS::KMS::Key") {
		if r.LogicalID == writers()[writer].key {
			parsed, err := x509.ParsePKIXPublicKey(c.Stage.World.PublicKey(r.ARN))
			if err == nil {
				public, _ = parsed.(*ecdsa.PublicKey)
			}
		}
	}
	c.Tables.public[writer] = public
	return public
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
// chain, with the hash of the one before, in a chain of whoever writes it: I-45.
func (c *Checks) line(role, condition string, row Item) {
	l := LineOf(row)
	writer, about := subject(l.Chain)
	if !strings.HasSuffix(role, "-"+writers()[writer].function+"Role") || writers()[writer].function == "" {
		c.Violate("I-45", "%s wrote line %d of %s, which is not its own", role, l.Seq, l.Chain)
	}
	if condition != "attribute_not_exists(pk)" {
		c.Violate("I-45", "line %d of %s was written without the condition that none stands there", l.Seq, l.Chain)
	}
	end := c.Tables.chains[l.Chain]
	if l.Seq != end.seq+1 || l.Prev != end.hash || l.Hash != l.sum() {
		c.Violate("I-45", "line %d of %s does not follow line %d", l.Seq, l.Chain, end.seq)
	}
	c.Tables.chains[l.Chain] = chainEnd{l.Seq, l.Hash}
	signed := c.signed(l)
	if writer != "SEND" && l.Action != "RunOpened" && !signed {
		c.Violate("I-43", "line %d of %s is not signed", l.Seq, l.Chain)
	}
	what, _, _ := strings.Cut(l.Detail, ",")
	whom := about
	parts := strings.Split(about, "#")
	if l.Releases && len(parts) > 1 {
		c.Tables.Audited[AuditKey("Release", "", parts[1])] = true
	}
	switch l.Action {
	case "SendCommand":
		whom = ""
		c.named(what, l.Detail)
		c.Tables.Audited[AuditKey("signed", what, "")] = signed
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
	case "Decided", "Aborted":
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

// namesIn lists what an audit line names in brackets.
func namesIn(detail string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			_, rest, found := strings.Cut(detail, "[")
			if !found {
				return
			}
			names, after, _ := strings.Cut(rest, "]")
			for name := range strings.FieldsSeq(names) {
				if !yield(name) {
					return
				}
			}
			detail = after
		}
	}
}

// foretold checks that an intent and an audit line that name the very instances
// stood before a command was accepted, and that no other command used them:
// rule 10, I-44, I-46.
func (c *Checks) foretold(s *sending, in *intentRow) bool {
	if in == nil {
		c.Violate("R-10", "%s was sent to %v without an intent", s.Command, s.ids)
		return c.guess(s)
	}
	if in.account != s.account || in.region != s.region || s.nth >= len(in.IDs) ||
		!slices.Equal(in.IDs[s.nth:s.nth+1], s.ids) {
		c.Violate("R-10", "%s was sent to %v in %s as %s, its intent names %v in %s/%s", s.Command, s.ids, s.place, s.marker,
			in.IDs, in.account, in.region)
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

// head takes over the ends of chains as the state table binds them.
func (c *Checks) head(kind, pk, sk string, row Item) {
	m, ok := row["heads"].(*types.AttributeValueMemberM)
	if !ok {
		return
	}
	about := pk
	if parts := strings.Split(sk, "#"); kind == "RUN" && parts[0] == "TARGET" && len(parts) == 4 {
		about = pk + "#" + parts[2] + "#" + parts[3]
	}
	for writer, v := range m.Value {
		head, ok := v.(*types.AttributeValueMemberM)
		if !ok {
			continue
		}
		chain := writer + "#" + about
		end := chainEnd{number(head.Value, "seq"), Attribute(head.Value, "hash")}
		if end.seq > c.Tables.heads[chain].seq {
			c.Tables.heads[chain] = end
		}
	}
}

// endSigned checks that the announcement of a target's last sends is signed: what comes after it in the sender's chain,
// if anything, is rare, and the judge binds it. I-43.
func (c *Checks) endSigned(in *intentRow, row Item) {
	reach := number(row, "from") + len(in.IDs)
	if skipped, ok := row["skipped"].(*types.AttributeValueMemberL); ok {
		reach += len(skipped.Value)
	}
	planned := c.Tables.planned["RUN#"+in.run+" TARGET#"+in.wave+"#"+in.account+"#"+in.region]
	if len(in.IDs) > 0 && reach >= planned && !c.Tables.Audited[AuditKey("signed", in.marker, "")] {
		c.Violate("I-43", "the last announcement of sends, %s, is not signed", in.marker)
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
	c.bindings(all)
}

// bindings checks that what a verdict or the end of a run binds is there: the list of heads with its digest, each head
// in its chain, and, at the end of a run, every chain about the run's targets. I-43.
func (c *Checks) bindings(all map[string][]auditLine) {
	for chain, lines := range all {
		writer, about := subject(chain)
		run, isRun := strings.CutPrefix(about, "RUN#")
		if writer != "VERIFY" || !isRun || strings.Contains(run, "#") {
			continue
		}
		for _, l := range lines {
			if l.Action == "Verdict" || l.Action == "RunEnded" {
				c.binding(all, run, l)
			}
		}
	}
}

func (c *Checks) binding(all map[string][]auditLine, run string, l auditLine) {
	digest := l.Binds
	list, ok := c.Stage.World.Object(c.Stage.Bucket(), "runs/"+run+"/heads/"+digest+".json")
	sum := sha256.Sum256(list)
	var heads []struct {
		Chain string
		Seq   int
		Hash  string
	}
	if !ok || hex.EncodeToString(sum[:]) != digest || json.Unmarshal(list, &heads) != nil {
		c.Violate("I-43", "the list of heads %s that line %d of %s binds is not there", digest, l.Seq, l.Chain)
		return
	}
	bound := map[string]bool{}
	for _, h := range heads {
		bound[h.Chain] = true
		if lines := all[h.Chain]; h.Seq < 1 || h.Seq > len(lines) || lines[h.Seq-1].Hash != h.Hash {
			c.Violate("I-43", "line %d of %s binds line %d of %s, which is not there", l.Seq, l.Chain, h.Seq, h.Chain)
		}
	}
	for chain := range all {
		_, about := subject(chain)
		if l.Action == "RunEnded" && strings.HasPrefix(about, "RUN#"+run+"#") && !bound[chain] {
			c.Violate("I-43", "the end of run %s does not bind %s", run, chain)
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
