package runinput

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ec2patch/internal/patch"
	"ec2patch/internal/words"
)

// What people are known to paste in the place of an account, a unit or a region,
// and what they mean by it. Each function returns the remedy, or nothing where
// the text is like none of these; then the general remedy of the field stands.

const (
	digits12 = "[0-9]{12}"
	unitID   = "ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}"
	rootID   = "r-[0-9a-z]{4,32}"
	// memberARN begins the ARN of what is in an organization; its account is the management account.
	memberARN = "arn:aws[a-z-]*:organizations:[^:]*:" + digits12
)

var (
	accountARN      = regexp.MustCompile("^" + memberARN + ":account/o-[0-9a-z]+/(" + digits12 + ")$")
	unitARN         = regexp.MustCompile("^" + memberARN + ":(?:ou|root)/o-[0-9a-z]+/(" + unitID + "|" + rootID + ")$")
	anyARN          = regexp.MustCompile(`^arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(` + digits12 + `):`)
	organizationID  = regexp.MustCompile(`^o-[0-9a-z]{10,32}$`)
	digitsOnly      = regexp.MustCompile(`^[0-9]+$`)
	shortenedNumber = regexp.MustCompile(`^[1-9][0-9]{8,10}$`) // an account id in a spreadsheet loses its zeros
)

// adviseAccount knows what stands where a 12-digit account id is due.
func adviseAccount(text string) string {
	bare := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t-._", r) {
			return -1
		}
		return r
	}, text)
	switch {
	case everything(text):
		return `name each account, or put a root as "r-ab12" or a unit as "ou-ab12-cdef3456" into organizationalUnits`
	case unitPattern.MatchString(text):
		return "this is the id of a unit or a root: put it into organizationalUnits"
	case unitARN.MatchString(text):
		id := unitARN.FindStringSubmatch(text)[1]
		return fmt.Sprintf("this is a unit or a root: put its id %q into organizationalUnits", id)
	case organizationID.MatchString(text):
		return `this is the id of the organization: put its root, as "r-ab12", into organizationalUnits`
	case accountARN.MatchString(text):
		return fmt.Sprintf("write the account id alone: %q", accountARN.FindStringSubmatch(text)[1])
	case anyARN.MatchString(text):
		return fmt.Sprintf("write the account id alone: %q", anyARN.FindStringSubmatch(text)[1])
	case bare != text && accountPattern.MatchString(bare):
		return fmt.Sprintf("write its twelve digits and nothing else: %q", bare)
	case len(text) > 12 && digitsOnly.MatchString(text):
		return fmt.Sprintf("an account id has 12 digits, and this has %d", len(text))
	}
	return ""
}

// adviseAccountNumber knows what a number stands for where an account id is due.
func adviseAccountNumber(number string) string {
	switch {
	case accountPattern.MatchString(number):
		return fmt.Sprintf("write it in quotes: %q", number)
	case shortenedNumber.MatchString(number):
		whole := strings.Repeat("0", 12-len(number)) + number
		return fmt.Sprintf("write it in quotes, with the zeros that a number loses: %q", whole)
	}
	return ""
}

// adviseUnit knows what stands where an organizational unit is due.
func adviseUnit(text string) string {
	lower := strings.ToLower(strings.TrimSpace(text))
	switch {
	case accountPattern.MatchString(text):
		return "this is an account id: put it into accounts"
	case organizationID.MatchString(text):
		return `this is the id of the organization: give its root, as "r-ab12"`
	case unitARN.MatchString(text):
		return fmt.Sprintf("write the id alone: %q", unitARN.FindStringSubmatch(text)[1])
	case unitPattern.MatchString(lower):
		return fmt.Sprintf("write it so: %q", lower)
	}
	return ""
}

var zonePattern = regexp.MustCompile(`^([a-z0-9-]+[0-9])[a-z]$`)

// adviseRegion knows what stands where a region is due.
func adviseRegion(text string) string {
	trimmed := strings.TrimSpace(text)
	zone := zonePattern.FindStringSubmatch(trimmed)
	switch {
	case everything(text):
		return `name each region, as "us-east-1"; there is no word for all of them`
	case slices.Contains([]string{"global", "aws-global"}, strings.ToLower(trimmed)):
		return `no instance is there; name each region, as "us-east-1"`
	case trimmed != text && patch.Region(trimmed).Partition() != "":
		return fmt.Sprintf("write it without spaces: %q", trimmed)
	case zone != nil && patch.Region(zone[1]).Partition() != "":
		return fmt.Sprintf("this is an Availability Zone; its region is %q", zone[1])
	}
	return ""
}

func everything(text string) bool {
	return slices.Contains([]string{"*", "all", "any"}, strings.ToLower(strings.TrimSpace(text)))
}

// wayOver is what became of a field that other tools' inputs have, and the
// remedy for it. It is empty for a field that is not known from anywhere.
func wayOver(n *node, key string) string {
	if n.path != "$" {
		return ""
	}
	switch key {
	case "comment", "description":
		return "write it as reason"
	case "executionName":
		return "leave it out; the run's name is given when it starts, as with ec2patch run --name"
	case "ec2":
		return "ec2.tagKey and ec2.tagValue are filters.tags of each wave: " + tagsOf(n.member(key))
	case "tagKey", "tagValue":
		return "tagKey and tagValue are filters.tags of each wave: " + tagsOf(n)
	case "preCollect", "postCollect":
		return "leave it out; what each instance had before and has after is in every report"
	case "customDocuments":
		return "leave it out; a run sends AWS-RunPatchBaseline and no document of your own before or after it"
	}
	return ""
}

// tagsOf writes a key and a value, as far as they are there, as filters.
func tagsOf(n *node) string {
	key, value := words.Quoted(DefaultTagKey), words.Quoted(DefaultTagValue)
	if given := n.member("tagKey"); given != nil && given.kind == nodeText {
		key = words.Quoted(given.text)
	}
	if given := n.member("tagValue"); given != nil && given.kind == nodeText {
		value = words.Quoted(given.text)
	}
	return fmt.Sprintf(`"filters": {"tags": {%s: [%s]}}`, key, value)
}

// wrapper finds the field that a whole run input is wrapped into, as the input
// of another state machine, an event or a call is: the fields in it are not
// looked at where they stand.
func wrapper(root *node) *member {
	if root.kind != nodeObject || hasForm(root) {
		return nil
	}
	for i, m := range root.members {
		if !slices.Contains([]string{"input", "detail", "body", "payload"}, strings.ToLower(m.key)) {
			continue
		}
		inside := m.value
		asText := inside.kind == nodeText && strings.HasPrefix(strings.TrimSpace(inside.text), "{")
		if asText || hasForm(inside) {
			return &root.members[i]
		}
	}
	return nil
}

// hasForm tells whether there is a field of one of the forms of the input.
func hasForm(n *node) bool {
	return n.member("waves") != nil || n.member("accountWaves") != nil || len(flatMembers(n)) > 0
}
