package kindlyhandler_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// TestReconnect proves that no webhook is refused because the handler is given
// another dispatcher, and the first one closed, while it is on its way.
func TestReconnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.RespondWithin, o.Transcript = 0, nil }})
	var refused atomic.Int32
	var clients sync.WaitGroup
	done := make(chan struct{})
	for client := range 8 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				request, err := kindlytest.NewWebhookRequest(r.url, secret, kindlytest.DialogueWebhookFor(fmt.Sprintf("%d-%d", client, n)))
				if !assert.NoError(t, err) {
					return
				}
				response := httptest.NewRecorder()
				r.handler.ServeHTTP(response, request)
				if !strings.Contains(response.Body.String(), "later") {
					refused.Add(1)
				}
			}
		})
	}
	last := delivery.NewDispatcher(memory.New(memory.Options{}))
	r.handler.Connect(last)
	for range 2000 {
		next := delivery.NewDispatcher(memory.New(memory.Options{}))
		r.handler.Connect(next)
		require.NoError(t, last.Close())
		last = next
	}
	close(done)
	clients.Wait()
	require.NoError(t, last.Close())
	require.Zero(t, refused.Load())
}
