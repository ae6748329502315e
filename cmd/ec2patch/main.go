// Ec2patch is the command line: it checks run inputs, rehearses whole runs, starts
// and follows runs of a hub, and answers those that wait for a decision.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"golang.org/x/term"

	"ec2patch/cloudformation"
	"ec2patch/internal/cli"
	"ec2patch/internal/hub"
	"ec2patch/internal/operator"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what the functions of a rehearsal log is not for who watches it
	version, commit, goVersion := built()
	program := cli.Program{
		Parse:         func(data []byte) (runinput.Input, error) { return runinput.ParseInput(data, runinput.HubDefaults()) },
		Rehearse:      sim.Run,
		RehearseSeeds: sim.RunSeeds,
		SameMachine:   stage.SameMachine,
		Hub:           cloudformation.Hub,
		Spoke:         cloudformation.Spoke,
		Reader:        cloudformation.Reader,
		Faults:        stage.FaultNames(),
		Now:           time.Now,
		Name:          os.Args[0],
		Version:       version,
		Commit:        commit,
		Go:            goVersion,
		Operator:      signedOperator,
		Runs:          hubRuns,
		Wait:          wait,
		Interactive:   interactive,
		Terminal:      terminal,
	}
	os.Exit(cli.ExitCode(program.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)))
}

// built is what the Go toolchain noted in the binary.
func built() (version, commit, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "unknown", "unknown"
	}
	commit = "unknown"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return info.Main.Version, commit, info.GoVersion
}

// signedOperator speaks to a hub with the credentials that the AWS CLI would use.
func signedOperator(ctx context.Context, url string) (cli.Operator, error) {
	conf, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, hub.NoCredentials(fmt.Errorf("AWS configuration: %w", err))
	}
	if _, err := conf.Credentials.Retrieve(ctx); err != nil {
		return nil, hub.NoCredentials(err)
	}
	return &operator.Client{URL: url, Region: conf.Region, Credentials: conf.Credentials, Now: time.Now}, nil
}

// hubRuns speaks to a hub's account in the hub's region, with the credentials that the AWS CLI would use. What the SDK
// has to say is in its errors; its log would stand between the lines of a watch.
func hubRuns(ctx context.Context, m hub.Machine) (cli.Runs, error) {
	conf, err := config.LoadDefaultConfig(ctx, config.WithRegion(m.Region), config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, hub.NoCredentials(fmt.Errorf("AWS configuration: %w", err))
	}
	if _, err := conf.Credentials.Retrieve(ctx); err != nil {
		return nil, hub.NoCredentials(err)
	}
	states := sfn.NewFromConfig(conf)
	return &hub.Client{
		Machine: m, States: states, Machines: states, Alarms: cloudwatch.NewFromConfig(conf), Bucket: s3.NewFromConfig(conf),
		Callers: sts.NewFromConfig(conf),
		Topics:  sns.NewFromConfig(conf), Tables: dynamodb.NewFromConfig(conf), Keys: kms.NewFromConfig(conf),
	}, nil
}

// wait lets time pass, until the program is interrupted.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// interactive tells whether a person types at a stream.
func interactive(r io.Reader) bool {
	f, isFile := r.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

// terminal tells whether a stream is a terminal, and its columns: 80 where the
// terminal does not say.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80, true
	}
	return width, true
}
