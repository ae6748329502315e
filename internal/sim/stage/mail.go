package stage

import (
	"net/url"
	"strings"
)

// Link finds the one line of a mail that is a link.
func Link(body string) (*url.URL, bool) {
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "https://") {
			continue
		}
		u, err := url.Parse(line)
		return u, err == nil
	}
	return nil, false
}
