// Package estate simulates what stands around the fleets of a world: accounts, and who may get into them and where
// (STS), their organization, and their alarms (CloudWatch). It knows no machine.
package estate
