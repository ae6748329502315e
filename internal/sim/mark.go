package sim

import "strings"

// Mark says at the top of a page that it is of a rehearsal. The product does not
// know that it is rehearsed, so whoever hands out a page marks it. The classes are
// those of both pages: the style of neither may be changed, its policy holds it.
func Mark(page string) string {
	return strings.Replace(page, "<body>\n", "<body>\n"+rehearsalBanner, 1)
}

const rehearsalBanner = `<header><p class="status warn alert"><strong>Rehearsal.</strong> <span>AWS is simulated: nothing on this page was patched or will be.</span></p></header>
`
