// Package operator speaks POST /operator of a hub: it asks how a run stands, and
// approves, rejects and aborts in the name of an IAM identity. docs/approval.md
// describes the two sides of it.
package operator
