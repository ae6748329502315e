// Command poll is the Lambda PollSsmCommand: it follows the commands of a target.
package main

import (
	"context"

	"ec2patch/internal/lambdamain"
	"ec2patch/internal/target"
	"ec2patch/internal/wire"
)

func main() {
	lambdamain.Start(func(env wire.Getenv, aws wire.AWS) (func(context.Context,
		target.TargetInput) (target.Answer, error), error) {
		t, err := wire.NewPoll(env, aws)
		if err != nil {
			return nil, err
		}
		return t.Handle, nil
	})
}
