// Command approval-request is the Lambda SendApprovalRequest: it asks people and settles what they said.
package main

import (
	"context"

	"ec2patch/internal/approval"
	"ec2patch/internal/lambdamain"
	"ec2patch/internal/wire"
)

func main() {
	lambdamain.Start(func(env wire.Getenv, aws wire.AWS) (func(context.Context,
		approval.RequestInput) (any, error), error) {
		t, err := wire.NewApprovals(env, aws)
		if err != nil {
			return nil, err
		}
		return t.Handle, nil
	})
}
