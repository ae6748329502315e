package patch_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/patch"
)

func TestRegion_Partition(t *testing.T) {
	for region, want := range map[patch.Region]string{
		"us-east-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso",
		"us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f",
		"eusc-de-east-1": "aws-eusc",
		"":               "", "us-east-9": "", "US-EAST-1": "", "aws-global": "",
	} {
		assert.Equal(t, want, region.Partition(), "partition of %q", region)
	}
}

func TestRegions(t *testing.T) {
	all := patch.Regions()
	assert.Len(t, all, 46)
	for _, region := range all {
		assert.Regexp(t, regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]$`), string(region))
		assert.NotEmpty(t, region.Partition())
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	assert.Len(t, slices.Compact(sorted), len(all), "no region twice")
}
