// Package lambdas lists the hub's functions. It imports nothing, so that the bootstrap, which starts before every one
// of them, stays small.
package lambdas

// Lambda is a function of the hub.
type Lambda struct {
	ID     string // in hub-cfn.yaml: <ID>Function runs in <ID>Role
	Name   string // on AWS, after "<NamePrefix>-"
	Binary string // below cmd/ and in the zip, and the function's Handler
}

// The binaries.
const (
	Inventory        = "inventory"
	SendCommand      = "send-command"
	Poll             = "poll"
	ApprovalRequest  = "approval-request"
	ApprovalCallback = "approval-callback"
	Verify           = "verify"
)

// All are the functions, in the order of a run.
func All() []Lambda {
	return []Lambda{
		{"Inventory", "PreEC2Inventory", Inventory},
		{"Send", "SendSsmCommand", SendCommand},
		{"Poll", "PollSsmCommand", Poll},
		{"ApprovalRequest", "SendApprovalRequest", ApprovalRequest},
		{"ApprovalCallback", "ApprovalCallback", ApprovalCallback},
		{"Verify", "PostEC2Verify", Verify},
	}
}

// Binaries are the names that a Handler may have.
func Binaries() []string {
	var out []string
	for _, l := range All() {
		out = append(out, l.Binary)
	}
	return out
}
