// Package cloud holds the adapters to AWS, one file a service. It is the only
// code that makes SDK calls. Each adapter names the SDK calls that it uses in an
// interface of the SDK's own shape, so that the real clients fit as they are and
// the simulated ones fit as well.
package cloud
