// Command approval-callback is the Lambda ApprovalCallback: it shows the plan
// and takes the decision.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/events"

	"ec2patch/internal/lambdamain"
	"ec2patch/internal/wire"
)

func main() {
	lambdamain.Start(func(env wire.Getenv, aws wire.AWS) (func(context.Context,
		events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error), error) {
		t, err := wire.NewCallback(env, aws)
		if err != nil {
			return nil, err
		}
		return lambdamain.HTTP(t.Handle), nil
	})
}
