package markup

import (
	"crypto/sha256"
	"encoding/base64"
)

// Sheet is a style sheet that is part of the program.
type Sheet struct{ css constant }

// NewSheet takes a style sheet as a constant.
func NewSheet(css constant) Sheet { return Sheet{css} }

// Element is the element style.
func (s Sheet) Element() Part {
	return lazy(func(w *writer) {
		w.raw("<style>")
		w.raw(s.css)
		w.raw("</style>")
	})
}

// Source is what a content security policy calls this style sheet: a quoted
// SHA-256 digest. Source: Content Security Policy Level 3, 2.3.1, hash-source.
func (s Sheet) Source() string {
	sum := sha256.Sum256([]byte(s.css))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
