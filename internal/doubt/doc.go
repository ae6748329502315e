// Package doubt is why a wave is doubtful: causes with their counts, limits and alarms. A doubt is a value that people
// are asked about, and an approval covers exactly the causes that they saw.
package doubt
