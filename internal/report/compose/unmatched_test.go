package compose

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

func TestUnmatched(t *testing.T) {
	w := plan.IndexWave{Targets: []plan.IndexTarget{
		{Account: "111111111111", Region: "us-east-1", Planned: 1}, {Account: "111111111111", Region: "us-west-2"},
		{Account: "222222222222", Region: "us-east-1"}, {Account: "222222222222", Region: "us-west-2"},
		{Account: "333333333333", Region: "us-east-1", Excluded: 1}, {Account: "444444444444", Region: "us-east-1"},
	}}
	x := plan.Index{Waves: []plan.IndexWave{w},
		Unreachable: []plan.UnreachableAccount{{Account: "444444444444", Region: "us-west-2"}}}
	assert.Equal(t, []patch.AccountID{"222222222222"}, unmatched(x, w))
}
