// Package words is the one place that writes numbers, times, spans and plurals for people, and that makes text from
// outside safe to show. A house test holds everybody else to it.
//
// Texts that programs read again, such as reasons in rows and reports, audit entries and log lines, take BareCount:
// their digits stand without commas.
package words
