package patch

import (
	"fmt"
	"regexp"

	"ec2patch/internal/words"
)

// Identifiers that must not be swapped have types of their own.
type (
	// RunID names a run. It is the name of the execution: [A-Za-z0-9_-]{1,80}.
	RunID string
	// AccountID is an AWS account: twelve digits.
	AccountID string
	// Region is an AWS region's name, as "us-east-1".
	Region string
	// InstanceID is an EC2 instance: "i-" and 8 or 17 hex digits.
	InstanceID string
	// CommandID is one SSM Run Command.
	CommandID string
	// Platform is Linux, Windows or MacOS, as SSM's PlatformType spells them.
	Platform string
)

// The platforms that AWS-RunPatchBaseline supports.
const (
	Linux   Platform = "Linux"
	Windows Platform = "Windows"
	MacOS   Platform = "MacOS"
)

// Operation is what AWS-RunPatchBaseline does.
type Operation string

// The operations of AWS-RunPatchBaseline.
const (
	Install Operation = "Install"
	Scan    Operation = "Scan"
)

// RebootOption is what AWS-RunPatchBaseline does after an installation.
type RebootOption string

// The reboot options of AWS-RunPatchBaseline.
const (
	RebootIfNeeded RebootOption = "RebootIfNeeded"
	NoReboot       RebootOption = "NoReboot"
)

// Document is the one SSM document that ec2patch ever sends.
const Document = "AWS-RunPatchBaseline"

// Target is the smallest unit of work of a wave: one account in one region.
type Target struct {
	Run     RunID     `json:"run"`
	Wave    string    `json:"wave"`
	Account AccountID `json:"account"`
	Region  Region    `json:"region"`
}

// MaxRunIDLength is the length of an execution's name, in characters.
// Source: Step Functions StartExecution, read 2026-11.
const MaxRunIDLength = 80

var runIDPattern = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_-]{1,%d}$`, MaxRunIDLength))

// ParseRunID reads the name of an execution.
func ParseRunID(s string) (RunID, error) {
	if !runIDPattern.MatchString(s) {
		return "", fmt.Errorf("%s is not a run's name; use 1 to %d letters, digits, - and _", words.Quoted(s),
			MaxRunIDLength)
	}
	return RunID(s), nil
}
