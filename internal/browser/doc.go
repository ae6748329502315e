// Package browser holds no code of the product: its tests open the approval page
// of a rehearsal in a real Chromium, steered over its debugging pipe, and do with
// it what scanners and people do.
package browser
