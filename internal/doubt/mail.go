package doubt

import (
	"strings"

	"ec2patch/internal/words"
)

// ForMail is a line of a doubt, or the reason of a verdict that was made of one, for plain mail. The names of fields of
// the input stay as people write them there: no address ends like one.
func ForMail(line string) string {
	var pairs []string
	for _, field := range []string{"ssm.maxErrors", "budget.perAccount", "budget.maxFailedInstances",
		"budget.maxFailedAccounts"} {
		pairs = append(pairs, words.Clean(field, words.Mail), field)
	}
	return strings.NewReplacer(pairs...).Replace(words.Clean(line, words.Mail))
}
