package patch

// Task is a step of a function, as the state machine names it in the payload.
type Task string

// The tasks.
const (
	TaskPlan     Task = "plan"
	TaskDiscover Task = "discover"
	TaskFreeze   Task = "freeze"

	TaskSeal    Task = "seal"
	TaskRequest Task = "request"
	TaskSettle  Task = "settle"

	TaskVerify  Task = "verify"
	TaskRollUp  Task = "rollup"
	TaskJudge   Task = "judge"
	TaskReport  Task = "report"
	TaskClose   Task = "close"
	TaskRebuild Task = "rebuild"
)

// Next is what the state machine does after a step, by the step's answer.
type Next string

// Where it goes. A target sends, waits, verifies and is done; after the judge it waits, goes to the next wave, asks or
// stops; a report goes on until it is done.
const (
	NextSend   Next = "send"
	NextWait   Next = "wait"
	NextVerify Next = "verify"
	NextDone   Next = "done"
	NextWave   Next = "next"
	NextAsk    Next = "ask"
	NextStop   Next = "stop"
	NextReport Next = "report"
)

// Then is what follows an approval.
type Then string

// Where the state machine goes on.
const (
	ThenPatch Then = "patch"
	ThenJudge Then = "judge"
)

// Phase is what a run is at, as a person names it.
type Phase string

// The phases.
const (
	PhasePlanning    Phase = "planning"
	PhaseDiscovering Phase = "looking at the accounts"
	PhaseWaiting     Phase = "waiting for approval"
	PhasePatching    Phase = "patching"
	PhaseSoaking     Phase = "soaking"
	PhasePausing     Phase = "pause"
	PhaseJudging     Phase = "judging"
	PhaseReporting   Phase = "reporting"
	PhaseDone        Phase = "done"
)
