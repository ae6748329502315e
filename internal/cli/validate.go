package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ec2patch/internal/runinput"
	"ec2patch/internal/words"
)

// maxInputBytes bounds what is read as an input, a fleet or a template. It is
// far above every limit that they are checked against.
const maxInputBytes = 64 << 20

func (a *app) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate INPUT.json...",
		Short: "Check run inputs, without network and credentials",
		Long: `Checks run inputs and names every problem at once, each with its place, the
value that is wrong, and what to write instead. "-" reads stdin.

A warning names what is valid and probably means something else; an input that
only has warnings is valid. Placeholders of EventBridge Scheduler, such as
<aws.scheduler.scheduled-time> in a runKey, are taken as they stand.`,
		Example: `  ec2patch validate examples/run-inputs/*.json
  generate-input | ec2patch validate -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, "no input to validate: name a file, or - for stdin")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.validate(cmd, args) },
	}
}

// finding is one problem in one file, as `validate --format json` prints it.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // 0: the place is not known
	Column  int    `json:"column"`
	Rule    string `json:"rule,omitempty"` // as docs/run-input.md names it
	Path    string `json:"path"`
	Value   string `json:"value,omitempty"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
	warning bool
}

// validation is what `validate --format json` prints.
type validation struct {
	SchemaVersion int       `json:"schemaVersion"`
	Kind          string    `json:"kind"`
	Valid         bool      `json:"valid"`
	Files         int       `json:"files"`
	Errors        int       `json:"errors"`
	Findings      []finding `json:"findings"`
	Warnings      []finding `json:"warnings,omitempty"`   // of valid files; they change neither valid nor the exit code
	Unreadable    []string  `json:"unreadable,omitempty"` // files that were not checked
}

func (a *app) validate(cmd *cobra.Command, files []string) error {
	v := validation{SchemaVersion: 1, Kind: "validation", Files: len(files), Findings: []finding{}}
	var unread error
	for _, f := range files {
		data, err := a.read(f)
		if err != nil {
			v.Unreadable = append(v.Unreadable, name(f))
			unread = errors.Join(unread, err)
			continue
		}
		found, warned, err := a.checkInput(f, data)
		if err != nil {
			return err
		}
		v.Findings, v.Warnings = append(v.Findings, found...), append(v.Warnings, warned...)
		if a.format == "text" && len(found) == 0 {
			fmt.Fprintf(a.stdout, "%s: ok\n", name(f))
		}
		if a.format == "text" {
			a.printFindings(found)
			a.printFindings(warned)
		}
	}
	v.Errors = len(v.Findings)
	v.Valid = v.Errors == 0 && unread == nil
	if a.format == "json" {
		if err := a.printJSON(v); err != nil {
			return err
		}
	} else if v.Files > len(v.Unreadable) {
		count := words.Count(v.Errors, "error")
		if len(v.Warnings) > 0 {
			count += " and " + words.Count(len(v.Warnings), "warning")
		}
		fmt.Fprintf(a.stdout, "%s in %s\n", count, words.Count(v.Files-len(v.Unreadable), "file"))
	}
	switch {
	case unread != nil:
		return usage(cmd, unread.Error())
	case !v.Valid:
		return &ExitError{Code: ExitInvalid}
	}
	return nil
}

// problems checks one input. The error is for what is no finding.
func (a *app) problems(file string, data []byte) ([]finding, error) {
	found, _, err := a.checkInput(file, data)
	return found, err
}

// checkInput finds what is wrong with one input, or what a valid one is warned of.
// The error is for what is no finding.
func (a *app) checkInput(file string, data []byte) (found, warned []finding, err error) {
	in, err := a.Parse(data)
	if err == nil {
		warned = findings(file, runinput.Warnings(data, in))
		for i := range warned {
			warned[i].warning = true
		}
		return nil, warned, nil
	}
	var ps runinput.Problems
	if !errors.As(err, &ps) {
		return nil, nil, failed(fmt.Errorf("%s: %w", name(file), err))
	}
	found = findings(file, ps)
	if isFleet(data) {
		at := max(slices.IndexFunc(found, func(f finding) bool { return f.Path == "accounts" }), 0)
		found[at].Remedy = "this looks like a fleet file: give it to simulate with --fleet, beside a run input"
	}
	return found, nil, nil
}

// isFleet tells whether a file has the form of a fleet: its accounts are an
// object, where those of an input are a list.
func isFleet(data []byte) bool {
	var top struct {
		Accounts map[string]json.RawMessage `json:"accounts"`
	}
	return json.Unmarshal(data, &top) == nil && top.Accounts != nil
}

func findings(file string, ps runinput.Problems) []finding {
	out := make([]finding, 0, len(ps))
	for _, p := range ps {
		out = append(out, finding{
			File: name(file), Line: p.Line, Column: p.Column, Rule: words.Clean(p.Rule), Path: words.Clean(p.Path),
			Value: words.Clean(p.Value), Message: words.Clean(p.Message), Remedy: words.Clean(p.Remedy),
		})
	}
	return out
}

func (a *app) printFindings(list []finding) {
	width := a.width(a.stdout)
	for _, f := range list {
		text := f.Message
		if f.Value != "" {
			text = f.Value + " " + text
		}
		fmt.Fprintln(a.stdout, fold(f.place()+text, "  ", width))
		if f.Remedy != "" {
			fmt.Fprintln(a.stdout, fold("    "+f.Remedy, "    ", width))
		}
	}
}

// place is where a problem is and which, as far as it is known: "run.json:3:19
// wrong-text waves[0].accounts[0]: ". A warning says that it is one.
func (f finding) place() string {
	at := f.File
	if f.Line > 0 {
		at += fmt.Sprintf(":%d", f.Line)
	}
	if f.Column > 0 {
		at += fmt.Sprintf(":%d", f.Column)
	}
	what := strings.TrimSpace(f.Rule + " " + f.Path)
	if f.warning {
		what = "warning " + what
	}
	switch {
	case what == "":
		return at + ": "
	case f.Line == 0:
		at += ":"
	}
	return at + " " + what + ": "
}

// name is how a file is called in messages.
func name(file string) string {
	if file == "-" {
		return "stdin"
	}
	return words.Clean(file)
}

// read reads a file, or stdin for "-". A file:// in front is tolerated, since
// the AWS CLI wants it there.
func (a *app) read(file string) ([]byte, error) {
	if file == "-" {
		data, err := bounded(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read stdin: %w", err)
		}
		return data, nil
	}
	f, err := os.Open(strings.TrimPrefix(file, "file://"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := bounded(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name(file), err)
	}
	return data, nil
}

func bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInputBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxInputBytes {
		return nil, fmt.Errorf("it is larger than %d MiB", maxInputBytes>>20)
	}
	return data, nil
}
