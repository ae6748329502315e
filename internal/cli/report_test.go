package cli_test

import (
	"strings"
	"testing"

	"ec2patch/internal/golden"
	"ec2patch/internal/hub"
	"ec2patch/internal/report"
)

func TestReportAndList(t *testing.T) {
	ended := []hub.Execution{{Run: "october", Status: "SUCCEEDED", Started: at("00:00"), Ended: at("00:09")}}
	running := []hub.Execution{{Run: "october", Status: "RUNNING", Started: at("00:00")}}
	refused := []hub.Execution{{Run: "october", Status: "FAILED", Started: at("00:00"), Ended: at("00:01"),
		Cause: "Failed: waves: missing"}}
	all := story(t, "{}", succeeded())
	full, begun := all[len(all)-1:], all[:1]
	reports := reported(t, 1, nil)
	older := reported(t, 2, func(r *report.Report) {
		r.Started, r.Ended = at("00:00").AddDate(0, -4, 0), at("01:00").AddDate(0, -4, 0)
	})
	reused := []hub.Execution{{Run: "october", Status: "FAILED", Started: at("00:00"), Ended: at("00:01"),
		Cause: "Failed: a run of the name october started at 2026-08-01T00:00:00Z; give this one another name"}}
	several := append([]hub.Execution{
		{Run: strings.Repeat("a-long-name-", 6), ARN: "arn:1", Status: "RUNNING", Started: at("10:00")},
		{Run: "september", ARN: "arn:2", Status: "TIMED_OUT", Started: at("01:00"), Ended: at("09:30")},
		{Run: "august\x1b[2J", ARN: "arn:3", Status: "FAILED", Started: at("01:00"), Ended: at("01:00")},
	}, ended...)
	tests := []struct {
		name string
		args string
		hub  anAccount
		with int // columns of a terminal
	}{
		{name: "report", args: "report october", hub: anAccount{known: ended, looks: full, reports: reports}},
		{name: "report-csv", args: "report october --format csv --bucket data",
			hub: anAccount{known: ended, reports: reports}},
		{name: "report-html", args: "report october --format html",
			hub: anAccount{known: ended, looks: full, reports: reports}},
		{name: "report-json", args: "report october --format json",
			hub: anAccount{known: ended, looks: full, reports: reports}},
		{name: "report-60", args: "report october", with: 60, hub: anAccount{known: ended, looks: full, reports: reports}},
		{name: "report-older", args: "report october --bucket data",
			hub: anAccount{known: reused, looks: begun, reports: older}},
		{name: "report-older-csv", args: "report october --bucket data --format csv",
			hub: anAccount{known: reused, looks: begun, reports: older}},
		{name: "report-older-running", args: "report october --bucket data",
			hub: anAccount{known: running, looks: begun, reports: older}},
		{name: "report-running", args: "report october", hub: anAccount{known: running, looks: full}},
		{name: "report-just-begun", args: "report october", hub: anAccount{known: running, looks: begun}},
		{name: "report-refused-input", args: "report october", hub: anAccount{known: refused, looks: begun}},
		{name: "report-denied", args: "report october", hub: anAccount{known: ended, looks: full}},
		{name: "report-unknown", args: "report october"},
		{name: "report-form", args: "report october --format pdf"},
		{name: "help-report", args: "help report"},
		{name: "list", args: "list", hub: anAccount{known: several}},
		{name: "list-json", args: "list --format json --limit 2", hub: anAccount{known: several}},
		{name: "list-none", args: "list"},
		{name: "list-csv", args: "list --format csv"},
		{name: "list-limit", args: "list --limit 0"},
		{name: "list-argument", args: "list october"},
		{name: "help-list", args: "help list"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			tt.hub.t = t
			tt.hub.reach(&p)
			if tt.with > 0 {
				onTerminal(tt.with)(&p)
			}
			c := run(t.Context(), p, []string{machineEnv, "NO_COLOR=1"}, "", strings.Fields(tt.args)...)
			golden.Equal(t, "script/"+tt.name+".txt", []byte(transcript(tt.args, c)))
		})
	}
}
