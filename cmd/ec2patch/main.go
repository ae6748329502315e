// Ec2patch is the command line: it checks run inputs and rehearses whole runs.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

	"ec2patch/cloudformation"
	"ec2patch/internal/cli"
	"ec2patch/internal/patch"
	"ec2patch/internal/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	version, commit, goVersion := built()
	program := cli.Program{
		Parse:         func(data []byte) (patch.Input, error) { return patch.ParseInput(data, patch.HubDefaults()) },
		Rehearse:      sim.Run,
		RehearseSeeds: sim.RunSeeds,
		Hub:           cloudformation.Hub,
		Spoke:         cloudformation.Spoke,
		Now:           time.Now,
		Version:       version,
		Commit:        commit,
		Go:            goVersion,
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
