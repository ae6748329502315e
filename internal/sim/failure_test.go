package sim

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

// A run that leaves no report says what it failed of, and where.
func TestRun_failureWithoutReport(t *testing.T) {
	o := options(t, asks(""))
	o.Instances, o.Faults = 1, "F-41=1"
	res := rehearse(t, o)
	assert.Nil(t, res.Report)
	assert.Equal(t, patch.RunFailed, res.Status)
	assert.Contains(t, res.Failure, "state WriteReport: Lambda.")
}
