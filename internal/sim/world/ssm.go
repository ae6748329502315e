package world

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
)

// SSM is a Systems Manager client of one principal in one region.
type SSM struct {
	// Attempts is how often the client tries a call: 3 as the SDK's standard
	// retryer, 1 as aws.NopRetryer.
	Attempts int

	w      *World
	p      *core.Principal
	region string
}

// SSM returns a client whose calls land in the principal's account.
func (w *World) SSM(p *core.Principal, region string) *SSM {
	return &SSM{Attempts: core.Attempts, w: w, p: p, region: region}
}

func (s *SSM) fleet() *fleet { return s.w.fleet(s.p.Account, s.region) }

// call is an SSM call judged on "*", as every one but SendCommand is.
func (s *SSM) call(operation string, mutating bool, in any) *core.Call {
	return &core.Call{
		Principal: s.p, Account: s.p.Account, Region: s.region, Service: "ssm", Operation: operation,
		Mutating: mutating, Attempts: s.Attempts, Input: in,
		Access: []core.Access{{Action: "ssm:" + operation, Resources: []string{"*"}}},
	}
}

// invalid is the refusal of an input that breaks its model.
func invalid(member, constraint string) error {
	return core.Refusal("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have %s", member, constraint)
}

// unsupported is the refusal of what AWS offers and this simulation does not model.
func unmodelled(what string) error {
	return core.Refusal("UnsupportedBySimulation", "the simulated AWS does not model %s", what)
}

func invalidInstanceID(ids []string, account string) error {
	return &ssmtypes.InvalidInstanceId{Message: aws.String(fmt.Sprintf("Instances [[%s]] not in a valid state for account %s", strings.Join(ids, ", "), account))}
}

func duplicateInstanceID(id string) error {
	return &ssmtypes.DuplicateInstanceId{Message: aws.String("An instance ID is duplicated: " + id)}
}

func invalidCommandID(id string) error {
	return &ssmtypes.InvalidCommandId{Message: aws.String("Invalid CommandId: " + id)}
}

// page cuts the items from the token's place on; size is told how many are left there. A token belongs to one operation.
func page[T any](operation string, items []T, size func(left int) int, token *string) (cut []T, next *string, err error) {
	from := 0
	if token != nil {
		if from, err = untoken(operation, *token); err != nil {
			return nil, nil, err
		}
	}
	from = min(from, len(items))
	to := min(from+size(len(items)-from), len(items))
	if to < len(items) {
		next = aws.String(tokenOf(operation, to))
	}
	return items[from:to], next, nil
}

func tokenOf(operation string, at int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(operation + "/" + strconv.Itoa(at)))
}

func untoken(operation, token string) (int, error) {
	name, at, ok := openToken(token)
	if !ok || name != operation {
		return 0, &ssmtypes.InvalidNextToken{Message: aws.String("The specified token isn't valid.")}
	}
	return at, nil
}

func openToken(token string) (name string, at int, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	name, number, cut := strings.Cut(string(raw), "/")
	at, numErr := strconv.Atoi(number)
	return name, at, err == nil && cut && numErr == nil && at >= 0
}

// maxResults checks MaxResults and gives the default for none.
func maxResults(given *int32, low, high, standard int) (int, error) {
	if given == nil {
		return standard, nil
	}
	n := int(*given)
	if n < low || n > high {
		return 0, invalid("maxResults", fmt.Sprintf("value between %d and %d", low, high))
	}
	return n, nil
}
