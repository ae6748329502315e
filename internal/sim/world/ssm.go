package world

import (
	"fmt"
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

func invalidInstanceID(ids []string, account string) error {
	return &ssmtypes.InvalidInstanceId{Message: aws.String(fmt.Sprintf("Instances [[%s]] not in a valid state for "+
		"account %s", strings.Join(ids, ", "), account))}
}

func duplicateInstanceID(id string) error {
	return &ssmtypes.DuplicateInstanceId{Message: aws.String("An instance ID is duplicated: " + id)}
}

func invalidCommandID(id string) error {
	return &ssmtypes.InvalidCommandId{Message: aws.String("Invalid CommandId: " + id)}
}

// maxResults checks MaxResults and gives the default for none.
func maxResults(given *int32, low, high, standard int) (int, error) {
	if given == nil {
		return standard, nil
	}
	n := int(*given)
	if n < low || n > high {
		return 0, core.Invalid("maxResults", fmt.Sprintf("value between %d and %d", low, high))
	}
	return n, nil
}
