// Package outcome decides what became of an instance: the evidence of its command, its patch state and its health, the
// one outcome that follows, whether that counts as good, and the reason in words.
package outcome
