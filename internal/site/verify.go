package site

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
	"ec2patch/internal/target"
)

// Through is a site whose commands have all ended with success.
func Through(t *testing.T, n int, change ...func(*plan.Leaf, *target.TargetRow, *store.WaveRow, *store.RunRow)) *Site {
	t.Helper()
	s := New(t, n, change...)
	s.SendAll()
	s.AllEnded("Success")
	s.Now = s.Now.Add(20 * time.Minute)
	for range 5 {
		if s.Must(s.Poll()).Next == patch.NextVerify {
			break
		}
	}
	require.Empty(t, s.Row().Open)
	s.Now = s.Now.Add(-20 * time.Minute)
	return s
}

// Verified calls the verifier until the target is done, at most until its deadline.
func (s *Site) Verified() {
	s.T.Helper()
	for range 20 {
		out, err := s.Verify("verify")
		require.NoError(s.T, err)
		a := out.(target.Answer)
		if a.Next == patch.NextDone {
			return
		}
		require.Equal(s.T, patch.NextWait, a.Next)
		s.Now = s.Now.Add(time.Duration(a.Seconds) * time.Second)
	}
	s.T.Fatal("verifying does not end")
}

// Outcome is an instance's in the stored result.
func (s *Site) Outcome(id patch.InstanceID) outcome.InstanceReport {
	s.T.Helper()
	var result target.TargetResult
	require.NoError(s.T, json.Unmarshal(s.Bucket.Objects[s.ResultKey()], &result))
	var found []outcome.InstanceReport
	for _, r := range result.Instances {
		if r.InstanceID == id {
			found = append(found, r)
		}
	}
	require.Len(s.T, found, 1, "each instance has one outcome")
	return found[0]
}
