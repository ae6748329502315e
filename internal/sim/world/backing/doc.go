// Package backing simulates the services that a hub is built on: DynamoDB, S3, KMS, SNS and Step Functions.
package backing
