package sim

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

// An input that asks nobody asks somebody on a hub that demands it, as hubs do by default; nobody answers here.
func TestHub_minimumApproval(t *testing.T) {
	for _, test := range []struct {
		name, input string
		parameters  map[string]string
		want        patch.RunStatus
	}{
		{"by default", oneWave(""), nil, patch.RunExpired},
		{"a hub that demands nothing", oneWave(""), map[string]string{"MinimumApproval": "none"}, patch.RunSucceeded},
		{"a scan", oneWave(`,"ssm":{"operation":"Scan","rebootOption":"NoReboot"}`), nil, patch.RunSucceeded},
		{"more than the hub allows", oneWave(""), map[string]string{"MinimumApproval": "none", "MaxInstances": "3"},
			patch.RunRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := optionsOn(t, test.parameters, test.input)
			o.Approve = ApproveTimeout
			res := rehearse(t, o)
			assert.Empty(t, res.Violations)
			if test.want == patch.RunSucceeded { // some instance may have failed by its fate
				assert.Contains(t, []patch.RunStatus{patch.RunSucceeded, patch.RunCompleted}, res.Status)
				return
			}
			assert.Equal(t, test.want, res.Status)
			assert.NotContains(t, res.APICalls, "ssm:SendCommand")
		})
	}
}
