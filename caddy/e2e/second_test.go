package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestSecondProcess proves that a second Caddy with the same store does not
// start, says why, and does the first one no harm.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly")))
	second := &caddy{admin: freeAddress(t), data: c.data}
	config := file(t, "Caddyfile", second.caddyfile("", site("http://"+freeAddress(t), s.webhook("/kindly"))))

	started := time.Now()
	status, printed := call(t, second.env(), nil, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", config)
	require.Less(t, time.Since(started), 10*time.Second)
	require.Equal(t, 1, status, printed)
	require.Contains(t, printed, "kindly app module: start: store bolt "+c.deliveries()+
		": another process has it open (a second Caddy with the same storage?): end that, or give this one a path of its own (store bolt <path>)")

	status, printed = call(t, second.env(), nil, "kindly-caddy", "validate", "--adapter", "caddyfile", "--config", config)
	require.Zero(t, status, printed)
	s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	s.waitTickets(1)
}
