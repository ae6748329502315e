// Package words writes numbers, times and names for people.
package words
