package runinput

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"ec2patch/internal/patch"
)

// shape says which JSON a value must be. The parser and the JSON schema both
// read it, so that they cannot disagree.
type shape struct {
	ref    string // the name under which the schema defines it once; empty where it is used once
	form   form
	what   string // what a text is, or what a list holds: "a 12-digit account id", "accounts in a wave"
	remedy string // what to write instead
	// advise finds a better remedy for a text that people are known to write;
	// adviseNumber the same for a number.
	advise, adviseNumber func(text string) string
	min, max             int // of an integer; of a list's or a map's length
	pattern              *regexp.Regexp
	options              []string // the only texts allowed
	reserved             []string // texts that are not allowed, whatever the pattern says
	fields               []field  // of an object
	items                *shape   // of a list or a map
	keys                 *shape   // of a map
	unique               bool     // of a list: no text twice
	why                  string   // what to do where max is not enough
	// oneFilled names lists of an object; at least one of them has an entry.
	oneFilled []string
}

// form is the kind of JSON that a shape asks for.
type form int

const (
	formText form = iota
	formInteger
	formFlag
	formList
	formObject
	formMap // an object whose keys are the user's
)

// field is a named part of an object.
type field struct {
	name string
	shape
	doc      string
	def      string // the default as JSON, empty where there is none
	required bool
	only     inputForm
}

// inputForm says in which form of the input a field of the top level stands.
type inputForm int

const (
	everyForm inputForm = iota
	wavesForm
	flatForm
)

// The patterns of texts. Each is also a valid ECMAScript pattern, for the schema.
var (
	accountPattern  = regexp.MustCompile(`^[0-9]{12}$`)
	unitPattern     = regexp.MustCompile("^(" + rootID + "|" + unitID + ")$")
	instancePattern = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)
	// Source: SSM SendCommand, MaxConcurrency and MaxErrors: at most 7 characters. Read 2026-11.
	concurrencyPattern = regexp.MustCompile(`^([1-9][0-9]{0,6}|([1-9][0-9]?|100)%)$`)
	toleratedPattern   = regexp.MustCompile(`^((0|[1-9][0-9]{0,6})|(0|[1-9][0-9]?|100)%)$`)
	alarmPattern       = regexp.MustCompile("^arn:aws[a-z-]{0,10}:cloudwatch:[a-z0-9-]{1,30}:[0-9]{12}:alarm:" +
		visible + "{1,255}$")
	runKeyPattern = regexp.MustCompile(fmt.Sprintf(`^([A-Za-z0-9_:-]{0,%d}|[A-Za-z0-9_:-]{0,%d}%s)$`,
		MaxRunKeyLength, MaxRunKeyLength-placedLength, placed))
	resumePattern      = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_-]{0,%d}$`, patch.MaxRunIDLength))
	waveNamePattern    = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9][A-Za-z0-9_-]{0,%d}$`, MaxWaveNameLength-1))
	requestedByPattern = regexp.MustCompile(fmt.Sprintf("^%s{0,%d}$", visible, MaxRequestedByLength))
	reasonPattern      = regexp.MustCompile(fmt.Sprintf("^%s{0,%d}$", visible, MaxReasonLength))
	tagKeyPattern      = regexp.MustCompile(fmt.Sprintf("^%s{1,%d}$", visible, MaxTagKeyLength))
	tagValuePattern    = regexp.MustCompile(fmt.Sprintf("^%s{0,%d}$", notWild, MaxTagValueLength))
	startedByPattern   = regexp.MustCompile(fmt.Sprintf("^%s{0,%d}$", visible, MaxStartedByLength))
	schemaPattern      = regexp.MustCompile("^" + visible + "{0,1000}$")
)

// visible is a character that neither controls a terminal nor turns the text
// around it: these texts end in mails, pages and logs. notWild also leaves out
// what an EC2 filter reads as a wildcard.
const (
	visible = "[^" + hidden + "]"
	notWild = `[^*?\\` + hidden + "]"
	hidden  = "\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
)

// placed is a placeholder in the input of a schedule that becomes a part of a run
// key when EventBridge Scheduler starts the run: the longest is a time, as
// 2026-12-08T02:00:00Z. Anybody may start the input as it is written, too; the
// placeholder is a text like others then.
// Source: EventBridge Scheduler user guide, context attributes, read 2026-11.
const (
	placed       = `<aws\.scheduler\.(scheduled-time|execution-id|attempt-number)>`
	placedLength = 20
)

const noControls = "without control characters"

func text(pattern *regexp.Regexp, what, remedy string) shape {
	return shape{form: formText, pattern: pattern, what: what, remedy: remedy}
}

func oneOf(options ...string) shape {
	return shape{form: formText, options: options, what: "one of " + strings.Join(options, ", ")}
}

func integer(low, high int, unit string) shape {
	return shape{form: formInteger, min: low, max: high, what: unit,
		remedy: fmt.Sprintf("write a whole number from %d to %d", low, high)}
}

func flag() shape { return shape{form: formFlag} }

func object(fields ...field) shape { return shape{form: formObject, fields: fields} }

// list holds each text at most once.
func list(items shape, low, high int, what, why string) shape {
	return shape{form: formList, items: &items, min: low, max: high, what: what, why: why,
		unique: items.form == formText}
}

func mapOf(keys, values shape, high int, what, why string) shape {
	return shape{form: formMap, keys: &keys, items: &values, max: high, what: what, why: why}
}

func percent(n int) string { return strconv.Quote(strconv.Itoa(n) + "%") }

// named gives the shape a definition of its own in the schema.
func named(name string, s shape) shape {
	s.ref = name
	return s
}

func concurrency() shape {
	return named("concurrency", text(concurrencyPattern,
		"neither a number from 1 to 9999999 nor a percentage from 1% to 100%", `write "3" or "10%"`))
}

func tolerated() shape {
	return named("tolerated", text(toleratedPattern,
		"neither a number from 0 to 9999999 nor a percentage from 0% to 100%", `write "0", "3" or "10%"`))
}

func account() shape {
	s := text(accountPattern, "not a 12-digit account id",
		`give all twelve digits in quotes, leading zeros too, as "012345678901"`)
	s.advise, s.adviseNumber = adviseAccount, adviseAccountNumber
	return named("account", s)
}

func unit() shape {
	s := text(unitPattern, "not an organizational unit", `write an id as "ou-ab12-cdef3456", or a root's as "r-ab12"`)
	s.advise = adviseUnit
	return s
}

func region() shape {
	var names []string
	for _, r := range patch.Regions() {
		names = append(names, string(r))
	}
	return shape{ref: "region", form: formText, options: names, what: "a region that ec2patch knows",
		advise: adviseRegion}
}

func instance() shape {
	return named("instance", text(instancePattern,
		"not an instance id", `write "i-" and 8 or 17 hexadecimal digits in lower case, as "i-0123456789abcdef0"`))
}

func waveName() shape {
	s := text(waveNamePattern, "not a wave's name",
		fmt.Sprintf("use 1 to %d letters, digits, - and _, and begin with a letter or a digit", MaxWaveNameLength))
	s.reserved = patch.Folders()
	return named("waveName", s)
}

func tagKey() shape {
	return named("tagKey", text(tagKeyPattern, "not a tag key",
		fmt.Sprintf("EC2 takes tag keys of 1 to %d characters, %s", MaxTagKeyLength, noControls)))
}

func tagValue() shape {
	return named("tagValue", text(tagValuePattern, "not a tag value",
		fmt.Sprintf("EC2 takes tag values of at most %d characters; name each value, for wildcards (*, ?, \\) are "+
			"not understood", MaxTagValueLength)))
}

func accounts() shape {
	return list(account(), 0, MaxAccountsPerWave, "accounts in a wave", "use more waves, or organizational units")
}

// warnings may hold a line twice: two long keys look alike in it.
func warnings() shape {
	s := list(text(schemaPattern, "not a warning", "leave it out"), 0, MaxWarnings+1, "warnings", "leave them out")
	s.unique = false
	return s
}

func regions() shape {
	return list(region(), 1, MaxRegionsPerWave, "regions in a wave",
		"use more waves; the history of one account's execution holds no more")
}

func instanceIDs() shape {
	return list(instance(), 0, MaxInstanceIDs, "instance ids in a wave", "use more waves, or tags")
}
