package runinput

import "ec2patch/internal/patch"

// What stands in a run input where it says nothing. The hub's parameters set
// five of them for every run; these are the parameters' own defaults.
const (
	// DefaultMaxConcurrencyPercent is the share of an account and region's planned instances that patch at the same
	// time.
	DefaultMaxConcurrencyPercent = 10
	// DefaultMaxErrorsPercent is the share of an account and region's planned instances that may fail before its
	// sending stops.
	DefaultMaxErrorsPercent = 1
	// DefaultMaxConcurrentAccounts is how many accounts of a wave are worked on at the same time.
	DefaultMaxConcurrentAccounts = 5
	// DefaultCommandTimeoutSeconds is how long one command may take: two hours.
	DefaultCommandTimeoutSeconds = 7200
	// DefaultApprovalTimeoutSeconds is how long an approval is waited for: four hours.
	DefaultApprovalTimeoutSeconds = 14400

	// DefaultTagKey and DefaultTagValue select instances where a wave has neither tags nor instance ids.
	DefaultTagKey   = "PatchGroup"
	DefaultTagValue = "default"
	// DefaultFailedInstancesPercent is the budget of a run, of a wave and of one account, in planned instances.
	DefaultFailedInstancesPercent = 10
	// DefaultFailedAccountsPercent is the budget of a wave in accounts.
	DefaultFailedAccountsPercent = 25
	// DefaultWavePauseSeconds is the pause after a wave.
	DefaultWavePauseSeconds = 0
	// DefaultSoakSeconds is how long a wave's alarms are watched before the next wave.
	DefaultSoakSeconds = 0
	// DefaultApproval asks once, for the whole plan.
	DefaultApproval = ApproveOnce
	// DefaultRequireDistinct is how many different people must approve.
	DefaultRequireDistinct = 1
	// DefaultOnUnreachable goes on with the other accounts where one cannot be assumed.
	DefaultOnUnreachable = UnreachableContinue
	// DefaultGuardInstances sets no limit on a plan's instances.
	DefaultGuardInstances = 0
	// DefaultGuardPercent lets a plan hold every matched instance, and grow to twice the last one.
	DefaultGuardPercent = 100
)

// What a run does where an account cannot be reached.
const (
	UnreachableContinue = "continue"
	UnreachableStop     = "stop"
)

// The limits of a run input.
const (
	// MaxInputBytes bounds the document, and what it becomes with every default
	// filled in. Step Functions takes 262,144 bytes as the input of an execution
	// and between states; the rest is room for what travels beside the input.
	// Source: Step Functions service quotas, read 2026-11.
	MaxInputBytes = 200 * 1024
	// MaxInputDepth is how deep objects and lists may nest. The deepest valid input needs 6.
	MaxInputDepth = 20
	// MaxWaves keeps the waves of a run in the history of one execution:
	// 25,000 events, of which a wave takes about 18 (ten waves: 180).
	// Source: Step Functions service quotas, read 2026-11.
	MaxWaves = 100
	// MaxAccountsPerWave is what one Distributed Map starts in ten seconds.
	MaxAccountsPerWave = 1000
	// MaxRegionsPerWave keeps the regions of an account in the history of one
	// child execution, half of 25,000 events.
	// Source: Step Functions service quotas, read 2026-11.
	MaxRegionsPerWave = 20
	// MaxUnitsPerWave bounds the organizational units that a plan resolves.
	MaxUnitsPerWave = 100
	// MaxTagKeys bounds the tag keys of a wave's filters; an instance has at most 50 tags.
	MaxTagKeys = 10
	// MaxTagValues bounds the values under one tag key; an EC2 call takes 200 filter values.
	// Source: EC2 DescribeInstances, read 2026-11.
	MaxTagValues = 50
	// MaxTagKeyLength and MaxTagValueLength are EC2's, in characters.
	// Source: EC2 tag restrictions, read 2026-11.
	MaxTagKeyLength   = 128
	MaxTagValueLength = 256
	// MaxInstanceIDs bounds the instances that a wave names one by one; tags take any number.
	MaxInstanceIDs = 1000
	// MaxAlarms is what one CloudWatch DescribeAlarms call takes.
	// Source: CloudWatch API reference, read 2026-11.
	MaxAlarms = 100
	// MaxConcurrentAccountsLimit is MaxAccountsPerWave: more would change nothing.
	MaxConcurrentAccountsLimit = MaxAccountsPerWave
	// MaxGuardInstances bounds guards.maxInstances.
	MaxGuardInstances = 10_000_000
	// MaxWaveNameLength bounds a wave's name, which is part of keys and metrics.
	MaxWaveNameLength = 40
	// MaxRunKeyLength bounds runKey.
	MaxRunKeyLength = 64
	// MaxStartedByLength is more than the ARN of an execution has.
	MaxStartedByLength = 512
	// MaxRequestedByLength and MaxReasonLength keep mails and pages readable, in characters.
	MaxRequestedByLength = 200
	MaxReasonLength      = 1000

	// MinCommandTimeoutSeconds is the shortest time in which a patch scan can end.
	MinCommandTimeoutSeconds = 60
	// MaxCommandTimeoutSeconds keeps one command, its delivery included, below five hours.
	MaxCommandTimeoutSeconds = 16200
	// MinApprovalTimeoutSeconds gives a person the time to read.
	MinApprovalTimeoutSeconds = 60
	// MaxApprovalTimeoutSeconds is a week.
	MaxApprovalTimeoutSeconds = 604800
	// MaxWavePauseSeconds is a week.
	MaxWavePauseSeconds = 604800
	// MaxSoakSeconds is a day.
	MaxSoakSeconds = 86400
	// MaxRequireDistinct is how many different people a run can ask for.
	MaxRequireDistinct = 2
)

// HubDefaults are the defaults that the hub's parameters have when nobody sets
// them: 10 % of the instances at the same time, 1 % errors, 5 accounts, two
// hours a command and four hours an approval.
func HubDefaults() Defaults {
	return Defaults{
		MaxConcurrency:         patch.Threshold{Value: DefaultMaxConcurrencyPercent, Percent: true},
		MaxErrors:              patch.Threshold{Value: DefaultMaxErrorsPercent, Percent: true},
		MaxConcurrentAccounts:  DefaultMaxConcurrentAccounts,
		CommandTimeoutSeconds:  DefaultCommandTimeoutSeconds,
		ApprovalTimeoutSeconds: DefaultApprovalTimeoutSeconds,
	}
}
