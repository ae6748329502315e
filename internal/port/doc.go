// Package port is what the handlers ask of AWS, beside the table and the bucket: small interfaces with the values that
// they give. Package cloud implements them.
package port
