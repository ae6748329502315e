package port

import (
	"context"
	"time"

	"ec2patch/internal/doubt"
	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

// PlatformOf is what SSM says of an instance, or EC2 where SSM does not know it.
func PlatformOf(m Machine, agents map[patch.InstanceID]Agent) patch.Platform {
	if a, managed := agents[m.ID]; managed {
		return a.Platform
	}
	if m.Windows {
		return patch.Windows
	}
	return patch.Linux
}

// MaxSubject keeps a subject below SNS's limit of 100 characters.
const MaxSubject = 99

// Clock tells the time.
type Clock func() time.Time

// Machines is EC2 in one account and region.
type Machines interface {
	// Matching lists the instances that a filter selects, terminated ones aside.
	Matching(ctx context.Context, f runinput.Filters) ([]Machine, error)
	// Machines describes the instances that still exist.
	Machines(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]Machine, error)
	// Statuses reads EC2's status checks.
	Statuses(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]Checks, error)
}

// Machine is one instance as EC2 sees it.
type Machine struct {
	ID      patch.InstanceID
	State   string    // pending, running, stopping, stopped, shutting-down, terminated
	Stopped time.Time // since when it is stopped, by EC2; zero if it runs, or EC2 does not say
	Windows bool
	Address string // private IPv4 address of its first network interface, empty if it has none
	Tags    map[string]string
}

// Checks are EC2's status checks of one instance.
type Checks struct {
	Impaired, Settling bool
	Since              time.Time // since when it is impaired; zero if EC2 does not say
}

// Agents is SSM's view of instances in one account and region.
type Agents interface {
	Agents(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]Agent, error)
	// Hybrids lists the nodes that are registered by an activation.
	Hybrids(ctx context.Context) (map[patch.InstanceID]Agent, error)
	// Tagged lists which nodes a filter's tags select, by the tags that Systems Manager has of them.
	Tagged(ctx context.Context, tags map[string][]string) (map[patch.InstanceID]bool, error)
	PatchStates(ctx context.Context, ids []patch.InstanceID) (map[patch.InstanceID]outcome.PatchState, error)
	// Patches lists the patches of one instance by name.
	Patches(ctx context.Context, id patch.InstanceID) (outcome.NamedList, error)
}

// Agent is one managed instance.
type Agent struct {
	Platform patch.Platform
	System   string // the operating system's own name, such as "Amazon Linux"
	Release  string // its version, as the system says it
	Address  string // IP address, as the agent tells it
	Name     string // of the computer
	Version  string
	Online   bool
	LastPing time.Time
}

// Commands reads commands in one account and region. Each of ours has one instance.
type Commands interface {
	// Executing lists the commands that were requested since and are shown as not ended. Run Command is eventually
	// consistent: one that is missing need not have ended, and only its invocation tells.
	Executing(ctx context.Context, since time.Time) (map[patch.CommandID]bool, error)
	// Invocation reads what a command does on its instance; found is false while SSM does not list it.
	Invocation(ctx context.Context, id patch.CommandID) (v outcome.Invocation, found bool, err error)
	// Marked lists the commands that were requested since and whose comment starts with one of the markers, by comment.
	Marked(ctx context.Context, markers []string, since time.Time) (map[string]Accepted, error)
	// Output is the end of what the command printed on an instance, at most limit characters.
	Output(ctx context.Context, id patch.CommandID, instance patch.InstanceID, platform patch.Platform,
		limit int) (string, error)
	// Began tells whether the agent has begun to work on the command.
	Began(ctx context.Context, id patch.CommandID, instance patch.InstanceID, platform patch.Platform) (bool, error)
	// Cancel asks SSM to stop the command on its instance. It is best effort: SSM refuses it for a machine that is
	// gone or whose agent is down, and whatever it answers, only the invocation tells what became of the command.
	Cancel(ctx context.Context, id patch.CommandID, instance patch.InstanceID) error
}

// Accepted is a command that SSM lists.
type Accepted struct {
	ID patch.CommandID
	At time.Time // when it was requested, by SSM's clock
}

// Spoke is one account and region, seen through its role.
type Spoke interface {
	Machines
	Agents
	Commands
}

// Spokes opens sessions in spoke accounts.
type Spokes interface {
	Spoke(ctx context.Context, t patch.Target) (Spoke, error)
}

// SessionInstances is how many instances a sending session can name: its policy may have 2,048 characters, and names
// each instance by its ARN, in the region and the partition with the longest names, too. Source: STS AssumeRole Policy,
// read 2026-11.
const SessionInstances = 24

// Sender opens sessions that can do nothing but send the one kind of command that there is to the instances named, at
// most SessionInstances. Whatever its error: nothing was sent.
type Sender interface {
	Session(ctx context.Context, t patch.Target, ids []patch.InstanceID) (Session, error)
}

// Session sends commands. It tries each exactly once.
//
// Errors of kind patch.ErrThrottled, ErrAccessDenied, ErrInvalidInstance and
// ErrRefusedCommand are definite: nothing was sent. After any other error nobody knows.
type Session interface {
	Send(ctx context.Context, c Command) (patch.CommandID, error)
}

// Command is what is sent, to one instance.
type Command struct {
	Instance        patch.InstanceID
	Operation       patch.Operation
	RebootOption    patch.RebootOption
	SnapshotID      string
	Marker          string
	DeliverySeconds int // how long SSM may try to deliver it
}

// Alarms reads CloudWatch alarms, in the hub or a spoke, by ARN.
type Alarms interface {
	// States reads every alarm, in the order of the ARNs. One that nobody lets us see is
	// unreadable; an error means that asking again may help.
	States(ctx context.Context, run patch.RunID, arns []string) ([]doubt.AlarmState, error)
}

// Mail sends plain text to the subscribers of a topic.
type Mail interface {
	Send(ctx context.Context, subject, body string) error
}

// Audience tells whether anybody gets the mail of a topic.
type Audience interface {
	// Listeners counts the subscribers who confirmed.
	Listeners(ctx context.Context) (int, error)
}

// Signer makes and checks MACs with a key that never leaves KMS.
type Signer interface {
	MAC(ctx context.Context, message []byte) ([]byte, error)
}

// Verifier checks MACs. A wrong one is false without an error; an error means that nobody knows.
type Verifier interface {
	Check(ctx context.Context, message, mac []byte) (bool, error)
}

// Waiter ends a waiting task of the state machine.
type Waiter interface {
	// Release answers the task token. gone is true if nobody waits for it any more.
	Release(ctx context.Context, token string, output []byte) (gone bool, err error)
}

// Runs reads executions of the state machine.
type Runs interface {
	// Running tells whether the execution goes on. One that is not known any more does not.
	Running(ctx context.Context, executionARN string) (bool, error)
	// Ended tells how an execution ended: FAILED, TIMED_OUT, ABORTED or SUCCEEDED.
	// The status is empty for one that is not known any more.
	Ended(ctx context.Context, executionARN string) (status string, running bool, err error)
}

// Organization tells which accounts AWS Organizations has below a unit.
type Organization interface {
	// Below lists the accounts below each unit or root, at any depth. An error of
	// kind patch.ErrAccessDenied means that the organization lets nobody read.
	Below(ctx context.Context, run patch.RunID, units []string) (map[string]Unit, error)
}

// Unit is an organizational unit, with all below it, or a root.
type Unit struct {
	Members []Member // each account once, by id
	Problem string   // why it cannot be listed, to be read after its id
}

// Member is one account of an organization.
type Member struct {
	Account patch.AccountID
	State   string // ACTIVE, SUSPENDED, PENDING_CLOSURE and others
}

// Metrics takes numbers for CloudWatch. It never fails: a lost number harms nobody.
type Metrics interface {
	Count(name, unit string, value float64, dimensions map[string]string)
}

// Verifiers check with the current key and, after a rotation and while it is
// given, with the previous one. A MAC that neither made costs a check of each.
type Verifiers []Verifier

// Check tells whether any of the keys made the MAC.
func (v Verifiers) Check(ctx context.Context, message, mac []byte) (bool, error) {
	for _, key := range v {
		if ok, err := key.Check(ctx, message, mac); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
