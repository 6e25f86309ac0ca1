package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// startLimit is how soon a site answers after the start of the process,
// whatever state the store is in.
func startLimit() time.Duration {
	if underRace {
		return 6 * time.Second
	}
	return 2 * time.Second
}

// TestDamagedFile starts Caddy with what is left of its file after various
// accidents: other sites answer at once, what can be read is delivered, and new
// webhooks are accepted.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	const pending = 30
	for name, accident := range map[string]struct {
		happens func(file []byte) []byte
		least   int // of the pending deliveries survive
		hitsAll bool
	}{
		"none":            {func(f []byte) []byte { return f }, pending, false},
		"empty":           {func([]byte) []byte { return nil }, 0, false},
		"garbage":         {func(f []byte) []byte { return garble(f, 0, len(f)) }, 0, true},
		"truncated":       {func(f []byte) []byte { return f[:len(f)*3/4] }, 5, true},
		"truncated early": {func(f []byte) []byte { return f[:5000] }, 0, true},
		"begin zeroed":    {func(f []byte) []byte { clear(f[:16<<10]); return f }, pending, true},
		"middle zeroed":   {func(f []byte) []byte { clear(f[len(f)/2 : len(f)/2+8192]); return f }, 20, false},
		"middle garbled":  {func(f []byte) []byte { return garble(f, len(f)/2, 20_000) }, 15, false},
		"bits flipped": {func(f []byte) []byte {
			for i := 16 << 10; i < len(f); i += 30_000 {
				f[i] ^= 0x10
			}
			return f
		}, 15, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSides(t)
			s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
			address, other := freeAddress(t), freeAddress(t)
			url := "http://" + address + "/kindly"
			sites := site("http://"+address, directive("/kindly", "secret {env.KINDLY_SECRET}", "transcript off", "upstream "+s.desk.URL)) +
				site("http://"+other, "respond hello")
			c := start(t, "", sites)
			acknowledged := make(map[string]bool)
			for i := range pending {
				chat := fmt.Sprintf("chat-%d", i)
				s.accepted(url, bulky(chat, 5000))
				acknowledged[chat] = true
			}
			require.Zero(t, c.stop(terminate))
			content, err := os.ReadFile(c.deliveries())
			require.NoError(t, err)
			// The file grows in advance: behind its pages are zeros.
			used := len(bytes.TrimRight(content, "\x00"))
			damaged := accident.happens(bytes.Clone(content[:used]))
			if len(damaged) == used {
				damaged = append(damaged, content[used:]...)
			}
			require.NoError(t, os.WriteFile(c.deliveries(), damaged, 0o600))
			s.desk.Recover()

			next := &caddy{admin: freeAddress(t), data: c.data}
			started := time.Now()
			next.process = runWithFile(t, next.env(), next.caddyfile("", sites))
			next.eventually("the other site answers", func() bool {
				response, err := http.Get("http://" + other)
				if err != nil {
					return false
				}
				_ = response.Body.Close()
				return response.StatusCode == http.StatusOK
			})
			require.Less(t, time.Since(started), startLimit())

			const setAside = "the store's file is damaged: it was set aside"
			if accident.hitsAll {
				next.waitFor(setAside)
			}
			response := s.accepted(url, kindlytest.DialogueWebhookFor("new"))
			require.NotContains(t, string(response.Body), "Sorry")
			acknowledged["new"] = true
			next.eventually("everything is delivered", func() bool {
				_, status := next.ask(http.MethodGet, "/kindly/status", "")
				pending := gjson.Get(status, "deliveries.pending") // not there until the store is ready
				return pending.Exists() && pending.Int() == 0
			})
			require.GreaterOrEqual(t, s.desk.Count(), accident.least+1)
			if name != "empty" && s.desk.Count() < pending+1 {
				next.waitFor(setAside) // else only what was free was hit
			}
			require.Zero(t, next.stop(terminate))
			for chat, n := range ticketsByChat(t, s.desk) {
				require.True(t, acknowledged[chat], "%q was never sent", chat)
				require.Equal(t, 1, n, chat)
			}
			t.Logf("%d of %d survive", s.desk.Count()-1, pending)
		})
	}
}

// garble overwrites a part of a file.
func garble(f []byte, from, n int) []byte {
	for i := from; i < min(from+n, len(f)); i++ {
		f[i] = byte(rand.Uint32())
	}
	return f
}
