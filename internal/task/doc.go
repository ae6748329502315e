// Package task is what each Lambda does: one file a task with its input, its
// output and its Handle. It sees AWS only through the small interfaces of
// ports.go and never the SDK.
//
// Every task may be tried again at any point. What a task did is in the state
// table, written under a condition, so a second attempt continues and repeats
// nothing.
package task
