package approval

import (
	"crypto/subtle"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	"ec2patch/internal/decision"
	"ec2patch/internal/words"
)

// Bounds of what people may send. The page's own form stays far below them.
const (
	maxBody   = 8 << 10
	maxFields = 20
	maxName   = 100 // characters
	maxReason = 500 // characters
)

// decisionForm is a form as it was sent, with the text made harmless.
type decisionForm struct {
	link               link
	decision           decision.Choice
	name, reason, code string
}

// readForm reads the one kind of body that a decision can have. Nothing is
// looked up before all of this holds.
func readForm(r HTTPRequest) (decisionForm, error) {
	if kind, params, err := mime.ParseMediaType(r.Header["content-type"]); err != nil ||
		kind != "application/x-www-form-urlencoded" || !isUTF8(params) {
		return decisionForm{}, pageNotForm
	}
	if len(r.Body) > maxBody {
		return decisionForm{}, pageTooLarge
	}
	if !sameOrigin(r) {
		return decisionForm{}, pageForeign
	}
	body := string(r.Body)
	if strings.Count(body, "&") >= maxFields {
		return decisionForm{}, pageBadForm
	}
	fields, err := url.ParseQuery(body)
	if err != nil {
		return decisionForm{}, pageBadForm
	}
	for _, name := range []string{"a", "c", "decision", "name", "reason", "code"} {
		if len(fields[name]) > 1 {
			return decisionForm{}, pageBadForm
		}
	}
	return newForm(r, fields)
}

// newForm takes the link from the hidden fields or from the address, not from both.
func newForm(r HTTPRequest, fields url.Values) (decisionForm, error) {
	l, ok := linkFrom(r.RawQuery)
	if fields.Has("a") || fields.Has("c") {
		if strings.TrimSpace(r.RawQuery) != "" && ok {
			return decisionForm{}, pageBadForm
		}
		l, ok = newLink(fields.Get("a"), fields.Get("c"))
	}
	if !ok {
		return decisionForm{}, pageDamaged
	}
	return decisionForm{
		link:     l,
		decision: decision.Choice(fields.Get("decision")),
		name:     words.Clean(fields.Get("name")),
		reason:   words.Clean(fields.Get("reason")),
		code:     strings.TrimSpace(fields.Get("code")),
	}, nil
}

func isUTF8(params map[string]string) bool {
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// sameOrigin refuses a form that another site's page sent. A browser always
// says where a form comes from; what is no browser says nothing. The page's
// Referrer-Policy is same-origin, because no-referrer would turn Origin into "null".
func sameOrigin(r HTTPRequest) bool {
	if origin, given := r.Header["origin"]; given && (r.Header["host"] == "" || origin != "https://"+r.Header["host"]) {
		return false
	}
	site, given := r.Header["sec-fetch-site"]
	return !given || site == "same-origin" || site == "none"
}

// check compares the form with the question. What it finds is shown beside the
// form, which keeps what was typed.
func (f decisionForm) check(rec decision.Approval) formView {
	v := formView{Decision: f.decision, Name: f.name, Reason: f.reason, Code: words.Clean(f.code, words.Limit(40))}
	if f.decision != decision.Approve && f.decision != decision.Reject {
		v.Decision = ""
		v.problem("approve", "Choose Approve or Reject.")
	}
	v.problem(checkPerson("name", f.name, maxName, true))
	v.problem(checkPerson("reason", f.reason, maxReason, f.decision == decision.Reject))
	if !sameCode(f.code, rec.Code()) {
		v.problem("code", "This is not the code of this plan. Type the code that stands above its field.")
	}
	return v
}

// checkPerson checks one text of a person's answer.
func checkPerson(field, text string, limit int, required bool) (string, string) {
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && required && field == "reason":
		return field, "Give a reason: a rejection needs one."
	case n == 0 && required:
		return field, "Type your name."
	case n > limit:
		return field, "This " + field + " is too long."
	}
	return "", ""
}

// sameCode compares what was typed with the code, in constant time. The case of
// the letters and spaces do not matter.
func sameCode(typed, code string) bool {
	return subtle.ConstantTimeCompare([]byte(strings.ToLower(strings.Join(strings.Fields(typed), ""))), []byte(code)) == 1
}
