// Package asl loads and runs state machines written in the Amazon States Language, JSONPath mode, the way AWS Step
// Functions runs them. It knows no AWS, owns no clock, starts no goroutine and reads nothing but what its Host hands
// it: the same machine, input, host answers and seed give the same history, byte for byte.
//
// # Use
//
// ParseJSON or another reader makes a tree of Nodes, which remember their lines. Load checks the tree and returns a
// Machine or all Problems at once. An Engine runs executions of machines; it moves only when one of its methods, or
// a function that it gave to the Host, is called.
//
// # What runs
//
//   - Task (lambda:invoke, lambda:invoke.waitForTaskToken and function ARNs), Pass, Wait, Choice, Succeed, Fail,
//     Parallel, Map inline and distributed with STANDARD children.
//   - InputPath, Parameters, ResultSelector, ResultPath, OutputPath, Assign, ItemSelector, ItemsPath.
//   - Paths with names, indexes (also from the end), lists of both, wildcards, slices, filters (comparisons, &&, ||, !,
//     existence) and descendants (..); the roots $, $$ and $name. All eighteen intrinsic functions.
//   - Retry with jitter and largest delay, Catch, timeouts and heartbeats of tasks, TimeoutSeconds of the execution.
//   - ItemReader s3:getObject of JSON, ResultWriter s3:putObject, tolerated failures, concurrency limits, 100 children
//     started a second, 40 inline iterations at once.
//   - Histories with AWS's event types, order, counts and previous ids; 25,000 events and 256 KiB payloads at most.
//
// # What is refused
//
// Load refuses, with its line, whatever it does not run exactly: JSONata, EXPRESS children, ItemBatcher, other
// readers than JSON objects, WriterConfig, other integrations, Credentials, path functions, null anywhere; and what
// AWS refuses or what can only be a slip: unknown fields, types, functions and error names, numbers or booleans
// given as texts, missing and unreachable states, transitions out of their scope, names that occur twice, variables
// that nobody assigns.
//
// # Where the semantics come from
//
// The language specification and the Step Functions Developer Guide, both read in 2026-11, event orders from
// histories recorded on AWS, and a comparison with a third-party interpreter: testdata/conformance has one file a
// behaviour, and each says what it was compared with. Where sources differ, the stricter reading is taken:
//
//   - States.Runtime and the other errors of paths, intrinsics, ResultPath and Choice always fail the execution; no
//     Catch sees them, not even by name. States.DataLimitExceeded is caught by its name alone.
//   - The error output of a timeout has no Cause.
//   - A Choice without a matching rule and without Default fails with States.Runtime.
//   - A value of another type than a Choice operator's does not match; a path that names nothing fails.
//
// # Limitations
//
// Objects have no order: outputs list their keys sorted. Time passes only in tasks, waits and retries. The 10 MiB
// limit on all variables of an execution, redrive and the assignedVariables of history events are missing.
package asl
