package lambdamain

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sends notes when it is called.
type sends struct{ at []time.Time }

func (s *sends) SendCommand(context.Context, *ssm.SendCommandInput,
	...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	s.at = append(s.at, time.Now())
	return &ssm.SendCommandOutput{}, nil
}

// Sends are a quarter of a second apart at least, those of another session too; a slow one is not made slower.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := &sends{}, &pace{every: sendEvery}
		began := time.Now()
		for range 3 {
			_, err := paced{s, p}.SendCommand(t.Context(), nil)
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		_, err := paced{s, p}.SendCommand(t.Context(), nil)
		require.NoError(t, err)
		var after []time.Duration
		for _, at := range s.at {
			after = append(after, at.Sub(began))
		}
		assert.Equal(t, []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond,
			1500 * time.Millisecond}, after)
	})
}

// A call that is given up while it waits is never made.
func TestPaced_givenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := &sends{}, &pace{every: time.Minute}
		_, err := paced{s, p}.SendCommand(t.Context(), nil)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = paced{s, p}.SendCommand(ctx, nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, s.at, 1)
	})
}
