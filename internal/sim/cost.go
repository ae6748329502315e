package sim

import (
	"maps"
	"slices"
	"strings"

	"ec2patch/internal/sim/stage"
)

// Prices of us-east-1 in US dollars, without free tiers. Source: the services'
// price pages, read 2026-11; DynamoDB on demand, arm64 Lambda.
const (
	perTransition    = 0.025 / 1000
	perInvocation    = 0.20 / 1e6
	perGBSecond      = 0.0000133334
	perWriteUnit     = 0.625 / 1e6
	perReadUnit      = 0.125 / 1e6
	perS3Put         = 0.005 / 1000
	perS3Get         = 0.0004 / 1000
	perKMSRequest    = 0.03 / 10000
	perSignature     = 0.15 / 10000
	perMail          = 2.0 / 100000
	transactionUnits = 2 // a transactional write costs twice
	rowsPerBatch     = 8 // what the step of a target reads at once
)

// cost is the bill of the rehearsal. It counts calls, not bytes: rows and
// objects of ec2patch are small.
func (r *rehearsal) cost(res *Result) []CostItem {
	calls := r.World.Ledger.Calls
	sum := func(names ...string) float64 {
		n := 0
		for _, name := range names {
			n += calls[name]
		}
		return float64(n)
	}
	gbs := 0.0
	for _, name := range slices.Sorted(maps.Keys(r.Lambdas)) {
		l := r.Lambdas[name]
		gbs += l.Spent.Seconds() * float64(l.Function.MemoryMB) / 1024
	}
	other := 0.0
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if service, _, _ := strings.Cut(name, ":"); service == "ssm" || service == "ec2" || service == "sts" {
			other += float64(calls[name])
		}
	}
	writes := sum("dynamodb:PutItem", "dynamodb:UpdateItem") + transactionUnits*float64(r.checks.TransactItems)
	reads := sum("dynamodb:GetItem", "dynamodb:Query") + rowsPerBatch*sum("dynamodb:BatchGetItem")
	item := func(name, unit string, quantity, price float64) CostItem {
		return CostItem{Name: name, Quantity: quantity, Unit: unit, USD: quantity * price}
	}
	return []CostItem{
		item("Step Functions", "state transitions", float64(res.StateTransitions), perTransition),
		item("Lambda requests", "invocations", float64(res.LambdaInvocations), perInvocation),
		item("Lambda duration", "GB-seconds", gbs, perGBSecond),
		item("DynamoDB writes", "write units", writes, perWriteUnit),
		item("DynamoDB reads", "read units", reads, perReadUnit),
		item("S3 writes", "requests", sum("s3:PutObject"), perS3Put),
		item("S3 reads", "requests", sum("s3:GetObject"), perS3Get),
		item("KMS", "requests", sum("kms:GenerateMac", "kms:VerifyMac"), perKMSRequest),
		item("KMS signatures", "requests", sum("kms:Sign"), perSignature),
		item("SNS mail", "mails", float64(len(r.World.Mailbox(stage.Approver))), perMail),
		item("SSM, EC2 and STS", "calls", other, 0),
	}
}
