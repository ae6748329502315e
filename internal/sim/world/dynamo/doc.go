// Package dynamo is the language of DynamoDB: items and their numbers, and the expressions that read, test and change
// them, with the limits and the words of refusal that DynamoDB has. It knows neither tables nor calls.
package dynamo
