//go:build unix

package e2e

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFleetAccountBalances kills Caddys of a fleet and their database at random
// moments under load, of which a fifth is sent again, to another one, while the
// help desk fails half of the time. In the end every acknowledged chat has a
// ticket, and none has two: repetitions carry the same Idempotency-Key.
func TestFleetAccountBalances(t *testing.T) {
	t.Parallel()
	server, dsn := serverFor(t)
	f := planFleet(t, dsn, 3, "respond_within 2s", "retry {\n\t\t\tinitial_interval 100ms\n\t\t\tmax_interval 1s\n\t\t}")
	f.upstream = "timeout 500ms"
	f.start()

	l := &load{urls: f.urls(), again: 20, refusable: true, pause: 30 * time.Millisecond, patience: 2 * time.Minute}
	stopLoad := l.start(12, 4)
	defer stopLoad()
	recovers := f.failHalfOfTheTime()
	defer recovers()

	caddys, databases := 0, 0
	for end := time.Now().Add(*trouble); time.Now().Before(end); {
		time.Sleep(200*time.Millisecond + rand.N(2*time.Second))
		if rand.N(3) == 0 {
			databases++
			require.NoError(t, server.Stop(true))
			time.Sleep(rand.N(time.Second))
			require.NoError(t, server.Start())
			continue
		}
		caddys++
		m := f.members[rand.N(len(f.members))]
		m.stop(syscall.SIGKILL)
		time.Sleep(rand.N(time.Second))
		m.start()
	}
	stopLoad()
	recovers()
	require.Empty(t, l.wrong)
	require.Greater(t, len(l.accepted), 10*(caddys+databases))
	ended := time.Now()
	l.requireBalance(t, f.desk)
	t.Logf("%d kills of a Caddy, %d of the database: %d webhooks, %d of them sent twice; %d acknowledged, %d answers of refusal, %d without an answer; "+
		"%d tickets, %d attempts repeated that had made one; all there %.1f s after the end",
		caddys, databases, l.sent.Load(), l.twice.Load(), len(l.accepted), l.refused.Load(), l.reset.Load(),
		f.desk.Count(), f.desk.Repeats(), time.Since(ended).Seconds())
}
