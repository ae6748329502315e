package store

import (
	"context"
	"io"
)

// MaxLoad is how many rows Table.Load takes.
const MaxLoad = 100

// Scan reads all rows of a partition whose sort keys start with prefix, in order.
func Scan[T any](ctx context.Context, table Table, pk, prefix string) ([]T, error) {
	var all []T
	err := table.Scan(ctx, pk, prefix, func(_ string, decode func(any) error) error {
		var row T
		err := decode(&row)
		all = append(all, row)
		return err
	})
	return all, err
}

// Table is the state table, with the audit table beside it. Reads are consistent.
type Table interface {
	// Load reads rows in one call; a row that does not exist leaves its Into
	// untouched and sets Found to false. At most 100 rows.
	Load(ctx context.Context, rows ...*Row) error
	// Scan calls each for every row of a partition whose sort key starts with
	// prefix, in order.
	Scan(ctx context.Context, pk, prefix string, each func(sk string, decode func(into any) error) error) error
	// Write carries out all writes or none. A write whose condition does not hold fails with patch.ErrConflict.
	Write(ctx context.Context, writes ...Write) error
	// LastAudit finds the end of an audit chain.
	LastAudit(ctx context.Context, chain string) (ChainHead, error)
}

// Row is one row to be read.
type Row struct {
	Key   Key
	Into  any
	Found bool
}

// Write is one change of the state table or the audit table.
type Write struct {
	Key  Key
	How  How
	Item any            // for Create, Replace, Put and Audit
	Was  int            // for Replace: the version that was read
	Add  map[string]int // for Add

	Field string // for Require: the field that is looked at
	Value string // for Require: what it must be; empty: it must be missing
}

// How says what a write does and under which condition.
type How int

// The ways of writing.
const (
	Create  How = iota // the row must not exist
	Replace            // the row must still have version Was
	Put                // whatever is there
	Add                // add to counters; the row may be missing
	Delete             // the row may be missing
	Audit              // as Create, in the audit table
	// nothing is written: the row's Field must be Value, or missing. A row that is not there has no fields
	Require
)

// Objects is the data bucket.
type Objects interface {
	Store(ctx context.Context, key, contentType string, data []byte) error
	// Create writes an object that is never written again; created is false if
	// there was one, which stays as it is.
	Create(ctx context.Context, key, contentType string, data []byte) (created bool, err error)
	// Fetch reads an object; found is false if there is none.
	Fetch(ctx context.Context, key string) (data []byte, found bool, err error)
}

// Archive is the data bucket, large objects included.
type Archive interface {
	Objects
	// Begin starts an object that is written piece by piece. It appears as a whole
	// when it is closed; one that is never closed changes nothing.
	Begin(ctx context.Context, key, contentType string) io.WriteCloser
}
