package guard

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"ec2patch/internal/lambdas"
)

// watchChecks are about alarms, the dashboard, saved queries, rules and schedules.
func watchChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"H-88", "Every alarm tells somebody, says what it means, and what silence means.", nil, alarms},
		{"H-89", "Silence for days is an alarm.", hub, deadMan},
		{"H-91", "What a rule or schedule could not start is kept, and bounded in age.", []string{Hub, Schedule,
			Rule}, undelivered},
		{"alarms", "The documented alarms exist, with their metrics, statistics, thresholds and defaults.", hub,
			wantedAlarms},
		{"run-ended", "The end of a run that does not report itself is an event.", hub, runEnded},
		{"dashboard", "The dashboard shows what operators ask for, and every alarm.", hub, dashboard},
		{"queries", "The questions of an incident are saved as queries.", hub, queries},
		{"schedule", "A schedule starts the hub's machine with the input that was given.",
			[]string{Schedule}, schedule},
	}
}

func alarms(t *Template, tell say) {
	for _, r := range t.ofType("AWS::CloudWatch::Alarm") {
		actions := shown(r.property("AlarmActions"))
		if len(actions) == 0 || slices.ContainsFunc(actions, func(a string) bool {
			return a != "${NoticesTopic}" && !strings.HasSuffix(a, ":${NamePrefix}-notices")
		}) {
			tell(r.Node, "%s must tell the notices topic", r.ID)
		}
		if show(r.property("ActionsEnabled")) == "false" {
			tell(r.Node, "%s tells nobody", r.ID)
		}
		if len(show(r.property("AlarmDescription"))) < 20 {
			tell(r.Node, "%s does not say what it means", r.ID)
		}
		if show(r.property("TreatMissingData")) == "" {
			tell(r.Node, "%s does not say what silence means", r.ID)
		}
	}
}

func deadMan(t *Template, tell say) {
	r, ok := t.resource("NoRunEndedAlarm")
	if !ok || show(r.property("TreatMissingData")) != "breaching" || show(r.property("ComparisonOperator")) !=
		"LessThanThreshold" ||
		show(r.property("Threshold")) != "1" || show(r.property("Period")) != "86400" ||
		show(r.property("EvaluationPeriods")) != "${DeadManDays}" ||
		show(r.property("Statistic")) != "SampleCount" || show(r.property("MetricName")) != "RunsEnded" {
		tell(r.Node, "NoRunEndedAlarm must go off when no run has ended for DeadManDays")
	}
}

func undelivered(t *Template, tell say) {
	bounded := func(what string, target Resource, retry, letters func(string) string) {
		age, err := strconv.Atoi(retry("MaximumEventAgeInSeconds"))
		if err != nil || age > 86400 || retry("MaximumRetryAttempts") == "" {
			tell(target.Node, "%s must be tried for a day at most", what)
		}
		if !strings.HasSuffix(letters("Arn"), "Queue.Arn}") {
			tell(target.Node, "%s must be kept in a queue", what)
		}
	}
	for _, r := range t.ofType("AWS::Events::Rule") {
		for _, target := range items(r.property("Targets")) {
			bounded("what "+r.ID+" could not start", r, func(f string) string {
				return show(dig(target, "RetryPolicy", f))
			},
				func(f string) string {
					if kept := show(child(target, "Arn")); strings.HasSuffix(kept, "Queue.Arn}") {
						return kept // the target is itself a queue
					}
					return show(dig(target, "DeadLetterConfig", f))
				})
		}
	}
	for _, r := range t.ofType("AWS::Scheduler::Schedule") {
		bounded("what "+r.ID+" could not start", r, func(f string) string {
			return show(r.property("Target",
				"RetryPolicy", f))
		},
			func(f string) string { return show(r.property("Target", "DeadLetterConfig", f)) })
	}
}

func wantedAlarms(t *Template, tell say) {
	// Failures add up over targets; how long a question has waited is the longest of what was said.
	for _, want := range []struct{ id, metric, threshold, statistic, period string }{
		{"PatchFailuresAlarm", "PatchFailures", "${PatchFailuresThreshold}", "Sum", "3600"},
		{"InstancesUnhealthyAlarm", "InstancesUnhealthy", "${InstancesUnhealthyThreshold}", "Sum", "3600"},
		{"PendingApprovalsAlarm", "PendingApprovals", "${PendingApprovalMinutesThreshold}", "Maximum", "900"},
		{"ApprovalUnheardAlarm", "ApprovalUnheard", "0", "Maximum", "900"},
		{"ApprovalStrangersAlarm", "ApprovalStrangers", "0", "Maximum", "900"},
		{"RunEndedUndeliveredAlarm", "ApproximateNumberOfMessagesVisible", "0", "Maximum", "300"},
		{"KeyEndAlarm", "ApproximateNumberOfMessagesVisible", "0", "Maximum", "300"},
	} {
		r, ok := t.resource(want.id)
		if !ok || show(r.property("MetricName")) != want.metric || show(r.property("Threshold")) != want.threshold ||
			show(r.property("ComparisonOperator")) != "GreaterThanThreshold" {
			tell(r.Node, "%s must go off when %s exceeds %s", want.id, want.metric, want.threshold)
		}
		if show(r.property("Statistic")) != want.statistic || show(r.property("Period")) != want.period ||
			show(r.property("EvaluationPeriods")) != "1" {
			tell(r.Node, "%s must look at the %s of one period of %s s", want.id, want.statistic, want.period)
		}
	}
	for _, f := range lambdas.All() {
		r, ok := t.resource(f.ID + "ErrorsAlarm")
		if !ok || show(r.property("MetricName")) != "Errors" || show(r.property("Statistic")) != "Sum" ||
			!mentions(r.property("Dimensions"), f.ID+"Function") {
			tell(r.Node, "%sErrorsAlarm must watch the errors of %sFunction", f.ID, f.ID)
		}
		if throttles, _ := t.resource("ThrottlesAlarm"); !mentions(throttles.property("Metrics"), f.ID+"Function") {
			tell(throttles.Node, "ThrottlesAlarm must watch %sFunction", f.ID)
		}
	}
	ended, _ := t.resource("ExecutionsFailedAlarm")
	var metrics []string
	for _, m := range items(ended.property("Metrics")) {
		metrics = append(metrics, show(dig(m, "MetricStat", "Metric", "MetricName")))
	}
	for _, metric := range []string{"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "RunsExcused"} {
		if !slices.Contains(metrics, metric) {
			tell(ended.Node, "ExecutionsFailedAlarm must watch %s", metric)
		}
	}
	for name, value := range alarmDefaults() {
		if p := child(child(t.root, "Parameters"), name); show(child(p, "Default")) != value {
			tell(p, "%s is %s unless the owner says otherwise", name, value)
		}
	}
}

// alarmDefaults are the documented thresholds of a hub whose owner sets none.
func alarmDefaults() map[string]string {
	return map[string]string{
		"PatchFailuresThreshold": "5", "InstancesUnhealthyThreshold": "2", "PendingApprovalMinutesThreshold": "60",
		"LambdaErrorsThreshold": "5", "LambdaThrottlesThreshold": "20",
	}
}

// runEnded checks that the rule sees every end that a run does not report itself, of the machine that runs waves.
func runEnded(t *Template, tell say) {
	r, _ := t.resource("RunEndedRule")
	states := shown(r.property("EventPattern", "detail", "status"))
	slices.Sort(states)
	if !slices.Equal(states, []string{"ABORTED", "FAILED", "TIMED_OUT"}) {
		tell(r.Node, "the rule must see executions that failed, timed out or were stopped, not %q", states)
	}
	if show(r.property("State")) != "ENABLED" || !slices.Equal(shown(r.property("EventPattern", "detail",
		"stateMachineArn")), []string{"${OrchestratorStateMachine}"}) {
		tell(r.Node, "the rule must be enabled, and about the machine that runs waves")
	}
}

// onDashboard lists what the dashboard has to show: metrics of ours, of the services, and what drives the bill.
func onDashboard() []string {
	return []string{"PatchSuccessRate", "InstanceAvailabilityBefore", "InstanceAvailability", "ExecutionDuration",
		"PatchFailures", "InstancesUnhealthy", "ComplianceDrift", "PendingApprovals", "ExecutionsFailed",
		"ExecutionThrottled", "ThrottledEvents", "ConsumedCapacity", "Errors", "Throttles", "Duration", "Invocations",
		"ConcurrentExecutions", "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"}
}

var substitution = regexp.MustCompile(`\$\{[^}]*\}`)

func dashboard(t *Template, tell say) {
	r, _ := t.resource("Dashboard")
	body := show(r.property("DashboardBody"))
	if !json.Valid([]byte(substitution.ReplaceAllString(body, "1"))) {
		tell(r.Node, "the dashboard's body must be JSON")
	}
	for _, metric := range onDashboard() {
		// the latter stands in an expression
		if !strings.Contains(body, `"`+metric+`"`) && !strings.Contains(body, `"`+metric+`\"`) {
			tell(r.Node, "the dashboard must show %s", metric)
		}
	}
	for _, a := range t.ofType("AWS::CloudWatch::Alarm") {
		// An alarm that may not be there cannot stand in a list.
		if child(a.Node, "Condition") == nil && !strings.Contains(body, "${"+a.ID+".Arn}") {
			tell(r.Node, "the dashboard must show %s", a.ID)
		}
	}
}

func queries(t *Template, tell say) {
	found := t.ofType("AWS::Logs::QueryDefinition")
	if len(found) < 4 {
		tell(nil, "there must be saved queries for errors, one run, one instance's command and approvals")
	}
	for _, r := range found {
		if !strings.HasPrefix(show(r.property("Name")), "${NamePrefix}/") || len(items(r.property("LogGroupNames"))) ==
			0 || !strings.Contains(show(r.property("QueryString")), "fields ") {
			tell(r.Node, "%s must be named ${NamePrefix}/..., and read log groups of ours", r.ID)
		}
		for _, group := range shown(r.property("LogGroupNames")) {
			if !strings.HasSuffix(group, "LogGroup}") {
				tell(r.Node, "%s reads %s, which is not of this template", r.ID, group)
			}
		}
	}
}

func schedule(t *Template, tell say) {
	r, _ := t.resource("RunSchedule")
	for _, want := range []struct{ path, value string }{
		{"Input", "${RunInput}"}, {"RoleArn", "${ScheduleRole.Arn}"},
		{"Arn",
			"arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${NamePrefix}-orchestrator"},
	} {
		if show(r.property("Target", want.path)) != want.value {
			tell(r.Node, "the schedule's %s must be %s", want.path, want.value)
		}
	}
	if show(r.property("ScheduleExpressionTimezone")) != "${TimeZone}" || show(r.property("State")) != "${State}" {
		tell(r.Node, "the schedule must follow TimeZone and State")
	}
	// OFF without quotes is false to a YAML reader, which Scheduler refuses.
	walk(r.property("FlexibleTimeWindow"), func(n *yaml.Node) {
		if mode := child(n, "Mode"); mode != nil && mode.Tag == "!!bool" || mode != nil && mode.Value == "OFF" &&
			mode.Style == 0 {
			tell(mode, "Mode: OFF must be quoted")
		}
	})
}
