// Package cloudformation holds the templates, so that the command line can
// rehearse exactly what would be deployed.
package cloudformation

import _ "embed"

// Hub is hub-cfn.yaml: everything in the hub account, the state machine too.
//
//go:embed hub-cfn.yaml
var Hub []byte

// Spoke is spoke-cfn.yaml: the role in each target account.
//
//go:embed spoke-cfn.yaml
var Spoke []byte

// Reader is organization-reader-cfn.yaml: the role that lists the accounts of
// organizational units.
//
//go:embed organization-reader-cfn.yaml
var Reader []byte
