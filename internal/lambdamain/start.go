package lambdamain

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"ec2patch/internal/wire"
)

// Start wires a task from the environment and serves it until the sandbox ends.
// A task that cannot be wired says everything that is wrong and ends the process.
func Start[In, Out any](build func(wire.Getenv, wire.AWS) (func(context.Context, In) (Out, error), error)) {
	slog.SetLogLoggerLevel(slog.LevelError) // the runtime reports our errors through package log
	slog.SetDefault(lambdacontext.NewLogger())
	clients, err := AWS(context.Background())
	if err != nil {
		fatal(err)
	}
	handle, err := build(os.Getenv, clients)
	if err != nil {
		fatal(err)
	}
	lambda.Start(Named(handle))
}

func fatal(err error) {
	slog.Error("cannot start", "err", err)
	os.Exit(1)
}
