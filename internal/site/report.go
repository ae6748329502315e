package site

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/patch"
	"ec2patch/internal/report"
	"ec2patch/internal/report/compose"
	"ec2patch/internal/store"
	"ec2patch/internal/task"
)

// Report carries out one step of the verifier and reads the report that it wrote.
func (s *Site) Report(in task.VerifyInput) (compose.ReportOutput, report.Report) {
	s.T.Helper()
	in.Run = Run
	s.Bucket.Objects[store.InputObject(Run)] = []byte(`{"waves":[]}`)
	out, err := s.Verifier().Handle(s.T.Context(), in)
	require.NoError(s.T, err)
	var r report.Report
	require.NoError(s.T, json.Unmarshal(s.Bucket.Objects[store.ReportObject(Run, "json")], &r))
	return out.(compose.ReportOutput), r
}

// JudgedGood is a site of two whose instances were patched and whose wave was judged good.
func JudgedGood(t *testing.T) *Site {
	t.Helper()
	s := Through(t, 2)
	s.Patched(Instance(0), Instance(1))
	s.Now = s.Now.Add(20 * time.Minute)
	s.Verified()
	require.Equal(t, patch.NextWave, s.Judge().Next)
	return s
}
