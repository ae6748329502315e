package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/runinput"
	"ec2patch/internal/sim/world"
	"ec2patch/internal/store"
	"ec2patch/internal/wire"
)

// thief has the credentials of one function, and nothing of its code.
type thief struct {
	t    *testing.T
	r    *rehearsal
	role *world.Principal
}

func (r *rehearsal) thief(t *testing.T, handler string) thief {
	t.Helper()
	for _, l := range r.lambdas {
		if l.function.Handler == handler {
			role, err := r.world.Session(l.function.RoleARN, "thief")
			require.NoError(t, err)
			return thief{t, r, role}
		}
	}
	require.Fail(t, "no function runs "+handler)
	return thief{}
}

// put writes an object, over another if there is one.
func (x thief) put(key string, data []byte) error {
	_, err := x.r.world.S3(x.role, hubRegion).PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(x.r.bucket()), Key: aws.String(key), Body: bytes.NewReader(data)})
	return err
}

// sealed makes a plan's index again so that nobody is asked, and gives it the digest that it then has.
func (x thief) sealed(data []byte) plan.Index {
	var index plan.Index
	require.NoError(x.t, json.Unmarshal(data, &index))
	index.Terms.Approval = runinput.ApproveNone
	for i := range index.Waves {
		index.Waves[i].AskScope = "none"
	}
	require.NoError(x.t, index.Seal())
	return index
}

// The inventory's role cannot write over a plan that is frozen, nor over what it was made of.
func TestThief_rewritesThePlan(t *testing.T) {
	o := options(t, strings.Replace(oneWave(""), `"none"`, `"once"`, 1))
	r, err := prepare(o)
	require.NoError(t, err)
	tried := 0
	r.world.After(5*60e9, func() { // people are being asked
		x := r.thief(t, wire.Inventory)
		for _, key := range r.world.Objects(r.bucket(), store.Prefix(o.RunID)) {
			if !strings.Contains(key, "/plan/") && !strings.Contains(key, "/inventory/") && !strings.HasSuffix(key, "/input.json") {
				continue
			}
			tried++
			before, _ := r.world.Object(r.bucket(), key)
			assert.ErrorContains(t, x.put(key, []byte("{}")), "AccessDenied", key)
			after, _ := r.world.Object(r.bucket(), key)
			assert.True(t, bytes.Equal(before, after), key)
		}
	})
	o.RunID = r.options.RunID
	res, err := r.run()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, tried, 6)
	assert.NotEqual(t, patch.RunFailed, res.Status)
}
