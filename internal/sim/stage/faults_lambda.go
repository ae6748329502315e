package stage

import (
	"context"
	"time"

	"ec2patch/internal/asl"
	"ec2patch/internal/sim/world/core"
)

const (
	// ClockOff is how far the clock of a function is off at most.
	ClockOff = 10 * time.Minute
	// latestTwin is how long after an event its twin comes at most.
	latestTwin = 15 * time.Minute
)

// notStarted is Lambda's refusal of an invocation, nil mostly.
func (f *Faults) notStarted() *asl.Failure {
	if f == nil || !f.strikes("F-41") {
		return nil
	}
	switch f.Rand.IntN(3) {
	case 0:
		return lambdaError("Lambda.TooManyRequestsException", "Rate Exceeded.")
	case 1:
		return lambdaError("Lambda.ServiceException", "Service error")
	}
	return lambdaError("Lambda.SdkClientException", "Unable to execute HTTP request")
}

// skew is how far the clock of one invocation is off.
func (f *Faults) skew() time.Duration {
	if f == nil || !f.strikes("F-12") {
		return 0
	}
	return time.Duration(f.Rand.Int64N(int64(2*ClockOff))) - ClockOff
}

// twin hands an event over a second time: at once, before the answer that counts,
// or later, when everybody has forgotten it.
func (l *Lambda) twin(payload []byte) {
	if l.Faults == nil || !l.Faults.strikes("F-40") {
		return
	}
	again := func() {
		l.Invocations++
		// Its answer is lost.
		_, _ = l.call(core.WithMeter(context.Background(), &core.Meter{}), payload)
	}
	if l.Faults.Rand.IntN(2) == 0 {
		again()
		return
	}
	l.stage.World.After(l.Faults.upTo(latestTwin), again)
}
