// Package world is a simulated AWS: accounts and regions with fleets, and the
// services that ec2patch calls, behind method sets in the SDK's own shape.
//
// It behaves as AWS does, with its pages, limits, delays and error codes, or it
// refuses loudly. It is written from AWS's documentation and knows nothing of
// ec2patch: it imports none of its decision code. Everything happens on one
// virtual clock, in one thread, from one seed.
package world
