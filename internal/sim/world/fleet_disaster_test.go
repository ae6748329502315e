package world

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/sim/world/fleetfile"
)

// Source: docs/faults.md F-33.
func TestKillerPatch(t *testing.T) {
	w, s,
		insts := newFleet(t, 1, append(slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 20), fleetfile.FateCompliant)...)
	w.SSMOptions.NoRamp = true
	w.KillerPatch(fleetfile.Linux, 0.5)
	send(t, s, patching(ids(insts)...))
	runFor(w, time.Hour)
	dead := 0
	for _, i := range insts {
		if !i.Online() {
			dead++
			require.Equal(t, AgentLost, w.AgentLog(i.ID)[len(w.AgentLog(i.ID))-1].Kind)
		}
	}
	require.InDelta(t, 10, dead, 5)
	require.True(t, insts[20].Online(), "what installs nothing lives")
}

// Source: docs/faults.md F-35.
func TestLoseZone(t *testing.T) {
	w, s, insts := newFleet(t, 1, slices.Repeat([]fleetfile.Fate{fleetfile.FateOK}, 12)...)
	w.SSMOptions.NoRamp = true
	id := send(t, s, patching(ids(insts)...))
	runFor(w, time.Minute)
	zone := insts[0].Zone
	w.LoseZone(testAccount, testRegion, zone)
	runFor(w, time.Hour)
	for _, i := range insts {
		require.Equal(t, i.Zone != zone, rows(t, s, id)[i.ID] == "Success/Success")
	}
	w.ReturnZone(testAccount, testRegion, zone)
	require.True(t, insts[0].Online())
}

// Source: docs/faults.md F-36.
func TestSuspendAccount(t *testing.T) {
	w, s := newHub(t)
	out, err := s.AssumeRole(context.Background(), assuming())
	require.NoError(t, err)
	p, _ := w.ByAccessKey(*out.Credentials.AccessKeyId)
	w.SuspendAccount(testAccount)
	_, err = s.AssumeRole(context.Background(), assuming())
	requireCode(t, err, "AccessDenied")
	_,
		err = w.SSM(p, testRegion).DescribeInstanceInformation(context.Background(), &ssm.DescribeInstanceInformationInput{})
	requireCode(t, err, "InvalidClientTokenId")
}

func TestMakespan(t *testing.T) {
	const m = time.Minute
	tests := []struct {
		name        string
		times       []time.Duration
		concurrency int
		ramp        bool
		want        time.Duration
	}{
		{"nothing", nil, 5, true, 0},
		{"one after the other", []time.Duration{m, 2 * m, 3 * m}, 1, true, 6 * m},
		{"all at once", []time.Duration{m, 2 * m, 3 * m}, 3, false, 3 * m},
		{"1, 2, 4", slices.Repeat([]time.Duration{m}, 7), 4, true, 3 * m},
		{"no concurrency is one", []time.Duration{m, m}, 0, false, 2 * m},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, Makespan(tt.times, tt.concurrency, tt.ramp))
		})
	}
}

// The world sends by the rule of Makespan.
func TestMakespan_IsWhatTheWorldDoes(t *testing.T) {
	for _, concurrency := range []string{"1", "3", "7"} {
		w, s, _ := newFleet(t, 1)
		var insts []*Instance
		for n := range 25 {
			i, err := w.AddInstance(InstanceSpec{Account: testAccount, Region: testRegion, Name: string(rune('a' + n))})
			require.NoError(t, err)
			insts = append(insts, i)
		}
		var times []time.Duration
		for _, i := range insts {
			times = append(times, i.Ideal().Patch+i.Ideal().Reboots)
		}
		in := patching(ids(insts)...)
		in.MaxConcurrency, in.TimeoutSeconds = aws.String(concurrency), aws.Int32(86400)
		id := send(t, s, in)
		start := w.Now()
		for range 100_000 {
			if terminal(string(commandNow(t, s, id).Status)) || !w.Step() {
				break
			}
		}
		best := Makespan(times, share(concurrency, 25), true)
		took := w.Now().Sub(start)
		require.GreaterOrEqual(t, took, best)
		require.Less(t, took-best, 25*4*time.Second, "all that is added is the way to the agents")
	}
}
