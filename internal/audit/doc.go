// Package audit reads what the audit holds of a run, and says what of it is proven.
package audit
