// Package follow folds what happens in a run into how the run stands: the history of its execution, which is all that
// one sees of a run on AWS, or what the functions answered, which a rehearsal sees as well.
package follow
