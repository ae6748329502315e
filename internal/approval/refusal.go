package approval

import (
	"errors"
	"net/http"
)

// refusal is an answer that is the same for everybody who gets it: it does not
// depend on who asks or on what is stored.
type refusal int

const (
	pageDamaged refusal = iota
	pageExpired
	pageRunEnded
	pageAborted
	pageTampered
	pageBusy
	pageForeign
	pageNotForm
	pageTooLarge
	pageBadForm
)

type refusalWords struct {
	status          int
	code            string // the stable name in the answers of /operator
	title, sentence string
}

func (r refusal) words() refusalWords {
	switch r {
	case pageDamaged:
		return refusalWords{http.StatusNotFound, "not_found", "This link does not work",
			"It may have been cut or changed on its way. Open it again from the mail, whole and on one line. Nothing was " +
				"decided."}
	case pageExpired:
		return refusalWords{http.StatusGone, "expired", "The time to decide is over",
			"Nothing can be decided with this link any more. Without an approval nothing is patched."}
	case pageRunEnded:
		return refusalWords{http.StatusGone, "run_ended", "The run has ended",
			"There is nothing left to decide. The report of the run says how it ended."}
	case pageAborted:
		return refusalWords{http.StatusGone, "run_aborted", "The run was aborted",
			"Nothing more is sent, so there is nothing left to decide. The status of the run says who aborted it, and why."}
	case pageTampered:
		return refusalWords{http.StatusConflict, "tampered", "This plan cannot be approved",
			"What is stored about it does not fit together, so nothing can be decided here. Tell the operators of ec2patch: " +
				"they find the reason in the function's log."}
	case pageForeign:
		return refusalWords{http.StatusForbidden, "forbidden", "This form came from elsewhere",
			"A decision is taken only from the page of the link itself. Open the link from the mail and decide there. Nothing " +
				"was decided."}
	case pageNotForm:
		return refusalWords{http.StatusUnsupportedMediaType, "unsupported_media_type", "This is not the form",
			"A decision is taken only as the form of the page sends it. Nothing was decided."}
	case pageTooLarge:
		return refusalWords{http.StatusRequestEntityTooLarge, "too_large", "This is too much",
			"The form was longer than the page's own form can be. Nothing was decided."}
	case pageBadForm:
		return refusalWords{http.StatusBadRequest, "bad_request", "This form is damaged",
			"Open the link from the mail and decide there. Nothing was decided."}
	}
	return refusalWords{http.StatusServiceUnavailable, "unavailable", "Not possible just now",
		"Try again in a minute. If you have just sent a decision, open the link again to see whether it was recorded."}
}

// Error is the stable name of the refusal.
func (r refusal) Error() string { return r.words().code }

func (r refusal) answer() (HTTPResponse, error) {
	w := r.words()
	return render(w.status, pageView{Title: w.title, Tone: "none", Sign: "i", Headline: w.title,
		Text: []string{w.sentence}})
}

func refusalOf(err error) (refusal, bool) { return errors.AsType[refusal](err) }
