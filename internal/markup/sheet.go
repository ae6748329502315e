package markup

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"strings"
)

// base is what all pages share: colours, type, sections, tables, chips, the dark mode and print.
//
//go:embed base.css
var base string

// Sheet is a style sheet that is part of the program.
type Sheet struct {
	css string
	err error
}

// NewSheet is the shared style with a page's own after it, so that the page's wins. Only go:embed fills an embed.FS:
// what it holds was there when the program was built.
func NewSheet(files embed.FS, name string) Sheet {
	own, err := files.ReadFile(name)
	return Sheet{css: base + string(own), err: err}
}

// Element is the element style.
func (s Sheet) Element() Part {
	return lazy(func(w *writer) {
		if s.err != nil || strings.Contains(s.css, "</") {
			w.refuse("a style sheet that is missing or would end its element: %v", s.err)
			return
		}
		w.raw("<style>")
		w.put(s.css)
		w.raw("</style>")
	})
}

// Source is what a content security policy calls this style sheet: a quoted
// SHA-256 digest. Source: Content Security Policy Level 3, 2.3.1, hash-source.
func (s Sheet) Source() string {
	sum := sha256.Sum256([]byte(s.css))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
