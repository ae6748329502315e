// Package fake has the tables, buckets, keys and mailboxes that the tests of the handlers run against, in memory.
package fake
