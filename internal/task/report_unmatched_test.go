package task

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

func TestUnmatched(t *testing.T) {
	w := patch.IndexWave{Targets: []patch.IndexTarget{
		{Account: "111111111111", Region: "us-east-1", Planned: 1}, {Account: "111111111111", Region: "us-west-2"},
		{Account: "222222222222", Region: "us-east-1"}, {Account: "222222222222", Region: "us-west-2"},
		{Account: "333333333333", Region: "us-east-1", Excluded: 1}, {Account: "444444444444", Region: "us-east-1"},
	}}
	x := patch.Index{Waves: []patch.IndexWave{w}, Unreachable: []patch.UnreachableAccount{{Account: "444444444444", Region: "us-west-2"}}}
	assert.Equal(t, []patch.AccountID{"222222222222"}, unmatched(x, w))
}
