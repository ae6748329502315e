// Command verify is the Lambda PostEC2Verify: it verifies, judges and reports.
package main

import (
	"context"

	"ec2patch/internal/lambdamain"
	"ec2patch/internal/task"
	"ec2patch/internal/wire"
)

func main() {
	lambdamain.Start(func(env wire.Getenv, aws wire.AWS) (func(context.Context, task.VerifyInput) (any, error), error) {
		t, err := wire.NewVerify(env, aws)
		if err != nil {
			return nil, err
		}
		return t.Handle, nil
	})
}
