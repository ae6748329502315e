package runinput_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
)

func TestFilters_Text(t *testing.T) {
	tests := []struct {
		name string
		f    runinput.Filters
		want string
	}{
		{name: "nothing", want: "every instance"},
		{name: "one tag", f: runinput.Filters{Tags: map[string][]string{"PatchGroup": {"default"}}},
			want: "tag PatchGroup=default"},
		{name: "two tags", f: runinput.Filters{Tags: map[string][]string{"Team": {"web"}, "Env": {"prod", "stage"}},
			Platforms: []patch.Platform{patch.Linux, patch.Windows}},
			want: "tags Env=prod|stage and Team=web, platform Linux or Windows"},
		{name: "names", f: runinput.Filters{InstanceIDs: []patch.InstanceID{"i-1", "i-2"}}, want: "2 named instances"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, tt.f.Text()) })
	}
}
