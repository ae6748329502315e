// Package store is what outlives a step: the rows that the handlers share, the keys of rows and objects, the audit
// chain, and the table and bucket as interfaces.
package store
