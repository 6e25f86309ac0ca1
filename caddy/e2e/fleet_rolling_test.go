//go:build unix

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFleetRolling reloads one member after the other, with what changes the
// webhook and with what opens the store anew, and then restarts each, all under
// load. Nothing is refused because of it, and all accepted webhooks become one
// ticket each.
func TestFleetRolling(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.desk.IgnoreIdempotencyKey = true
	l := &load{urls: f.urls(), again: 10, pause: 20 * time.Millisecond}
	stopLoad := l.start(8, 4)
	defer stopLoad()
	for round := range 3 {
		for _, m := range f.members {
			options := fmt.Sprintf("\tkindly {\n\t\tstore postgres {env.KINDLY_DSN} {\n\t\t\tmax_connections %d\n\t\t}\n\t\tgrace_period 1s\n\t}", 5+round/2)
			require.NoError(t, m.reload(options, m.sites(fmt.Sprintf("reply_pending later-%d", round))))
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, m := range f.members {
		require.Zero(t, m.stop(terminate))
		m.start()
	}
	stopLoad()
	require.Empty(t, l.wrong)
	require.Greater(t, len(l.accepted), 100)
	l.requireBalance(t, f.desk)
	t.Logf("%d webhooks accepted, %d sent twice, %d not answered", len(l.accepted), l.twice.Load(), l.reset.Load())
}
