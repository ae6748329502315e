// Package iam judges API calls by IAM policies as AWS would, on this machine: explicit denies, identity, session and
// boundary policies, resource policies with their principals (trust policies, key policies, bucket policies),
// conditions, wildcards and policy variables.
//
// It is stricter than AWS. An action, element, operator or condition key that it does not know is an error when a
// policy is parsed and a refusal when a call is judged, never a pass. So is a statement that can never apply: an
// action on resources that it does not have, a condition key that it does not set.
//
// Not handled: service control policies, KMS grants, access points, ACLs, NotPrincipal, Version 2008-10-17, default
// values of policy variables. A * at the end of a segment of an ARN stays in its segment; AWS lets it run on, which
// makes no difference for ARNs of six segments.
package iam
