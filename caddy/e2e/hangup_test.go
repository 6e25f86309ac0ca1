package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestClientHangsUp proves that the ticket arrives all the same.
func TestClientHangsUp(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.kindly.FailNext(1, kindlytest.Delay(300*time.Millisecond))
	address := freeAddress(t)
	start(t, "", site("http://"+address, s.webhook("/kindly")))

	ctx, hangUp := context.WithCancel(within(t))
	answered := make(chan error, 1)
	go func() {
		_, err := s.kindly.Send(ctx, "http://"+address+"/kindly", secret, kindlytest.DialogueWebhook())
		answered <- err
	}()
	require.NoError(t, s.kindly.Wait(within(t), 1), "the transcript is asked for")
	hangUp()
	require.ErrorIs(t, <-answered, context.Canceled)
	s.waitTickets(1)
	require.Equal(t, 1, s.kindly.Count())
}
