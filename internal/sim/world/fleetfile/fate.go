package fleetfile

// Platforms as Systems Manager names them.
const (
	Linux   = "Linux"
	Windows = "Windows"
	MacOS   = "MacOS"
)

// Fate is what becomes of an instance, above all of the patch operation that it is sent.
type Fate string

// Fates of an instance. Those of the first group show before any command.
const (
	// FateOffline runs but its agent is not connected (ConnectionLost).
	FateOffline Fate = "offline"
	// FateStopped is a stopped EC2 instance.
	FateStopped Fate = "stopped"
	// FateUnmanaged runs and never registered with Systems Manager.
	FateUnmanaged Fate = "unmanaged"
	// FateHybrid is a node outside EC2 (mi-...) that Systems Manager alone knows.
	FateHybrid Fate = "hybrid"
	// FateHybridRegistered is a machine of EC2 that is registered as a node outside of EC2 only: EC2 knows it as i-...,
	// Systems Manager as mi-..., with its address and host name.
	FateHybridRegistered Fate = "hybrid-registered"
	// FateStartsLater is stopped and started between ten minutes and an hour after the world began.
	FateStartsLater Fate = "starts-later"
	// FateOldAgent has an agent too old for the document; an invocation fails.
	FateOldAgent Fate = "old-agent"

	// FateOldRecord is FateOK whose patch state record is a month old and knows of nothing missing.
	FateOldRecord Fate = "old-record"
	// FatePatchedSince has nothing missing, and a record that is a month old and says otherwise.
	FatePatchedSince Fate = "patched-since"
	// FatePendingBefore has nothing missing, and a reboot due from before.
	FatePendingBefore Fate = "pending-before"
	// FateRejected is FateOK with a patch installed that the baseline rejects.
	FateRejected Fate = "rejected-patch"

	// FateOK installs what is missing, reboots if told to, and succeeds.
	FateOK Fate = "ok"
	// FateCompliant has nothing missing.
	FateCompliant Fate = "compliant"
	// FateNoRebootNeeded installs patches that need no reboot.
	FateNoRebootNeeded Fate = "no-reboot-needed"
	// FatePendingReboot succeeds but leaves a reboot due, whatever the reboot option says.
	FatePendingReboot Fate = "pending-reboot"
	// FateRebootsAnyway reboots under NoReboot too.
	FateRebootsAnyway Fate = "reboots-anyway"
	// FateDoubleReboot reboots twice.
	FateDoubleReboot Fate = "double-reboot"

	// FatePatchFails ends Failed with exit code 1, one patch FAILED.
	FatePatchFails Fate = "patch-fails"
	// FatePartial ends Success although one patch FAILED.
	FatePartial Fate = "partial"
	// FateNothingInstalled ends Success although everything is still missing.
	FateNothingInstalled Fate = "nothing-installed"
	// FateFailedInstalled ends Failed although everything was installed.
	FateFailedInstalled Fate = "failed-installed"

	// FateFailsEarly ends Failed before it installs anything, without a record (exit code 2, a dependency is missing).
	FateFailsEarly Fate = "fails-early"

	// FateStaleState ends Success and leaves the old patch state record.
	FateStaleState Fate = "stale-state"
	// FateForeignState has its record overwritten by another tool's scan one to ten minutes after the end.
	FateForeignState Fate = "foreign-state"
	// FateNoState never has a patch state record.
	FateNoState Fate = "no-state"
	// FateBadState writes a record of -1 counts and 1970 times.
	FateBadState Fate = "bad-state"

	// FateUndeliverable ends Undeliverable seconds after the send.
	FateUndeliverable Fate = "undeliverable"
	// FateAccessDenied ends AccessDenied on the node.
	FateAccessDenied Fate = "access-denied"
	// FateInvalidPlatform ends InvalidPlatform.
	FateInvalidPlatform Fate = "invalid-platform"
	// FateExecutionTimeout runs into the step's 7,200 seconds.
	FateExecutionTimeout Fate = "execution-timeout"
	// FateHangs stays InProgress until the command expires, its agent Online; half of them ignore a cancel.
	FateHangs Fate = "hangs"

	// FateAgentDies loses its agent in the middle and for ever.
	FateAgentDies Fate = "agent-dies"
	// FateKilled dies of the patch: agent and status checks are lost once patches are installed.
	FateKilled Fate = "killed"
	// FateNoReturn reboots and its agent never comes back.
	FateNoReturn Fate = "no-return"
	// FateSlowReturn comes back from its reboot after ten minutes to six hours.
	FateSlowReturn Fate = "slow-return"
	// FateDiesLater dies ten minutes to four hours after its success.
	FateDiesLater Fate = "dies-later"
	// FateTerminates is terminated while the operation runs.
	FateTerminates Fate = "terminates"
	// FateStops is stopped while the operation runs.
	FateStops Fate = "stops"
	// FateASGReplaced is terminated when it reboots, and its Auto Scaling group launches another with the same tags.
	FateASGReplaced Fate = "asg-replaced"
)

// Fates lists every fate.
func Fates() []Fate {
	return []Fate{
		FateOffline, FateStopped, FateUnmanaged, FateHybrid, FateHybridRegistered, FateStartsLater, FateOldAgent,
		FateOldRecord, FatePatchedSince, FatePendingBefore, FateRejected,
		FateOK, FateCompliant, FateNoRebootNeeded, FatePendingReboot, FateRebootsAnyway, FateDoubleReboot,
		FatePatchFails, FatePartial, FateNothingInstalled, FateFailedInstalled, FateFailsEarly,
		FateStaleState, FateForeignState, FateNoState, FateBadState,
		FateUndeliverable, FateAccessDenied, FateInvalidPlatform, FateExecutionTimeout, FateHangs,
		FateAgentDies, FateKilled, FateNoReturn, FateSlowReturn, FateDiesLater, FateTerminates, FateStops, FateASGReplaced,
	}
}
