package plan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
)

func TestFewNotable(t *testing.T) {
	all := []plan.Notable{
		{ID: "i-gone1", Gone: true}, {ID: "i-new1", New: true}, {ID: "i-ill1", Impaired: true},
		{ID: "i-new2", New: true},
		{ID: "i-both", New: true, Impaired: true}, {ID: "i-new3", New: true, Name: strings.Repeat("é", 100)},
		{ID: "i-gone2", Gone: true},
	}
	ids := func(few []plan.Notable) (got []patch.InstanceID) {
		for _, n := range few {
			got = append(got, n.ID)
			assert.LessOrEqual(t, len([]rune(n.Name)), 64)
		}
		return got
	}
	assert.Equal(t, []patch.InstanceID{"i-ill1", "i-new1", "i-gone1"}, ids(plan.FewNotable(all, 1)))
	assert.Equal(t, []patch.InstanceID{"i-ill1", "i-both", "i-new1", "i-new2", "i-new3", "i-gone1", "i-gone2"},
		ids(plan.FewNotable(all, 9)))
	assert.Empty(t, plan.FewNotable(nil, 9))
}
