package runinput

import (
	"fmt"
	"strconv"

	"ec2patch/internal/patch"
)

// runShape is the whole run input: every field, its limits and its default.
// $schema is for editors and ignored.
func runShape(d Defaults) shape {
	wave := waveShape(d)
	waves := list(wave, 1, MaxWaves, "waves", "split the run; the history of one execution holds no more")
	return object(
		field{name: "$schema", shape: text(schemaPattern, "not the address of a schema",
			"leave it out, or name the schema file"),
			doc: "For editors; ignored."},
		field{name: "runKey", shape: text(runKeyPattern, "not a run key",
			fmt.Sprintf("use at most %d letters, digits, -, _ and :, or at most %d of them and <aws.scheduler.scheduled-time> "+
				"at the end", MaxRunKeyLength, MaxRunKeyLength-placedLength)),
			doc: "A name of your own for what this run is about, as 2026-12-patch. It keeps a second run with the same one out: see below.", def: `""`},
		field{name: "requestedBy", shape: text(requestedByPattern, "not a name to show",
			fmt.Sprintf("write one line of at most %d characters, %s", MaxRequestedByLength, noControls)),
			doc: "Who asked for the run; shown to the approvers.", def: `""`},
		field{name: "reason", shape: text(reasonPattern, "not a reason to show",
			fmt.Sprintf("write one line of at most %d characters, %s", MaxReasonLength, noControls)),
			doc: "Why; shown to the approvers.", def: `""`},
		field{name: "waves", shape: waves, only: wavesForm,
			doc: "The waves in their order. Required, unless another form is used.", required: true},
		field{name: "accountWaves", shape: waves, only: wavesForm, doc: "Another name for waves."},
		field{name: "wavePauseSeconds", shape: integer(0, MaxWavePauseSeconds, "seconds"),
			doc: "Pause after each wave but the last.", def: strconv.Itoa(DefaultWavePauseSeconds)},
		field{name: "abortOnIssues", shape: flag(), doc: "One failure in a wave ends the run after that wave.", def: "false"},
		field{name: "approval", shape: oneOf(string(ApproveOnce), string(ApprovePerWave), string(ApproveNone)),
			doc: "When people are asked: for the whole plan, before each wave, or never. Only asked if some wave installs. " +
				"The hub may demand more.", def: strconv.Quote(string(DefaultApproval))},
		field{name: "approvalRequired", shape: flag(),
			doc: "false is approval none, true is approval once. Not together with approval."},
		field{name: "approvalTimeoutSeconds", shape: integer(MinApprovalTimeoutSeconds, MaxApprovalTimeoutSeconds, "seconds"),
			doc: "How long an approval is waited for.", def: strconv.Itoa(d.ApprovalTimeoutSeconds)},
		field{name: "requireDistinct", shape: integer(1, MaxRequireDistinct, "people"),
			doc: "How many different people must approve. The hub may demand more.",
			def: strconv.Itoa(DefaultRequireDistinct)},
		field{name: "dryRun", shape: flag(),
			doc: "Every wave scans and reboots nothing, whatever the waves say. The scan does run on the instances.",
			def: "false"},
		field{name: "onUnreachable", shape: oneOf(UnreachableContinue, UnreachableStop),
			doc: "What an account that cannot be reached does to the run.", def: strconv.Quote(DefaultOnUnreachable)},
		field{name: "budget", doc: "How much of the whole run may fail.", shape: object(
			field{name: "maxFailedInstances", shape: tolerated(), doc: "Planned instances of the run that may fail.",
				def: percent(DefaultFailedInstancesPercent)},
		)},
		field{name: "guards", doc: "They refuse a plan that is larger than anybody meant.", shape: object(
			field{name: "maxInstances", shape: integer(0, MaxGuardInstances, "instances"),
				doc: "Most instances in a plan; 0 sets no limit.", def: strconv.Itoa(DefaultGuardInstances)},
			field{name: "maxShare", shape: concurrency(),
				doc: "Most of the managed instances of the run's accounts and regions that a plan may hold.",
				def: percent(DefaultGuardPercent)},
			field{name: "maxGrowth", shape: tolerated(), doc: "Most by which a plan may exceed the last one of the same waves.",
				def: percent(DefaultGuardPercent)},
		)},
		field{name: "resume", shape: text(resumePattern, "not a run's name",
			fmt.Sprintf("use the name of an execution: at most %d letters, digits, - and _", patch.MaxRunIDLength)),
			doc: "The run to go on from: what it patched is left out.", def: `""`},
		field{name: "waveId", only: flatForm, shape: waveName(), doc: "Flat form: the wave's name.", def: `"wave-1"`},
		field{name: "accounts", only: flatForm, shape: accounts(), doc: "Flat form: the wave's accounts."},
		field{name: "regions", only: flatForm, shape: regions(), doc: "Flat form: the wave's regions."},
		field{name: "tagFilters", only: flatForm, doc: "Flat form: one value for each tag key; {} is every instance.",
			shape: mapOf(tagKey(), tagValue(), MaxTagKeys, "tag keys", "an instance is matched by few tags; use fewer"), def: `{"PatchGroup":"default"}`},
		field{name: "instanceIds", only: flatForm, shape: instanceIDs(),
			doc: "Flat form: these instances, whatever their tags."},
		field{name: "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID", shape: text(startedByPattern, "not an execution",
			fmt.Sprintf("leave it out, or give the ARN of an execution: at most %d characters, %s", MaxStartedByLength,
				noControls)),
			doc: "Step Functions adds it where another state machine starts the run; kept as startedBy.", def: `""`},
		field{name: "warnings", doc: "What a stored input was warned of. Ignored, and found anew.", def: "[]",
			shape: warnings()},
	)
}

// waveShape is one wave.
func waveShape(d Defaults) shape {
	wave := object(
		field{name: "name", shape: waveName(), doc: "Unique in the run, upper and lower case alike.", def: `"wave-1", "wave-2", ...`},
		field{name: "accounts", shape: accounts(), doc: "Account ids. At least one account or organizational unit.",
			def: "[]"},
		field{name: "organizationalUnits", doc: "Organizational units or roots; every active account below them.", def: "[]",
			shape: list(unit(), 0, MaxUnitsPerWave, "organizational units in a wave", "name a unit above them")},
		field{name: "regions", shape: regions(), doc: "Regions; all regions of a run are in one partition.", required: true},
		field{name: "filters", shape: filtersShape(), doc: "Which instances. Values under one tag key are OR, keys are AND."},
		field{name: "ssm", shape: ssmShape(d), doc: "How the commands run in each account and region."},
		field{name: "maxConcurrentAccounts", shape: integer(1, MaxConcurrentAccountsLimit, "accounts"),
			doc: "Accounts of the wave at the same time.", def: strconv.Itoa(d.MaxConcurrentAccounts)},
		field{name: "commandTimeoutSeconds", shape: integer(MinCommandTimeoutSeconds, MaxCommandTimeoutSeconds, "seconds"),
			doc: "How long a command may take. Above 7200 the input is warned: the document bounds its own steps.",
			def: strconv.Itoa(d.CommandTimeoutSeconds)},
		field{name: "budget", doc: "How much of the wave may fail.", shape: object(
			field{name: "maxFailedInstances", shape: tolerated(), doc: "Planned instances of the wave that may fail.",
				def: percent(DefaultFailedInstancesPercent)},
			field{name: "maxFailedAccounts", shape: tolerated(),
				doc: "Accounts of the wave that may fail: over perAccount, or held back by maxErrors.",
				def: percent(DefaultFailedAccountsPercent)},
			field{name: "perAccount", shape: tolerated(), doc: "Planned instances of one account that may fail.",
				def: percent(DefaultFailedInstancesPercent)},
		)},
		field{name: "healthGate", doc: "What must be well during and after the wave, before the next one.", shape: object(
			field{name: "alarms", doc: "ARNs of CloudWatch alarms that must stay OK, from the first send to the end of the " +
				"soak.", def: "[]",
				shape: list(text(alarmPattern, "not the ARN of a CloudWatch alarm", `write it as "arn:aws:cloudwatch:us-east-1:111111111111:alarm:name"`),
					0, MaxAlarms, "alarms in a health gate", "use a composite alarm; one CloudWatch call takes 100")},
			field{name: "soakSeconds", shape: integer(0, MaxSoakSeconds, "seconds"), doc: "How long they are watched.",
				def: strconv.Itoa(DefaultSoakSeconds)},
		)},
		field{name: "slowStart", shape: flag(), def: "true in the first wave, else false",
			doc: "Each account and region begins with a tenth of its concurrency, at least 1, and goes on with four times " +
				"what has ended well."},
		field{name: "allowEmpty", shape: flag(), doc: "The wave may match nothing; else that makes the run Incomplete.",
			def: "false"},
	)
	wave.oneFilled = []string{"accounts", "organizationalUnits"}
	return named("wave", wave)
}

func filtersShape() shape {
	values := list(tagValue(), 1, MaxTagValues, "values under one tag key",
		"one EC2 call takes 200; use another tag, or more waves")
	return object(
		field{name: "tags", shape: mapOf(tagKey(), values, MaxTagKeys, "tag keys",
			"an instance is matched by few tags; use fewer"),
			doc: "Tag keys and the values wanted; {} is every instance.", def: fmt.Sprintf(`{%q: [%q]}`, DefaultTagKey, DefaultTagValue)},
		field{name: "platforms", shape: list(oneOf(string(patch.Linux), string(patch.Windows), string(patch.MacOS)), 1, 3,
			"platforms", "there are three"),
			doc: "As Systems Manager names them.", def: `["Linux", "Windows"]`},
		field{name: "instanceIds", shape: instanceIDs(),
			doc: "These instances and no others; they replace the tags, which then count as {}.", def: "[]"},
	)
}

func ssmShape(d Defaults) shape {
	return object(
		field{name: "maxConcurrency", shape: concurrency(), doc: "Instances at the same time.",
			def: strconv.Quote(d.MaxConcurrency.String())},
		field{name: "maxErrors", shape: tolerated(),
			doc: "Commands of an account and region that may fail or time out; above that it gets no more.",
			def: strconv.Quote(d.MaxErrors.String())},
		field{name: "operation", shape: oneOf(string(patch.Install), string(patch.Scan)),
			doc: "Install patches, or only look for them.", def: strconv.Quote(string(patch.Install))},
		field{name: "rebootOption", shape: oneOf(string(patch.RebootIfNeeded), string(patch.NoReboot)),
			doc: "What follows an installation. A scan never reboots: with operation Scan this is NoReboot.",
			def: strconv.Quote(string(patch.RebootIfNeeded))},
	)
}
