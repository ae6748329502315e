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
