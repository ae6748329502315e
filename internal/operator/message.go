package operator

import (
	"time"

	"ec2patch/internal/decision"
	"ec2patch/internal/patch"
)

// The actions.
const (
	Approve = "approve"
	Reject  = "reject"
	Abort   = "abort"
	Status  = "status"
)

// Request is the body of a request. Only Run and Action are always required.
type Request struct {
	Run            string      `json:"run"`
	Action         string      `json:"action"`
	Scope          patch.Scope `json:"scope,omitempty"` // of the question; empty: the one that is open
	Reason         string      `json:"reason,omitempty"`
	Code           string      `json:"code,omitempty"`   // as it was typed
	Digest         string      `json:"digest,omitempty"` // of the plan that was shown
	CancelInFlight bool        `json:"cancelInFlight,omitempty"`
}

// State says how a run and its questions stand.
type State struct {
	Run          string     `json:"run"`
	Status       string     `json:"runStatus"`
	StatusReason string     `json:"runStatusReason,omitempty"`
	Digest       string     `json:"digest,omitempty"`
	Planned      int        `json:"planned"` // instances
	Aborted      *Aborted   `json:"aborted,omitempty"`
	Questions    []Question `json:"approvals"`
	Recorded     bool       `json:"recorded"`          // the request changed something
	Delayed      bool       `json:"delayed,omitempty"` // it takes effect at the end of the round
}

// Aborted says who aborted a run.
type Aborted struct {
	By             string    `json:"by"`
	Reason         string    `json:"reason,omitempty"`
	At             time.Time `json:"at"`
	CancelInFlight bool      `json:"cancelInFlight"`
}

// Question is one approval that a run asks for.
type Question struct {
	Scope     patch.Scope     `json:"scope"` // run, wave:<name> or soak:<name>
	Status    decision.Status `json:"status"`
	Instances int             `json:"instances"`
	Code      string          `json:"code"` // what a person types
	Digest    string          `json:"digest"`
	Asked     time.Time       `json:"asked"`
	Expires   time.Time       `json:"expires"`
	Needed    int             `json:"needed"` // distinct approvals
	Told      bool            `json:"told"`   // somebody has confirmed a subscription to the mails
	Decisions []Decision      `json:"decisions"`
}

// Decision is one answer to a question.
type Decision struct {
	Decision decision.Choice `json:"decision"`
	Identity string          `json:"identity"`
	Name     string          `json:"name,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	At       time.Time       `json:"at"`
}

// Refusal is an answer that says no. Code is stable; docs/approval.md lists them.
type Refusal struct {
	HTTPStatus int    `json:"-"`
	Code       string `json:"code"`
	Message    string `json:"message"`
	State      *State `json:"state,omitempty"` // with already_decided: what was decided
}

// The codes of a refusal that somebody may act on.
const (
	CodeForbidden      = "forbidden"
	CodeOwnRun         = "own_run"
	CodeSamePerson     = "same_person"
	CodeNotFound       = "not_found"
	CodeAlreadyDecided = "already_decided"
	CodeNothingPending = "nothing_pending"
	CodeScopeNeeded    = "scope_needed"
	CodeExpired        = "expired"
	CodeRunEnded       = "run_ended"
	CodeRunAborted     = "run_aborted"
	CodeWrongCode      = "wrong_code"
	CodeBadRequest     = "bad_request"
	CodeUnavailable    = "unavailable"
)

func (r *Refusal) Error() string { return r.Message }
