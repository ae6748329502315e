package cli

import (
	"io"
	"strings"
)

// pipeWidth is the width of text that goes to no terminal.
const pipeWidth = 100

// width is how many columns text for a stream may have.
func (a *app) width(w io.Writer) int {
	if width, ok := a.Terminal(w); ok {
		return width
	}
	return pipeWidth
}

// colour tells whether a stream takes colours. CLICOLOR_FORCE=1 wins over the
// stream, everything that says no wins over CLICOLOR_FORCE.
func (a *app) colour(w io.Writer) bool {
	if a.noColour || a.env["NO_COLOR"] != "" {
		return false
	}
	if a.env["CLICOLOR_FORCE"] == "1" {
		return true
	}
	_, ok := a.Terminal(w)
	return ok && a.env["TERM"] != "dumb"
}

// unicode tells whether the locale can show more than ASCII.
func (a *app) unicode() bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := a.env[k]; v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}
