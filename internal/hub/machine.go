package hub

import (
	"fmt"
	"regexp"
	"strings"
)

// Machine is the state machine of a hub, taken from its ARN or from that of one
// of its executions.
type Machine struct {
	ARN       string
	Partition string
	Region    string
	Account   string
	Name      string
}

// The names are those that Plan takes and that CloudFormation can give.
var arns = regexp.MustCompile(`^arn:(aws[a-z-]{0,20}):states:([a-z0-9-]{1,40}):([0-9]{12}):(stateMachine|execution):([A-Za-z0-9_-]{1,80})(?::([A-Za-z0-9_-]{1,80}))?$`)

// runs is the name of an execution.
var runs = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// ParseMachine reads the ARN of a state machine.
func ParseMachine(arn string) (Machine, error) {
	m := arns.FindStringSubmatch(arn)
	if m == nil || m[4] != "stateMachine" || m[6] != "" {
		return Machine{},
			fmt.Errorf("%q is not the ARN of a state machine, as "+
				"arn:aws:states:us-east-1:111122223333:stateMachine:ec2patch-orchestrator", arn)
	}
	return Machine{ARN: arn, Partition: m[1], Region: m[2], Account: m[3], Name: m[5]}, nil
}

// ParseExecution reads the ARN of a run's execution.
func ParseExecution(arn string) (Machine, string, error) {
	m := arns.FindStringSubmatch(arn)
	if m == nil || m[4] != "execution" || m[6] == "" {
		return Machine{}, "", fmt.Errorf("%q is not the ARN of an execution", arn)
	}
	machine, err := ParseMachine(fmt.Sprintf("arn:%s:states:%s:%s:stateMachine:%s", m[1], m[2], m[3], m[5]))
	return machine, m[6], err
}

// IsRun tells whether a text can be the name of a run.
func IsRun(name string) bool { return runs.MatchString(name) }

// Execution is the ARN of a run's execution.
func (m Machine) Execution(run string) string {
	return fmt.Sprintf("arn:%s:states:%s:%s:execution:%s:%s", m.Partition, m.Region, m.Account, m.Name, run)
}

// Console is the page of a run in AWS's console; empty where the partition's
// console is not known.
func (m Machine) Console(run string) string {
	host := map[string]string{"aws": "console.aws.amazon.com", "aws-us-gov": "console.amazonaws-us-gov.com",
		"aws-cn": "console.amazonaws.cn"}[m.Partition]
	if host == "" {
		return ""
	}
	if m.Partition == "aws" {
		host = m.Region + "." + host
	}
	return fmt.Sprintf("https://%s/states/home?region=%s#/v2/executions/details/%s", host, m.Region, m.Execution(run))
}

// Target is the ARN of the hub's machine of one account and region.
func (m Machine) Target() string { return strings.TrimSuffix(m.ARN, m.Name) + m.Prefix() + "-target" }

// Prefix is the hub's NamePrefix, as its machine's name tells it.
func (m Machine) Prefix() string { return strings.TrimSuffix(m.Name, "-orchestrator") }
