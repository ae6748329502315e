package cfn_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/golden"
)

// TestResource_identity holds what Ref and GetAtt give, for every type that is known.
func TestResource_identity(t *testing.T) {
	stack := deploy(t, load(t, "types.yaml"), nil)
	var out bytes.Buffer
	for _, id := range slices.Sorted(maps.Keys(stack.Resources)) {
		r := stack.Resources[id]
		fmt.Fprintf(&out, "%s %s\n  Ref %s\n", id, r.Type, r.PhysicalID)
		if r.ARN != "" {
			fmt.Fprintf(&out, "  ARN %s\n", r.ARN)
		}
		for _, attribute := range slices.Sorted(maps.Keys(r.Attributes)) {
			fmt.Fprintf(&out, "  %s %s\n", attribute, r.Attributes[attribute])
		}
	}
	golden.Equal(t, "types.want.txt", out.Bytes())
}

func TestResource_identityIsTheSameAgain(t *testing.T) {
	template := load(t, "types.yaml")
	first, second := deploy(t, template, nil), deploy(t, template, nil)
	require.Equal(t, first.Resources, second.Resources)
	require.Equal(t, first.Order, second.Order)
}

func TestResource_madeUpNamesFit(t *testing.T) {
	stack := deployAs(t, load(t, "types.yaml"), strings.Repeat("long-Stack", 12))
	for id, longest := range map[string]int{"Role": 64, "Function": 64, "Bucket": 63, "Machine": 80, "Queue": 80} {
		name := stack.Resources[id].Name
		require.Len(t, name, longest, name)
	}
	require.Equal(t, strings.ToLower(stack.Resources["Bucket"].Name), stack.Resources["Bucket"].Name,
		"buckets are in lower case")
}
