// Package task is the handler of PostEC2Verify, whose steps live in four packages.
package task
