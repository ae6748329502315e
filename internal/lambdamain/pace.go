package lambdamain

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/cloud"
)

// sendEvery is the shortest time between two SendCommand calls of a process. The service's rate is not published, and
// other tools of the account share it: four a second fill 250 slots within a function's time and leave room.
// Source: docs/aws-semantics.md, Run Command; field reports of "Rate exceeded" by parallel callers, read 2026-11.
const sendEvery = 250 * time.Millisecond

// pace spaces calls out.
type pace struct {
	every time.Duration

	mu   sync.Mutex
	next time.Time // the earliest time of the next call
}

// wait returns when the next call may be made.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.next = at.Add(p.every)
	p.mu.Unlock()
	if at.Equal(now) {
		return nil
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// paced sends no faster than its pace.
type paced struct {
	cloud.SendSSM
	pace *pace
}

func (p paced) SendCommand(ctx context.Context, in *ssm.SendCommandInput,
	options ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	if err := p.pace.wait(ctx); err != nil {
		return nil, err
	}
	return p.SendSSM.SendCommand(ctx, in, options...)
}
