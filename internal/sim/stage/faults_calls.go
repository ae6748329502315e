package stage

import (
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"ec2patch/internal/sim/world/backing"
	"ec2patch/internal/sim/world/core"
)

// IsAudit tells the audit table by its name.
func IsAudit(table *string) bool { return strings.HasSuffix(aws.ToString(table), "-audit") }

const (
	// latest is how late an effect comes at most.
	latest = 30 * time.Minute
	// LatestSend is that of SendCommand: with the time that Run Command takes to
	// list a command, what the product looks for. docs/faults.md has what a later one does.
	LatestSend = 2 * time.Minute
	// slowest is how long one attempt takes at most.
	slowest = 2 * time.Minute
	// latestMail is how late a mail comes at most.
	latestMail = time.Hour
)

// upTo draws a time from a second to most, short ones as likely as long ones.
func (f *Faults) upTo(most time.Duration) time.Duration {
	return time.Duration(math.Exp(f.Rand.Float64()*math.Log(most.Seconds())) * float64(time.Second))
}

// serves tells that a call is a function's own.
func serves(c *core.Call) bool { return c.Service != "lambda" && !c.SessionOf("states") }

// refused are the refusals of single services.
func (f *Faults) refused(c *core.Call) error {
	switch {
	case c.Service == "sns" && f.strikes("F-54"):
		return &smithy.GenericAPIError{Code: "InternalError", Message: "The request processing has failed",
			Fault: smithy.FaultServer}
	case c.Service == "kms" && f.strikes("F-58"):
		return &kmstypes.DisabledException{Message: aws.String("the key is disabled")}
	case audits(c) && f.strikes("F-64"):
		return &smithy.GenericAPIError{Code: "InternalServerError", Message: "We encountered an internal error",
			Fault: smithy.FaultServer}
	case c.Name() == "dynamodb:TransactWriteItems" && f.strikes("F-66"):
		return f.conflict(c)
	}
	return nil
}

// conflict is the answer to a transaction one of whose items another one is writing at that moment. Nothing was
// written; tried again, it goes through. Source: B:TransactionCanceledException.
func (f *Faults) conflict(c *core.Call) error {
	in, ok := c.Input.(*dynamodb.TransactWriteItemsInput)
	if !ok || len(in.TransactItems) == 0 {
		return nil
	}
	reasons := make([]ddbtypes.CancellationReason, len(in.TransactItems))
	for n := range reasons {
		reasons[n].Code = aws.String("None")
	}
	reasons[f.Rand.IntN(len(reasons))].Code = aws.String("TransactionConflict")
	return &ddbtypes.TransactionCanceledException{
		Message:             aws.String("Transaction cancelled, please refer cancellation reasons for specific reasons"),
		CancellationReasons: reasons,
	}
}

// audits tells whether a call has anything to do with the audit table.
func audits(c *core.Call) bool {
	switch in := c.Input.(type) {
	case *dynamodb.PutItemInput:
		return IsAudit(in.TableName)
	case *dynamodb.QueryInput:
		return IsAudit(in.TableName)
	case *dynamodb.GetItemInput:
		return IsAudit(in.TableName)
	case *dynamodb.TransactWriteItemsInput:
		for _, a := range in.TransactItems {
			if a.Put != nil && IsAudit(a.Put.TableName) {
				return true
			}
		}
	}
	return false
}

// Slow lets a call take its time.
func (f *Faults) Slow(c *core.Call) time.Duration {
	if !serves(c) || !f.strikes("F-07") {
		return 0
	}
	return f.upTo(slowest)
}

// Late lets a call that nobody waits for any more take effect.
func (f *Faults) Late(c *core.Call) time.Duration {
	switch {
	case !serves(c) || !f.strikes("F-05"):
		return 0
	case c.Name() == "ssm:SendCommand":
		return f.upTo(LatestSend)
	}
	return f.upTo(latest)
}

// Twice lets a request arrive again.
func (f *Faults) Twice(c *core.Call) bool { return serves(c) && f.strikes("F-06") }

// Arriving cuts an object off.
func (f *Faults) Arriving(c *core.Call, n int) int {
	if !serves(c) || !f.strikes("F-53") {
		return n
	}
	return f.Rand.IntN(n + 1)
}

// Deliver lets a mail come late, twice or never.
func (f *Faults) Deliver(backing.Mail) (copies int, late time.Duration) {
	if !f.strikes("F-55") {
		return 1, 0
	}
	return f.Rand.IntN(3), f.upTo(latestMail)
}

// Missing hides an alarm, or what it says.
func (f *Faults) Missing(_ *core.Call, _ string) (missing, noData bool) {
	if !f.strikes("F-59") {
		return false, false
	}
	missing = f.Rand.IntN(2) == 0
	return missing, !missing
}

var (
	_ core.Faults            = (*Faults)(nil)
	_ core.ShortPages        = (*Faults)(nil)
	_ backing.PartialBatches = (*Faults)(nil)
	_ core.SlowAnswers       = (*Faults)(nil)
	_ core.LateEffects       = (*Faults)(nil)
	_ core.Duplicates        = (*Faults)(nil)
	_ backing.BrokenBodies   = (*Faults)(nil)
	_ backing.MailFaults     = (*Faults)(nil)
	_ core.MissingAlarms     = (*Faults)(nil)
)
