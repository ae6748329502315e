// Package plan is the plan of a run as the bucket holds it: what each account and region has, which instances are
// patched and which are left out, and the index whose digest names all of it. It is written once, by package inventory.
package plan
