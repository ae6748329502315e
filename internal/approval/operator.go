package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// OperatorRequest is the body of POST /operator. IAM has proven who sends it.
type OperatorRequest struct {
	Run            patch.RunID `json:"run"`
	Action         string      `json:"action"`          // approve, reject, abort or status
	Scope          patch.Scope `json:"scope,omitempty"` // of the question; empty: the one that is open
	Name           string      `json:"name,omitempty"`
	Reason         string      `json:"reason,omitempty"` // required to reject and to abort
	Code           string      `json:"code,omitempty"`   // to approve and reject: this, or Digest
	Digest         string      `json:"digest,omitempty"` // at least 12 hex digits of the plan's digest
	CancelInFlight bool        `json:"cancelInFlight,omitempty"`
}

// OperatorAnswer is the answer to a request that was carried out.
type OperatorAnswer struct {
	Run          patch.RunID        `json:"run"`
	Status       patch.RunStatus    `json:"runStatus"`
	StatusReason string             `json:"runStatusReason,omitempty"`
	Digest       string             `json:"digest,omitempty"`
	Planned      int                `json:"planned"`
	Aborted      *store.Abort       `json:"aborted,omitempty"`
	Approvals    []OperatorApproval `json:"approvals"`
	Recorded     bool               `json:"recorded"`          // this request changed something
	Delayed      bool               `json:"delayed,omitempty"` // it takes effect at the end of the round
}

// OperatorApproval is one question of a run.
type OperatorApproval struct {
	Scope     patch.Scope        `json:"scope"`
	Status    decision.Status    `json:"status"` // pending, approved, rejected or expired
	Instances int                `json:"instances"`
	Code      string             `json:"code"`
	Digest    string             `json:"digest"`
	Asked     time.Time          `json:"asked"`
	Expires   time.Time          `json:"expires"`
	Needed    int                `json:"needed"`
	Told      bool               `json:"told"` // somebody has confirmed a subscription to the mails
	Decisions []OperatorDecision `json:"decisions"`
}

// OperatorDecision is one answer to a question.
type OperatorDecision struct {
	Decision decision.Choice `json:"decision"`
	Identity string          `json:"identity"`
	Name     string          `json:"name,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	At       time.Time       `json:"at"`
}

// OperatorError is the answer to a request that was not carried out. Code is
// stable: not_found, bad_request, forbidden, wrong_code, already_decided,
// own_run, same_person, expired, run_ended, run_aborted, nothing_pending,
// scope_needed, tampered, too_large, unsupported_media_type, unavailable.
type OperatorError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	State   *OperatorAnswer `json:"state,omitempty"` // with already_decided: what was decided
}

// operatorRefusal is an error of the caller.
type operatorRefusal struct {
	status int
	body   OperatorError
}

func (e *operatorRefusal) Error() string { return e.body.Code }

func refuse(status int, code, format string, args ...any) error {
	return &operatorRefusal{status, OperatorError{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// minDigest is how much of the plan's digest stands for its code.
const minDigest = 12

// operator answers POST /operator.
func (c *Callback) operator(ctx context.Context, r HTTPRequest) HTTPResponse {
	out, err := c.operate(ctx, r)
	if err == nil {
		return jsonAnswer(http.StatusOK, out)
	}
	if no, ok := errors.AsType[*operatorRefusal](err); ok {
		return jsonAnswer(no.status, no.body)
	}
	no, ok := refusalOf(err)
	switch {
	case ok:
	case patch.KindOf(err) == patch.ErrTampered:
		slog.Error("approval record refused", "err", err)
		no = pageTampered
	default:
		slog.Error("operator's request not carried out", "err", err)
		no = pageBusy
	}
	w := no.words()
	return jsonAnswer(w.status, OperatorError{Code: w.code, Message: operatorSentence(no)})
}

// operatorSentence says for a program's user what the page says for a visitor.
func operatorSentence(r refusal) string {
	switch r {
	case pageDamaged:
		return "there is no such run or approval request"
	case pageExpired:
		return "the time to decide is over"
	case pageRunEnded:
		return "the run has ended"
	case pageAborted:
		return "the run was aborted: nothing more is sent"
	case pageTampered:
		return "the stored record does not fit its run; the function's log says why"
	case pageBusy:
		return "not possible just now; ask for the status, then try again"
	}
	return strings.ToLower(r.words().title)
}

func (c *Callback) operate(ctx context.Context, r HTTPRequest) (OperatorAnswer, error) {
	caller := words.Clean(r.Caller)
	if caller != r.Caller || len(caller) > maxIdentity || !strings.HasPrefix(caller, "arn:") {
		return OperatorAnswer{}, refuse(http.StatusForbidden, "forbidden", "the request is not signed")
	}
	if parts := strings.Split(caller, ":"); len(parts) < 6 || parts[4] != string(c.HubAccount) {
		return OperatorAnswer{}, refuse(http.StatusForbidden, "forbidden", "the caller is of another account than the hub")
	}
	in, err := readOperator(r)
	if err != nil {
		return OperatorAnswer{}, err
	}
	switch in.Action {
	case "status":
		return c.status(ctx, in.Run)
	case "abort":
		return c.abort(ctx, in, caller)
	}
	return c.operatorDecides(ctx, in, caller, origin(r))
}

// readOperator reads and checks the body.
func readOperator(r HTTPRequest) (OperatorRequest, error) {
	var in OperatorRequest
	if kind, params, err := mime.ParseMediaType(r.Header["content-type"]); err != nil || kind != "application/json" ||
		!isUTF8(params) {
		return in, refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body must be application/json")
	}
	if len(r.Body) > maxBody {
		return in, refuse(http.StatusRequestEntityTooLarge, "too_large", "the body is longer than %d bytes", maxBody)
	}
	if err := decodeStrict(r.Body, &in); err != nil {
		return in, refuse(http.StatusBadRequest, "bad_request", "the body is not a request: %v", err)
	}
	if _, err := patch.ParseRunID(string(in.Run)); err != nil {
		return in, refuse(http.StatusBadRequest, "bad_request", "run: not the name of a run")
	}
	in.Name, in.Reason, in.Code = words.Clean(in.Name), words.Clean(in.Reason), strings.TrimSpace(in.Code)
	switch in.Action {
	case "approve", "reject", "abort", "status":
	default:
		return in, refuse(http.StatusBadRequest, "bad_request", "action: use approve, reject, abort or status")
	}
	if _, problem := checkPerson("name", in.Name, maxName, false); problem != "" {
		return in, refuse(http.StatusBadRequest, "bad_request", "name: at most %d characters", maxName)
	}
	required := in.Action == "reject" || in.Action == "abort"
	if _, problem := checkPerson("reason", in.Reason, maxReason, required); problem != "" {
		return in,
			refuse(http.StatusBadRequest, "bad_request", "reason: 1 to %d characters are required to %s", maxReason, in.Action)
	}
	return in, nil
}

// decodeStrict takes one object with known fields, each at most once.
func decodeStrict(data []byte, into *OperatorRequest) error {
	if err := onceEach(data); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

// operatorFields are the names of OperatorRequest's fields.
func operatorFields() []string {
	return []string{"run", "action", "scope", "name", "reason", "code", "digest", "cancelInFlight"}
}

// onceEach refuses an object that names a field twice, or otherwise than it is called, or that contains another object
// or list. The decoder takes a name in any case and folds letters: it takes a long s for an s.
func onceEach(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name := fmt.Sprint(key)
		if !slices.Contains(operatorFields(), name) {
			return fmt.Errorf("unknown field %q", words.Clean(name, words.Limit(40)))
		}
		if seen[name] {
			return fmt.Errorf("field %q occurs twice", words.Clean(name, words.Limit(40)))
		}
		seen[name] = true
		value, err := d.Token()
		if err != nil {
			return err
		}
		if _, nested := value.(json.Delim); nested {
			return fmt.Errorf("field %q must be plain", words.Clean(name, words.Limit(40)))
		}
	}
	return nil
}

// operatorDecides answers a question in the name of the caller.
func (c *Callback) operatorDecides(ctx context.Context, in OperatorRequest, caller, from string) (OperatorAnswer,
	error) {
	scope, err := c.scopeOf(ctx, in)
	if err != nil {
		return OperatorAnswer{}, err
	}
	q, err := c.read(ctx, decision.ApprovalID(in.Run, scope))
	if err != nil {
		return OperatorAnswer{}, err
	}
	if err := checkBlast(in, q.rec); err != nil {
		return OperatorAnswer{}, err
	}
	done,
		err := c.decide(ctx, q, answer{decision: decision.Choice(in.Action), identity: caller, name: in.Name,
		reason: in.Reason, from: from})
	if err != nil {
		return OperatorAnswer{}, err
	}
	if done.barred != "" {
		return OperatorAnswer{}, refuse(http.StatusForbidden, string(done.barred), "%s", done.barred.sentence(in.Run))
	}
	out := operatorAnswer(done.q.run, done.q.aborted, done.q)
	out.Recorded, out.Delayed = done.recorded, done.slow
	if !done.recorded {
		return out, &operatorRefusal{http.StatusConflict, OperatorError{
			Code: "already_decided", Message: "decided before; this answer changed nothing", State: &out,
		}}
	}
	return out, nil
}

// checkBlast compares what the caller says of the plan with the question.
func checkBlast(in OperatorRequest, rec decision.Approval) error {
	if in.Code == "" && in.Digest == "" {
		return refuse(http.StatusBadRequest, "bad_request", "code or digest: one is required, to name the plan that is meant")
	}
	if in.Digest != "" && len(in.Digest) < minDigest {
		return refuse(http.StatusBadRequest, "bad_request", "digest: at least %d digits", minDigest)
	}
	if in.Code != "" && !sameCode(in.Code, rec.Code()) || !strings.HasPrefix(rec.Digest, in.Digest) {
		return refuse(http.StatusUnprocessableEntity, "wrong_code",
			"this is not the code or the digest of the plan that is asked about")
	}
	return nil
}

// scopeOf is the scope that the caller names, else that of the only open question.
func (c *Callback) scopeOf(ctx context.Context, in OperatorRequest) (patch.Scope, error) {
	if in.Scope != "" {
		return in.Scope, nil
	}
	recs, err := c.questions(ctx, in.Run)
	if err != nil {
		return "", err
	}
	var open []string
	for _, rec := range recs {
		if rec.Status == decision.ApprovalPending {
			open = append(open, string(rec.Scope))
		}
	}
	switch {
	case len(open) == 1:
		return patch.Scope(open[0]), nil
	case len(open) > 1:
		return "",
			refuse(http.StatusConflict, "scope_needed", "several questions are open; name one in scope: %s",
				strings.Join(open, ", "))
	case len(recs) == 1:
		return recs[0].Scope, nil
	}
	return "", refuse(http.StatusConflict, "nothing_pending", "no approval request of this run is open")
}

// questions lists the questions that were asked about a run.
func (c *Callback) questions(ctx context.Context, run patch.RunID) ([]decision.Approval, error) {
	scopes := []patch.Scope{patch.ScopeOfRun}
	err := c.Table.Scan(ctx, store.RunKey(run).PK, "WAVE#", func(sk string, _ func(any) error) error {
		wave := strings.TrimPrefix(sk, "WAVE#")
		if wave != store.WholeRun && !strings.Contains(wave, "#") {
			scopes = append(scopes, patch.ScopeOfWave(wave), patch.ScopeOfSoak(wave))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []decision.Approval
	for len(scopes) > 0 {
		n := min(len(scopes), store.MaxLoad)
		recs, rows := make([]decision.Approval, n), make([]*store.Row, n)
		for i, scope := range scopes[:n] {
			rows[i] = &store.Row{Key: store.ApprovalKey(decision.ApprovalID(run, scope)), Into: &recs[i]}
		}
		if err := c.Table.Load(ctx, rows...); err != nil {
			return nil, err
		}
		for i, row := range rows {
			if row.Found {
				found = append(found, recs[i])
			}
		}
		scopes = scopes[n:]
	}
	return found, nil
}

// status tells how a run and its questions stand.
func (c *Callback) status(ctx context.Context, id patch.RunID) (OperatorAnswer, error) {
	run, aborted, err := c.runOf(ctx, id)
	if err != nil {
		return OperatorAnswer{}, err
	}
	recs, err := c.questions(ctx, id)
	if err != nil {
		return OperatorAnswer{}, err
	}
	var all []question
	for _, rec := range recs {
		q, err := c.read(ctx, rec.ID)
		if err != nil {
			return OperatorAnswer{}, err
		}
		all = append(all, q)
	}
	return operatorAnswer(run, aborted, all...), nil
}

// runOf reads a run that this hub's machine started.
func (c *Callback) runOf(ctx context.Context, id patch.RunID) (store.RunRow, *store.Abort, error) {
	var run store.RunRow
	var abort store.Abort
	row, flag := &store.Row{Key: store.RunKey(id), Into: &run}, &store.Row{Key: store.AbortKey(id), Into: &abort}
	if err := c.Table.Load(ctx, row, flag); err != nil {
		return run, nil, err
	}
	if !row.Found || !c.startedHere(run) {
		return run, nil, pageDamaged
	}
	if !flag.Found {
		return run, nil, nil
	}
	return run, &abort, nil
}

func operatorAnswer(run store.RunRow, aborted *store.Abort, all ...question) OperatorAnswer {
	out := OperatorAnswer{
		Run: run.Run, Status: run.Status, StatusReason: run.StatusReason, Digest: run.Digest, Planned: run.Planned,
		Aborted: aborted, Approvals: []OperatorApproval{},
	}
	for _, q := range all {
		a := OperatorApproval{
			Scope: q.rec.Scope, Status: q.status, Instances: q.rec.Instances, Code: q.rec.Code(), Digest: q.rec.Digest,
			Asked: q.rec.Asked, Expires: q.rec.Expires, Needed: q.needed(), Told: !q.rec.Unheard,
			Decisions: []OperatorDecision{},
		}
		for _, d := range q.decisions {
			a.Decisions = append(a.Decisions, OperatorDecision{d.Decision, d.Identity, d.Name, d.Reason, d.At})
		}
		out.Approvals = append(out.Approvals, a)
	}
	return out
}

func jsonAnswer(status int, body any) HTTPResponse {
	data, err := json.Marshal(body)
	if err != nil {
		return plain(http.StatusInternalServerError, "The answer cannot be written.")
	}
	return HTTPResponse{Status: status, Header: safeHeader("application/json", nothingAllowed), Body: append(data, '\n')}
}
