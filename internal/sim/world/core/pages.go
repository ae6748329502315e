package core

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// ShortPages is what Faults may also implement. It tells how many items a page holds where the caller asked
// for size: fewer, or 0 for an empty page with a token.
type ShortPages interface {
	PageSize(c *Call, size int) int
}

// SizeOf is how many items the page of a call holds that asked for size, where left items are still to be told.
//
// Pages are short without any fault, since AWS promises no more than a token while something is left ("you might
// receive fewer"), and since a rehearsal is mostly smaller than a page: a caller that reads the first page only would
// read all. Half of the pages are as long as asked for, the others hold none to all of what is left. A listing takes
// some more calls, and its end is sure.
func (w *Core) SizeOf(c *Call, size, left int) int {
	if f, ok := w.Faults.(ShortPages); ok {
		size = min(max(f.PageSize(c, size), 0), size)
	}
	if w.WholePages {
		return size
	}
	r := w.Rand("pages")
	if r.IntN(2) == 0 {
		return size
	}
	return r.IntN(min(size, left) + 1)
}

// PageOf is SizeOf for a listing that knows what is left.
func (w *Core) PageOf(c *Call, size int) func(left int) int {
	return func(left int) int { return w.SizeOf(c, size, left) }
}

// Some is a page that is never empty while something is left.
func Some(size func(left int) int) func(left int) int {
	return func(left int) int { return max(size(left), 1) }
}

// Unread is how many keys of a batch come back unread besides what the faults leave: none in half of the
// answers, up to a third in the others, so that callers who ask again a few times get everything.
func (w *Core) Unread(keys int) int {
	if w.WholePages {
		return 0
	}
	r := w.Rand("pages")
	if r.IntN(2) == 0 {
		return 0
	}
	return r.IntN(keys/3 + 1)
}

// Page cuts the items from the token's place on; size is told how many are left there. A token belongs to one
// operation.
func Page[T any](operation string, items []T, size func(left int) int, token *string) (cut []T, next *string,
	err error) {
	from := 0
	if token != nil {
		if from, err = Untoken(operation, *token); err != nil {
			return nil, nil, err
		}
	}
	from = min(from, len(items))
	to := min(from+size(len(items)-from), len(items))
	if to < len(items) {
		next = aws.String(TokenOf(operation, to))
	}
	return items[from:to], next, nil
}

// TokenOf is a token for the rest of a list from a place on.
func TokenOf(operation string, at int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(operation + "/" + strconv.Itoa(at)))
}

// Untoken reads a token of TokenOf that belongs to an operation.
func Untoken(operation, token string) (int, error) {
	name, at, ok := OpenToken(token)
	if !ok || name != operation {
		return 0, &ssmtypes.InvalidNextToken{Message: aws.String("The specified token isn't valid.")}
	}
	return at, nil
}

// OpenToken reads a token of TokenOf, whatever it belongs to.
func OpenToken(token string) (name string, at int, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	name, number, cut := strings.Cut(string(raw), "/")
	at, numErr := strconv.Atoi(number)
	return name, at, err == nil && cut && numErr == nil && at >= 0
}
