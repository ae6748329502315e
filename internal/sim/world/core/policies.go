package core

import (
	"strings"

	"ec2patch/internal/iam"
)

// DeclarePolicy remembers the policy of a resource; nil removes it.
func (w *Core) DeclarePolicy(arn string, p *iam.Policy) {
	if p == nil {
		delete(w.policies, arn)
		return
	}
	w.policies[arn] = p
}

// resourcePolicies are the policies of the keys, buckets, topics and tables that
// a request names. An object is judged by the policy of its bucket.
func (w *Core) resourcePolicies(resources []string) []*iam.Policy {
	var found []*iam.Policy
	for i, arn := range resources {
		p, ok := w.policies[policyHolder(arn)]
		if !ok || heldBefore(resources[:i], policyHolder(arn)) {
			continue
		}
		found = append(found, p)
	}
	return found
}

func heldBefore(resources []string, holder string) bool {
	for _, arn := range resources {
		if policyHolder(arn) == holder {
			return true
		}
	}
	return false
}

// policyHolder is the resource whose policy covers arn.
func policyHolder(arn string) string {
	if strings.Contains(arn, ":s3:::") {
		holder, _, _ := strings.Cut(arn, "/")
		return holder
	}
	return arn
}
