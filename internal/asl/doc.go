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
//   - Task (lambda:invoke, lambda:invoke.waitForTaskToken, function ARNs and states:startExecution.sync:2), Pass, Wait,
//     Choice, Succeed, Fail, Parallel, Map inline and distributed with STANDARD children.
//   - InputPath, Parameters, ResultSelector, ResultPath, OutputPath, Assign, ItemSelector, ItemsPath.
//   - Paths with names, indexes (also from the end), lists of both, wildcards, slices, filters (comparisons, &&, ||, !,
//     existence) and descendants (..); the roots $, $$ and $name. All eighteen intrinsic functions.
//   - Retry with jitter and largest delay, Catch, timeouts and heartbeats of tasks, TimeoutSeconds of the execution.
//   - ItemReader s3:getObject of JSON, ResultWriter s3:putObject, tolerated failures, concurrency limits, 100 children
//     started a second, 40 inline iterations at once.
//   - Executions that a task starts and waits for: they stop with it, and a redrive starts new ones.
//   - Redrive of what failed, timed out or was aborted: states, iterations and children that succeeded are not
//     run again.
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
// testdata/conformance has one file a behaviour: a machine, what its functions do, and the outcome, events and
// previous ids that must come of it. A file says what it was compared with:
//
//   - "moto 5.2.1": the outcome is what that interpreter gave, run with the corrections of a test harness that
//     mends its known differences from AWS. It keeps the first and last event out of children's histories;
//     they are added. Where events run side by side only their counts are compared.
//   - "facts": what is known of AWS decides otherwise, and the note says why, with a tag: DG the Step Functions
//     Developer Guide, SPEC the language specification, LS histories recorded on AWS, FL and AT other
//     interpreters' and AWS's own notes on behaviour seen there.
//
// Where sources differ or are silent, the stricter reading is taken as a rule:
//
//   - States.Runtime and the other errors of paths, intrinsics, ResultPath and Choice always fail the execution; no
//     Catch sees them, not even by name. States.DataLimitExceeded is caught by its name alone.
//   - The error output of a timeout has no Cause; that of other errors without one has an empty text.
//   - A Choice without a matching rule and without Default fails with States.Runtime.
//   - A value of another type than a Choice operator's does not match; a path that names nothing fails.
//   - States.Format takes no objects and arrays, States.ArrayRange no negative steps.
//   - A token that is answered before its function has returned is accepted; the task ends when the function returns.
//   - A nested execution that did not succeed is States.TaskFailed with its description as the cause, input and output
//     as values; the answer comes a second after its end. Its start is no transition of its own.
//   - A Map Run that fails exports its results, too: aborted children stand in FAILED, those never started in PENDING.
//
// Not confirmed by any source, and not the stricter reading:
//
//   - $$.Map.Item is seen below a Parallel state inside an iteration; the interpreter compared with fails there.
//   - Lists of names, && and || in filters, and indexes after .. run here; that interpreter refuses them.
//   - An execution whose history is full fails with States.Runtime; the name is a guess.
//   - A redriven state leaves no second Entered event (Fail does) and a redriven iteration no second Started event; a
//     Wait with Seconds waits all of them again; the attempts of a Map state that waited for its retry count as not
//     made.
//   - A Task whose parameters fail leaves TaskFailed, a Map whose ItemsPath fails MapStateFailed: the order of events
//     is that interpreter's.
//
// # Limitations
//
// Objects have no order: outputs list their keys sorted. Time passes only in tasks, waits, retries and between the
// starts of children. Not there: the 10 MiB limit on all variables of an execution, the throttling of state
// transitions and API calls, assignedVariables in history events, the size limit of a definition.
//
// # Why it is wide
//
// It has more files than a package should: loader and engine share one tree of states, whose parts have names that
// nobody outside needs. Parting them would export the whole language twice.
package asl
