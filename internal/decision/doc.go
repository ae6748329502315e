// Package decision is an approval as it is recorded: its row, the decisions on it, what their MACs cover, and what they
// come to. Whoever sends, judges or reports believes a decision by its MAC alone.
package decision
