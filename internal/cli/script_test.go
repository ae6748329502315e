package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ec2patch/internal/cli"
	"ec2patch/internal/follow"
	"ec2patch/internal/golden"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/report"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/stage"
)

// TestScripts compares whole calls, command line, output and exit code, with the
// transcripts in testdata/script.
func TestScripts(t *testing.T) {
	tests := []struct {
		name  string
		args  string
		stdin string
		env   []string
		with  func(*cli.Program)
	}{
		{name: "help", args: "--help"},
		{name: "no-arguments", args: ""},
		{name: "help-simulate", args: "help simulate"},
		{name: "help-exit-codes", args: "help exit-codes"},
		{name: "version", args: "version"},
		{name: "version-json", args: "version --format json"},
		{name: "unknown-command", args: "simulat good.json"},
		{name: "unknown-command-far", args: "status"},
		{name: "unknown-command-swapped", args: "vaildate good.json"},
		{name: "unknown-flag-swapped", args: "version --fromat json"},
		{name: "unknown-flag-far", args: "version --verbose"},
		{name: "watch-bad-timeout", args: "watch october --timeout 5"},
		{name: "bad-no-color", args: "version --no-color=maybe"},
		{name: "abort-bad-name", args: "abort x:y --reason no --yes"},
		{name: "simulate-fault-twice", args: "simulate good.json --faults F-04=0.2,F-04=0.3"},
		{name: "help-unknown", args: "help nosuch"},
		{name: "help-unknown-near", args: "help simulat"},
		{name: "version-flag", args: "--version"},
		{name: "unknown-flag", args: "simulate good.json --sed 1"},
		{name: "unknown-format", args: "version --format yaml"},
		{name: "unknown-progress", args: "version --progress loud"},
		{name: "version-with-argument", args: "version 2"},
		{name: "validate-good", args: "validate good.json"},
		{name: "validate-bad", args: "validate good.json bad.json"},
		{name: "validate-json", args: "validate bad.json --format json"},
		{name: "validate-stdin", args: "validate -", stdin: "{}"},
		{name: "validate-warned", args: "validate good.json -", stdin: warnedInput},
		{name: "validate-warned-json", args: "validate - --format json", stdin: warnedInput},
		{name: "validate-some-missing", args: "validate bad.json nowhere.json good.json nothing.json"},
		{name: "validate-some-missing-json", args: "validate nowhere.json good.json --format json"},
		{name: "validate-fleet", args: "validate real-fleet.json"},
		{name: "simulate-fleet-as-input", args: "simulate real-fleet.json"},
		{name: "validate-nothing", args: "validate"},
		{name: "validate-missing-file", args: "validate nowhere.json"},
		{name: "simulate", args: "simulate good.json"},
		{name: "simulate-all-good", args: "simulate good.json --seed 2"},
		{name: "simulate-json", args: "simulate good.json --format json"},
		{name: "simulate-quiet", args: "simulate good.json --progress quiet"},
		{name: "simulate-warned", args: "simulate - --progress quiet", stdin: warnedInput},
		{name: "simulate-json-progress", args: "simulate good.json --progress json"},
		{name: "simulate-out", args: "simulate - --out kept --progress quiet", stdin: goodInput},
		{name: "simulate-bad-input", args: "simulate bad.json"},
		{name: "simulate-bad-input-json", args: "simulate bad.json --format json"},
		{name: "simulate-no-input", args: "simulate"},
		{name: "simulate-bad-approve", args: "simulate good.json --approve yes"},
		{name: "simulate-bad-hub", args: "simulate good.json --hub MinimumApproval"},
		{name: "simulate-hub-twice", args: "simulate good.json --hub MaxInstances=1,MaxInstances=2"},
		{name: "simulate-hub", args: "simulate good.json --hub MinimumApproval=none --hub MaxInstances=10 --progress quiet",
			with: func(p *cli.Program) {
				inner := p.Rehearse
				p.Rehearse = func(o sim.Options) (*sim.Result, error) {
					if len(o.Parameters) != 2 || o.Parameters["MinimumApproval"] != "none" ||
						o.Parameters["MaxInstances"] != "10" {
						return nil, fmt.Errorf("the rehearsal was given %v", o.Parameters)
					}
					return inner(o)
				}
			}},
		{name: "simulate-bad-seed", args: "simulate good.json --seed -1"},
		{name: "simulate-bad-instances", args: "simulate good.json --instances 0"},
		{name: "simulate-instances-and-fleet", args: "simulate good.json --instances 5 --fleet fleet.json"},
		{name: "simulate-missing-fleet", args: "simulate good.json --fleet nowhere.json"},
		{name: "simulate-missing-template", args: "simulate good.json --template nowhere.yaml"},
		{name: "simulate-bad-faults", args: "simulate good.json --faults strom"},
		{name: "simulate-bad-fault-rate", args: "simulate good.json --faults F-04=2"},
		{name: "simulate-unknown-fault", args: "simulate good.json --faults F-99=2"},
		{name: "simulate-empty-fleet", args: "simulate good.json --fleet empty.json"},
		{name: "simulate-empty-fleet-json", args: "simulate good.json --fleet empty.json --format json"},
		{name: "simulate-no-fleet", args: "simulate good.json --fleet="},
		{name: "simulate-bad-fleet", args: "simulate good.json --fleet fleet.json --progress quiet",
			with: badFile("fleet file", "accounts.1: is no account id\naccounts.2.regions: is missing")},
		{name: "simulate-bad-template", args: "simulate good.json --template other-hub.yaml --progress quiet",
			with: badFile("hub template", "hub-cfn.yaml:1: no resources\nhub-cfn.yaml: no state machine")},
		{name: "simulate-bad-built-in", args: "simulate good.json --progress quiet",
			with: badFile("spoke template", "line 1: no resources")},
		{name: "simulate-out-taken", args: "simulate good.json --out good.json", with: func(p *cli.Program) {
			p.Rehearse = func(sim.Options) (*sim.Result, error) { return nil, errors.New("this must not start") }
		}},
		{name: "simulate-repeat", args: "simulate good.json --seed 4 --fleet fleet.json --out kept --progress quiet",
			with: func(p *cli.Program) {
				p.Name = "./ec2patch"
			}},
		{name: "simulate-rejected", args: "simulate good.json --approve reject --progress quiet",
			with: ends(func(r *sim.Result) {
				r.Status, r.Report.Status = patch.RunRejected, patch.RunRejected
			})},
		{name: "simulate-violation", args: "simulate good.json --seed 3 --faults F-04=0.5 --progress quiet",
			with: ends(func(r *sim.Result) {
				r.Violations = []check.Violation{{Rule: "R-01", At: "12m04s",
					Detail: "i-0000000000000002a got two Install commands\x1b[2J"}}
			})},
		{name: "simulate-no-report", args: "simulate good.json --progress quiet", with: ends(func(r *sim.Result) {
			r.Report, r.Status = nil, patch.RunFailed
		})},
		{name: "simulate-no-report-why", args: "simulate good.json --progress quiet", with: ends(func(r *sim.Result) {
			r.Report, r.Status, r.Failure = nil, patch.RunFailed, "state WriteReport: Lambda.ServiceException: Service error"
		})},
		{name: "simulate-fails", args: "simulate good.json --progress quiet", with: func(p *cli.Program) {
			p.Rehearse = func(sim.Options) (*sim.Result, error) { return nil, errors.New("the state machine has no start") }
		}},
		{name: "simulate-finding", args: "simulate good.json --progress quiet", with: func(p *cli.Program) {
			p.Rehearse = func(sim.Options) (*sim.Result, error) {
				return nil, fmt.Errorf("rehearse: %w", runinput.Problems{{Path: "fleet.accounts[0]", Value: `"x"`, Message: "is no account", Remedy: "write twelve digits", Line: 2, Column: 5}})
			}
		}},
		{name: "simulate-json-report", args: "simulate good.json --format json --progress quiet",
			with: ends(func(r *sim.Result) {
				r.Status, r.Report.StatusReason = patch.RunIncomplete, "one could not be reached"
				r.Report.Excluded = []plan.ExcludedInstance{{InstanceID: "i-1", Outcome: outcome.Offline},
					{InstanceID: "i-2", Outcome: outcome.Offline}, {InstanceID: "i-3", Outcome: outcome.Excluded}}
				r.Report.Unreachable = []plan.UnreachableAccount{{Account: "222222222222", Region: "us-east-1",
					Reason: "access denied"}}
				r.Report.Approvals = []report.ApprovalReport{{Scope: "run", Status: "approved", Name: "Ann", PlanCount: 6}}
			})},
		{name: "simulate-nothing-matched", args: "simulate good.json --progress quiet", with: ends(func(r *sim.Result) {
			r.Planned, r.Outcomes = 0, map[outcome.Outcome]int{}
			r.Report.Totals, r.Report.Instances = report.Totals{Outcomes: r.Outcomes}, nil
			r.Report.Waves[0].Filter, r.Report.Waves[1].Filter = "tag PatchGroup=default, platform Linux", "tag Env=prod"
		})},
		{name: "simulate-wave-matched-nothing-progress", args: "simulate good.json --progress json --format json",
			with: ends(func(r *sim.Result) {
				r.Report.Waves[1].Planned, r.Report.Waves[1].Filter = 0, "tag Env=prod"
			})},
		{name: "simulate-wave-matched-nothing", args: "simulate good.json --progress quiet --format json",
			with: ends(func(r *sim.Result) {
				r.Report.DryRun, r.Report.Waves[1].Planned = true, 0
			})},
		{name: "terminal-60", args: "simulate good.json --progress quiet", env: []string{"TERM=dumb"}, with: onTerminal(60)},
		{name: "simulate-cost", args: "simulate good.json --progress quiet", with: costs()},
		{name: "terminal-40-cost", args: "simulate good.json --progress quiet", env: []string{"TERM=dumb"},
			with: func(p *cli.Program) {
				costs()(p)
				onTerminal(40)(p)
			}},
		{name: "simulate-approve-ask-quiet", args: "simulate good.json --approve ask --progress quiet", with: asks()},
		{name: "simulate-approve-ask", args: "simulate good.json --approve ask", with: asks()},
		{name: "seeds", args: "simulate good.json --seeds 1-20"},
		{name: "seeds-json", args: "simulate good.json --seeds 1-20 --format json --progress quiet"},
		{name: "seeds-violation", args: "simulate good.json --seeds 1-3 --faults storm --progress quiet",
			with: func(p *cli.Program) {
				inner := p.RehearseSeeds
				p.RehearseSeeds = func(o sim.Options, from, to uint64, f func(int)) (*sim.SeedsResult, error) {
					res, err := inner(o, from, to, f)
					res.Failed = []sim.FailedSeed{{Seed: 2, Rule: "R-04", Detail: "sent after the budget was exceeded"},
						{Seed: 3, Rule: "error", Detail: "the rehearsal stands still"}}
					return res, err
				}
			}},
		{name: "seeds-endings", args: "simulate good.json --seeds 1-20 --faults swarm --progress quiet",
			with: func(p *cli.Program) {
				inner := p.RehearseSeeds
				p.RehearseSeeds = func(o sim.Options, from, to uint64, f func(int)) (*sim.SeedsResult, error) {
					res, err := inner(o, from, to, f)
					res.Statuses = map[patch.RunStatus]int{patch.RunSucceeded: 7, patch.RunStopped: 12, patch.RunFailed: 1}
					res.Ended = map[patch.RunStatus][]uint64{
						patch.RunSucceeded: {1, 2, 3, 4, 5, 6, 7}, patch.RunFailed: {20},
						patch.RunStopped: {8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19},
					}
					return res, err
				}
			}},
		{name: "seeds-calm-60", args: "simulate good.json --seeds 1-3 --progress quiet", with: func(p *cli.Program) {
			onTerminal(60)(p)
			p.RehearseSeeds = func(sim.Options, uint64, uint64, func(int)) (*sim.SeedsResult, error) {
				return &sim.SeedsResult{
					From: 1, To: 3, Seeds: 3, Statuses: map[patch.RunStatus]int{patch.RunFailed: 3}, VirtualSeconds: 5400,
					VirtualYears: 0.00017,
					Ended: map[patch.RunStatus][]uint64{patch.RunFailed: {1000001, 1000002, 1000003, 1000004, 1000005, 1000006,
						1000007}}, MaxHistoryEvents: 40, MaxPayloadBytes: 700,
				}, nil
			}
		}},
		{name: "validate-60", args: "validate bad.json", with: onTerminal(60)},
		{name: "seeds-out-taken", args: "simulate good.json --seeds 1-3 --out good.json"},
		{name: "seeds-empty", args: "simulate good.json --seeds="},
		{name: "seeds-bad-range", args: "simulate good.json --seeds 9-1"},
		{name: "seeds-and-seed", args: "simulate good.json --seeds 1-9 --seed 4"},
		{name: "seeds-ask", args: "simulate good.json --seeds 1-9 --approve ask"},
		{name: "terminal-80", args: "simulate good.json", env: []string{"TERM=xterm", "LANG=C.UTF-8"}, with: onTerminal(80)},
		{name: "terminal-40", args: "simulate good.json", env: []string{"TERM=xterm", "NO_COLOR=1"}, with: onTerminal(40)},
		{name: "terminal-dumb", args: "simulate good.json", env: []string{"TERM=dumb"}, with: onTerminal(80)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			if tt.with != nil {
				tt.with(&p)
			}
			var c call
			t.Run("call", func(t *testing.T) {
				enter(t)
				c = run(t.Context(), p, tt.env, tt.stdin, strings.Fields(tt.args)...)
			})
			golden.Equal(t, "script/"+tt.name+".txt", []byte(transcript(tt.args, c)))
		})
	}
}

// transcript is what a reader of the test sees. Escape characters are written
// as \e.
func transcript(args string, c call) string {
	text := fmt.Sprintf("$ ec2patch %s\n-- stdout --\n%s-- stderr --\n%s-- exit %d --\n", args, c.stdout, c.stderr, c.code)
	text = strings.ReplaceAll(text, "\x1b", `\e`)
	return strings.ReplaceAll(text, "\r", `\r`)
}

// ends changes how the made-up rehearsal ends.
func ends(change func(*sim.Result)) func(*cli.Program) {
	return func(p *cli.Program) {
		p.Rehearse = func(o sim.Options) (*sim.Result, error) {
			res := result(o, 0)
			change(res)
			return res, nil
		}
	}
}

// costs makes a bill with long units, single ones and nothing, for a run in which no command ended.
func costs() func(*cli.Program) {
	return ends(func(r *sim.Result) {
		r.DetectionDelaySeconds = sim.Quantiles{}
		r.Cost = []sim.CostItem{
			{Name: "Step Functions", Quantity: 644, Unit: "state transitions", USD: 0.0161},
			{Name: "SNS mail", Quantity: 1, Unit: "mails", USD: 0.0001},
			{Name: "KMS", Quantity: 6, Unit: "requests", USD: 0.00002},
		}
	})
}

// badFile makes the rehearsal find a file that cannot be used.
func badFile(what, text string) func(*cli.Program) {
	return func(p *cli.Program) {
		p.Rehearse = func(sim.Options) (*sim.Result, error) {
			return nil, fmt.Errorf("rehearse: %w", &stage.FileError{What: what, Err: errors.New(text)})
		}
	}
}

// asks makes the rehearsal wait for a person at a local address.
func asks() func(*cli.Program) {
	return func(p *cli.Program) {
		p.Rehearse = func(o sim.Options) (*sim.Result, error) {
			if o.Approve != sim.ApproveAsk {
				return nil, fmt.Errorf("approve is %q", o.Approve)
			}
			o.Progress(follow.Progress{Phase: "waiting for approval", Played: follow.Played{
				Approval: "open http://127.0.0.1:8089/callback to decide", Page: "http://127.0.0.1:8089/callback",
			}})
			return result(o, 0), nil
		}
	}
}

func onTerminal(width int) func(*cli.Program) {
	return func(p *cli.Program) { p.Terminal = func(io.Writer) (int, bool) { return width, true } }
}

func TestInterrupt(t *testing.T) {
	p := program()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	p.Rehearse = func(sim.Options) (*sim.Result, error) {
		cancel()
		<-release
		return nil, errors.New("too late")
	}
	enter(t)
	c := run(ctx, p, nil, "", "simulate", "good.json", "--progress", "quiet")
	if c.code != cli.ExitInterrupted || c.stdout != "" {
		t.Errorf("code %d, stdout %q, want 130 and nothing", c.code, c.stdout)
	}
}
