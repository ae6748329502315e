// Package compose makes the report of a run out of its plan, rows and results, slice by slice, closes the run, and
// tells people. A report can be made again at any time, with the same bytes.
package compose
