// Package site is an account and region with its hub, made by hand for the tests of the handlers: tables and bucket in
// memory, and a Systems Manager that does what the test says.
package site
