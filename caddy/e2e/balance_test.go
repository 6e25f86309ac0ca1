package e2e

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestAccountBalances kills Caddy at random moments under load, while the help
// desk fails half of the time. In the end every acknowledged chat has a ticket,
// and none has two: repetitions carry the same Idempotency-Key.
func TestAccountBalances(t *testing.T) { balance(t, "", *kills) }

func TestAccountBalances_encrypted(t *testing.T) { balance(t, encrypted, (*kills+3)/4) }

func balance(t *testing.T, options string, kills int) {
	t.Parallel()
	s := newSides(t)
	data, address := t.TempDir(), freeAddress(t)
	sites := site("http://"+address, directive("/kindly", "secret {env.KINDLY_SECRET}", "transcript off",
		"upstream "+s.desk.URL+" {\n\t\t\ttimeout 500ms\n\t\t}",
		"retry {\n\t\t\tinitial_interval 100ms\n\t\t\tmax_interval 1s\n\t\t}"))
	c := startIn(t, data, options, sites)

	l := &load{urls: []string{"http://" + address + "/kindly"}, pause: 20 * time.Millisecond}
	stopLoad := l.start(12, 4)
	defer stopLoad()
	recovers := s.failHalfOfTheTime()
	defer recovers()

	for range kills {
		time.Sleep(100*time.Millisecond + rand.N(900*time.Millisecond))
		c.stop(syscall.SIGKILL)
		c = startIn(t, data, options, sites)
	}
	stopLoad()
	recovers()
	require.Empty(t, l.wrong)
	require.Greater(t, len(l.accepted), 10*kills)
	l.requireBalance(t, s.desk)
	t.Logf("%d kills: %d webhooks acknowledged, %d not answered, %d attempts repeated that had made a ticket",
		kills, len(l.accepted), l.reset.Load(), s.desk.Repeats())
}

// failHalfOfTheTime makes the help desk fail in all the ways that are worth
// another attempt, now and then, until the function is called.
func (s *sides) failHalfOfTheTime() (recovers func()) {
	modes := []kindlytest.Mode{
		kindlytest.Status(503), kindlytest.Status(429, "Retry-After", "0"), kindlytest.Hang(), kindlytest.Hang().AfterAccept(),
		kindlytest.Reset(), kindlytest.Reset().AfterAccept(), kindlytest.Truncate(3),
	}
	done := make(chan struct{})
	var failing sync.WaitGroup
	failing.Go(func() {
		defer s.desk.Recover()
		for fails := true; ; fails = !fails {
			if s.desk.Recover(); fails {
				s.desk.Fail(modes[rand.N(len(modes))])
			}
			select {
			case <-done:
				return
			case <-time.After(50*time.Millisecond + rand.N(250*time.Millisecond)):
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		failing.Wait()
	})
}
