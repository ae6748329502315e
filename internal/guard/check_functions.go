package guard

import (
	"slices"
	"strconv"
	"strings"

	"ec2patch/internal/lambdas"
)

// functionChecks are about the Lambda functions, their versions, log groups and permissions.
func functionChecks() []Check {
	return []Check{
		{"H-33", "Functions run on the operating system's runtime, built for a parameter's architecture.", []string{Hub},
			runtimes},
		{"H-34", "Send, poll and callback can reserve concurrency, by parameter.", []string{Hub}, reservations},
		{"H-35", "The environment is encrypted with our key and holds no secret but the external id.", []string{Hub},
			environments},
		{"H-36", "Every function has its own log group with retention and key, which it is told to use.", []string{Hub},
			logGroups},
		{"H-38", "Timeout and memory are written out, as documented.", []string{Hub}, timeouts},
		{"H-41", "A function is invoked by one service for one route or rule.", []string{Hub}, permissions},
		{"H-42", "No function has an address of its own.", nil, addresses},
		{"H-43", "Versions are published, kept, and named to whoever calls.", []string{Hub}, versions},
		{"policy", "What the hub demands of every run reaches whoever plans and whoever sends, and is an approval unless " +
			"somebody says otherwise.", []string{Hub}, demands},
		{"H-44", "The code is pinned by key, object version and hash.", []string{Hub}, artifacts},
	}
}

func runtimes(t *Template, tell say) {
	for _, r := range t.ofType("AWS::Lambda::Function") {
		if show(r.property("Runtime")) != "provided.al2023" || !only(r.property("Architectures"), "${LambdaArchitecture}") {
			tell(r.Node, "%s must run on provided.al2023, for LambdaArchitecture", r.ID)
		}
		if show(r.property("TracingConfig", "Mode")) == "Active" {
			tell(r.Node, "%s must not be traced", r.ID)
		}
	}
}

func reservations(t *Template, tell say) {
	for _, want := range []struct{ function, condition, parameter string }{
		{"SendFunction", "ReservesSend", "SendReservedConcurrency"},
		{"PollFunction", "ReservesPoll", "PollReservedConcurrency"},
		{"ApprovalCallbackFunction", "ReservesApproval", "ApprovalReservedConcurrency"},
	} {
		r, _ := t.resource(want.function)
		n := r.property("ReservedConcurrentExecutions")
		if n == nil || !only(n, want.condition, "${"+want.parameter+"}", "${AWS::NoValue}") {
			tell(r.Node, "%s must reserve %s, and nothing when it is 0", want.function, want.parameter)
		}
	}
}

func environments(t *Template, tell say) {
	for _, r := range t.ofType("AWS::Lambda::Function") {
		if show(r.property("KmsKeyArn")) != "${DataKey.Arn}" {
			tell(r.Node, "the environment of %s is not encrypted with our key", r.ID)
		}
		for _, p := range pairs(r.property("Environment", "Variables")) {
			if secretName.MatchString(show(p.value)) && p.key != "EXTERNAL_ID" {
				tell(p.at, "%s of %s shows a secret", p.key, r.ID)
			}
			if slices.ContainsFunc([]string{"SECRET", "PASSWORD", "TOKEN"}, func(word string) bool {
				return strings.Contains(p.key, word)
			}) {
				tell(p.at, "%s of %s sounds like a secret", p.key, r.ID)
			}
		}
	}
}

func logGroups(t *Template, tell say) {
	for _, r := range t.ofType("AWS::Logs::LogGroup") {
		if show(r.property("RetentionInDays")) != "${LogRetentionDays}" {
			tell(r.Node, "%s must keep LogRetentionDays", r.ID)
		}
		if show(r.property("KmsKeyId")) != "${DataKey.Arn}" {
			tell(r.Node, "%s is not encrypted with our key", r.ID)
		}
	}
	for _, f := range lambdas.All() {
		function, _ := t.resource(f.ID + "Function")
		if show(function.property("LoggingConfig", "LogGroup")) != "${"+f.ID+"LogGroup}" ||
			show(function.property("LoggingConfig", "LogFormat")) != "JSON" {
			tell(function.Node, "%sFunction must log JSON to %sLogGroup", f.ID, f.ID)
		}
		group, _ := t.resource(f.ID + "LogGroup")
		if show(group.property("LogGroupName")) != "/aws/lambda/${NamePrefix}-"+f.Name {
			tell(group.Node, "%sLogGroup must be /aws/lambda/${NamePrefix}-%s", f.ID, f.Name)
		}
	}
}

// functionTimeouts are the documented timeouts of the functions, in seconds.
func functionTimeouts() map[string]int {
	return map[string]int{"Inventory": 300, "Send": 120, "Poll": 600, "ApprovalRequest": 60, "ApprovalCallback": 60,
		"Verify": 300}
}

func timeouts(t *Template, tell say) {
	for _, f := range lambdas.All() {
		r, ok := t.resource(f.ID + "Function")
		if !ok {
			tell(nil, "%sFunction is missing", f.ID)
			continue
		}
		if show(r.property("FunctionName")) != "${NamePrefix}-"+f.Name {
			tell(r.Node, "%s must be named ${NamePrefix}-%s", r.ID, f.Name)
		}
		if show(r.property("Timeout")) != strconv.Itoa(functionTimeouts()[f.ID]) {
			tell(r.Node, "the timeout of %s must be %d", r.ID, functionTimeouts()[f.ID])
		}
		if memory, err := strconv.Atoi(show(r.property("MemorySize"))); err != nil || memory < 128 || memory > 3008 {
			tell(r.Node, "%s must say its memory, 128 to 3008 MB", r.ID)
		}
	}
}

func permissions(t *Template, tell say) {
	for _, r := range t.ofType("AWS::Lambda::Permission") {
		if show(r.property("Action")) != "lambda:InvokeFunction" {
			tell(r.Node, "%s allows more than to invoke", r.ID)
		}
		if !strings.HasSuffix(show(r.property("Principal")), ".amazonaws.com") {
			tell(r.Node, "%s must be for one service", r.ID)
		}
		if !strings.HasSuffix(show(r.property("FunctionName")), "Alias}") {
			tell(r.Node, "%s must be on an alias", r.ID)
		}
		source := show(r.property("SourceArn"))
		route := strings.HasPrefix(source,
			"arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${ApprovalApi}/*/") &&
			strings.Count(source, "*") == 1
		rule := strings.HasPrefix(source, "${") && strings.HasSuffix(source, "Rule.Arn}")
		if !route && !rule {
			tell(r.Node, "%s must name its route or rule, not %q", r.ID, source)
		}
	}
}

func addresses(t *Template, tell say) {
	for _, r := range t.ofType("AWS::Lambda::Url") {
		tell(r.Node, "%s makes a function public", r.ID)
	}
}

func versions(t *Template, tell say) {
	for _, f := range lambdas.All() {
		v, ok := t.resource(f.ID + "Version")
		if !ok || v.Type != "AWS::Lambda::Version" || show(v.property("FunctionName")) != "${"+f.ID+"Function}" {
			tell(v.Node, "%sFunction must be published as %sVersion", f.ID, f.ID)
			continue
		}
		if !only(v.property("CodeSha256"), "HasArtifactSha256", "${ArtifactSha256}", "${AWS::NoValue}") {
			tell(v.Node, "%s must take ArtifactSha256", v.ID)
		}
		if !mentions(v.property("Description"), "ReleaseId") || !mentions(v.property("Description"), "ArtifactKey") {
			tell(v.Node, "%s must change with ReleaseId and ArtifactKey", v.ID)
		}
		function, _ := t.resource(f.ID + "Function")
		for _, variable := range pairs(function.property("Environment", "Variables")) {
			p := strings.Trim(show(variable.value), "${}")
			if child(child(t.root, "Parameters"), p) != nil &&
				!slices.Contains([]string{"CrossAccountExternalId", "OrganizationReaderRoleArn", "PreviousLinkKeyArn",
					"PreviousDecisionKeyArn"}, p) && !mentions(v.property("Description"), p) {
				tell(v.Node, "%s does not change with %s, which its function reads", v.ID, p)
			}
		}
	}
	for _, r := range t.ofType("AWS::Lambda::Alias") {
		if !strings.HasSuffix(show(r.property("FunctionVersion")), "Version.Version}") {
			tell(r.Node, "%s must mean a published version", r.ID)
		}
	}
}

// obeying are the functions that hold every run to what the hub demands.
func obeying() []string { return []string{"Inventory", "ApprovalRequest", "Send"} }

func demands(t *Template, tell say) {
	for _, want := range []struct{ parameter, variable, fallback string }{
		{"MinimumApproval", "MINIMUM_APPROVAL", "once"}, {"MinimumDistinct", "MINIMUM_DISTINCT", "1"}, {"MaxInstances",
			"MAX_INSTANCES", "0"},
	} {
		p := child(child(t.root, "Parameters"), want.parameter)
		if show(child(p, "Default")) != want.fallback {
			tell(p, "the default of %s must be %s", want.parameter, want.fallback)
		}
		for _, stem := range obeying() {
			f, _ := t.resource(stem + "Function")
			if show(f.property("Environment", "Variables", want.variable)) != "${"+want.parameter+"}" {
				tell(f.Node, "%s must be given %s as %s", f.ID, want.parameter, want.variable)
			}
			v, _ := t.resource(stem + "Version")
			if !mentions(v.property("Description"), want.parameter) {
				tell(v.Node, "%s does not change with %s, which its function obeys", v.ID, want.parameter)
			}
		}
	}
}

func artifacts(t *Template, tell say) {
	for _, r := range t.ofType("AWS::Lambda::Function") {
		if show(r.property("Code", "S3Bucket")) != "${ArtifactBucket}" ||
			show(r.property("Code", "S3Key")) != "${ArtifactKey}" ||
			!only(r.property("Code", "S3ObjectVersion"), "HasArtifactObjectVersion", "${ArtifactObjectVersion}",
				"${AWS::NoValue}") {
			tell(r.Node, "the code of %s must be the artifact, with its object version", r.ID)
		}
	}
}
