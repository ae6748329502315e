package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ec2patch/internal/audit"
	"ec2patch/internal/hub"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
	"ec2patch/internal/words"
)

// auditOptions are the flags of the command.
type auditOptions struct {
	machine, bucket, keys string
	verify                bool
}

// audited is what `audit --format json` prints.
type audited struct {
	SchemaVersion int                `json:"schemaVersion"`
	Kind          string             `json:"kind"`
	Run           string             `json:"run"`
	Entries       []store.AuditEntry `json:"entries"`
	Verified      *audit.Verdict     `json:"verified"` // null without --verify
	Keys          []auditKey         `json:"keys"`     // with --verify
}

// auditKey is a key that signatures were checked with.
type auditKey struct {
	Writer      store.Writer `json:"writer"`
	Fingerprint string       `json:"fingerprint"`
	Given       bool         `json:"given"` // by --keys, and not by the hub alone
}

func (a *app) auditCommand() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit RUN",
		Short: "Print what was done in a run, and check that nobody has changed the record",
		Long: `Prints the entries of a run's audit in order: when, who, where, what. It needs the
hub's policy <NamePrefix>-viewer.

With --verify it checks the hashes of each chain, gaps, signatures, and that the
heads which each verdict and the end of the run bind are those in the table, and
says what is proven by it and what is not; a violation makes the exit code 5.

The public keys come from the hub's KMS. Who can change the keys there can
deceive this check, so note their fingerprints elsewhere and give them in --keys:
a file with a line for each writer, its name and sha256:... or the key itself in
base64, as aws kms get-public-key prints it. A key that is given is not fetched.`,
		Example: `  ec2patch audit 2026-12-patch
  ec2patch audit 2026-12-patch --verify --keys audit-keys.txt`,
		Args: takesOne("one run, its name or the ARN of its execution"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.keys != "" && !o.verify {
				return usage(cmd, "--keys is for --verify")
			}
			m, run, err := a.oneRun(cmd, args[0], o.machine)
			if err != nil {
				return err
			}
			given, err := givenKeys(o.keys)
			if err != nil {
				return usage(cmd, "--keys: "+err.Error())
			}
			runs, err := a.Runs(cmd.Context(), m)
			if err != nil {
				return asked(cmd.Context(), err)
			}
			return asked(cmd.Context(), a.audit(cmd, runs, run, o, given))
		},
	}
	machineFlag(cmd, &o.machine)
	bucketFlag(cmd, &o.bucket)
	cmd.Flags().BoolVar(&o.verify, "verify", false, "check hashes, gaps, signatures and bound heads")
	cmd.Flags().StringVar(&o.keys, "keys", "", "file of fingerprints or public keys, for --verify")
	return cmd
}

// hubAudit reads the audit of a hub.
type hubAudit struct {
	Runs
	bucket string
}

func (h hubAudit) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	if h.bucket == "" {
		return nil, false, nil
	}
	return h.Object(ctx, h.bucket, key)
}

func (a *app) audit(cmd *cobra.Command, runs Runs, run string, o auditOptions, given map[store.Writer]string) error {
	ctx := cmd.Context()
	if o.bucket == "" {
		var err error
		// Step Functions keeps a run for 90 days, the audit keeps it for ever: without a bucket the run's own chains are
		// there.
		if o.bucket, err = bucketOf(ctx, runs, run); err != nil && !errors.Is(err, hub.ErrNotFound) {
			return err
		}
	}
	trail, err := audit.Read(ctx, hubAudit{runs, o.bucket}, patch.RunID(run))
	if errors.Is(err, audit.ErrNothing) {
		return &ExitError{Code: ExitUsage, Err: err}
	}
	if err != nil {
		return err
	}
	out := audited{SchemaVersion: 1, Kind: "audit", Run: run, Entries: trail.Entries(), Keys: []auditKey{}}
	if o.verify {
		keys, wrong, err := out.fetchKeys(ctx, runs, given)
		if err != nil {
			return err
		}
		verdict := trail.Verify(keys)
		verdict.Violations = append(wrong, verdict.Violations...)
		out.Verified = &verdict
	}
	if a.format == "json" {
		err = json.NewEncoder(a.stdout).Encode(out)
	} else {
		err = out.text(a)
	}
	if err != nil {
		return failedOr(err)
	}
	if out.Verified != nil && len(out.Verified.Violations) > 0 {
		return &ExitError{Code: ExitNotPatched}
	}
	return nil
}

// fetchKeys takes the keys that are given, and fetches the others. A key that does not have the fingerprint given is
// used for nothing.
func (o *audited) fetchKeys(ctx context.Context, runs Runs, given map[store.Writer]string) (audit.Keys, []string,
	error) {
	keys, wrong := audit.Keys{}, []string{}
	for _, w := range store.Writers() {
		want := given[w]
		der, err := base64.StdEncoding.DecodeString(want)
		if want == "" || strings.HasPrefix(want, "sha256:") {
			if der, err = runs.AuditKey(ctx, w); errors.Is(err, hub.ErrNotFound) {
				continue // what it has signed stays unproven
			}
		}
		if err != nil {
			return nil, nil, err
		}
		print := audit.Fingerprint(der)
		if strings.HasPrefix(want, "sha256:") && print != want {
			wrong = append(wrong, fmt.Sprintf("the hub's key of %s is %s, and not %s", w, print, want))
			continue
		}
		if keys[w], err = audit.ParseKey(der); err != nil {
			return nil, nil, fmt.Errorf("the public key of %s: %w", w, err)
		}
		o.Keys = append(o.Keys, auditKey{Writer: w, Fingerprint: print, Given: want != ""})
	}
	return keys, wrong, nil
}

// givenKeys reads the file of --keys.
func givenKeys(path string) (map[store.Writer]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	given := map[store.Writer]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 || !slices.Contains(store.Writers(), store.Writer(fields[0])) {
			return nil, fmt.Errorf("line %d is not a writer (%s) and its key", n, writerNames())
		}
		if _, err := base64.StdEncoding.DecodeString(fields[1]); err != nil && !strings.HasPrefix(fields[1], "sha256:") {
			return nil, fmt.Errorf("line %d has neither sha256:... nor a key in base64", n)
		}
		given[store.Writer(fields[0])] = fields[1]
	}
	return given, lines.Err()
}

func writerNames() string {
	var all []string
	for _, w := range store.Writers() {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
}

// text prints the entries, and below them the verdict.
func (o *audited) text(a *app) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, e := range o.Entries {
		by := string(store.WriterOf(e.Chain))
		if by == "" {
			by = e.Actor
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.At.UTC().Format(time.RFC3339), by, words.Clean(e.Action),
			cmp.Or(audit.Place(patch.RunID(o.Run), e.Chain), "-"), words.Clean(e.Detail))
	}
	if err := w.Flush(); err != nil || o.Verified == nil {
		return err
	}
	list := func(title string, all []string) {
		if len(all) > 0 {
			fmt.Fprintf(a.stdout, "\n%s\n", title)
		}
		for _, line := range all {
			fmt.Fprintf(a.stdout, "  %s\n", words.Clean(line))
		}
	}
	list("Violations", o.Verified.Violations)
	list("Proven", o.Verified.Proven)
	list("Not proven", o.Verified.Unproven)
	var keys []string
	for _, k := range o.Keys {
		from := "as the hub has it; compare it with what you noted elsewhere"
		if k.Given {
			from = "as given"
		}
		keys = append(keys, fmt.Sprintf("%s %s  # %s", k.Writer, k.Fingerprint, from))
	}
	list("Keys", keys)
	result := "nothing was changed, as far as it is proven"
	if n := len(o.Verified.Violations); n > 0 {
		result = words.BareCount(n, "violation")
	}
	_, err := fmt.Fprintf(a.stdout, "\nAUDIT %s %s\n", o.Run, result)
	return err
}
