package core

// ShortPages is what Faults may also implement. It tells how many items a page holds where the caller asked
// for size: fewer, or 0 for an empty page with a token.
type ShortPages interface {
	PageSize(c *Call, size int) int
}

// SizeOf is how many items the page of a call holds that asked for size, where left items are still to be told.
//
// Pages are short without any fault, since AWS promises no more than a token while something is left ("you might receive fewer"),
// and since a rehearsal is mostly smaller than a page: a caller that reads the first page only would read all.
// Half of the pages are as long as asked for, the others hold none to all of what is left. A listing takes some more calls, and its end is sure.
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

// PageOf is sizeOf for a listing that knows what is left.
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
