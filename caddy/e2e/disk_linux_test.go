package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestReadOnlyDirectory proves that the operator is told soon what is wrong.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	dir := mount(t, readOnly, "")
	s := newSides(t)
	c := &caddy{admin: freeAddress(t), data: t.TempDir()}
	path := filepath.Join(dir, "kindly", "deliveries.db")
	config := c.caddyfile("kindly {\n\t\tstore bolt "+path+"\n\t}", site("http://"+freeAddress(t), s.webhook("/kindly")))
	started := time.Now()
	status, printed := call(t, c.env(), nil, "kindly-caddy", "run", "--adapter", "caddyfile", "--config", file(t, "Caddyfile", config))
	require.Less(t, time.Since(started), 10*time.Second)
	require.Equal(t, 1, status, printed)
	require.Contains(t, printed, "kindly app module: start: store bolt "+path+": mkdir "+filepath.Dir(path)+": read-only file system")
}

// bulky returns a webhook that no compression makes small.
func bulky(chat string, size int) []byte {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x", rand.Uint64())
	}
	return []byte(strings.Replace(string(kindlytest.DialogueWebhookFor(chat)), "create ticket", b.String(), 1))
}

// TestFullDisk fills the disk that has the store: webhooks are refused, the
// process lives, nothing that was acknowledged is lost, and with some room it
// all goes on. So it does when Caddy starts with the disk full.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := mount(t, 0, "size=4m")
	s := newSides(t)
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600))
	address, other := freeAddress(t), freeAddress(t)
	url := "http://" + address + "/kindly"
	options := "kindly {\n\t\tstore bolt " + filepath.Join(dir, "kindly", "deliveries.db") + "\n\t}"
	sites := site("http://"+address, directive("/kindly", "secret {env.KINDLY_SECRET}", "transcript off", "upstream "+s.desk.URL,
		"retry {\n\t\t\tinitial_interval 100ms\n\t\t\tmax_interval 1s\n\t\t}")) + site("http://"+other, "respond hello")
	c := start(t, options, sites)

	acknowledged := make(map[string]bool)
	send := func(chat string) (accepted bool) {
		t.Helper()
		response := s.accepted(url, bulky(chat, 20_000))
		accepted = !strings.Contains(string(response.Body), "Sorry")
		if accepted {
			acknowledged[chat] = true
		}
		return accepted
	}
	fill := func(round string) {
		t.Helper()
		for i := 0; send(fmt.Sprintf("%s-%d", round, i)); i++ {
			require.Less(t, i, 1000, "the disk is never full")
		}
	}
	fill("first")
	require.Greater(t, len(acknowledged), 10)
	// What attempts have given back may be room for another one.
	for i := 0; ; i++ {
		require.Less(t, i, 100, "the disk is never full")
		chat := fmt.Sprintf("%d-%s", i, strings.Repeat("0123456789abcdef", 2000))
		response := s.send(url, kindlytest.TicketWebhookFor("ticket.created", chat))
		if response.Status == http.StatusOK {
			acknowledged[chat] = true
			continue
		}
		require.Equal(t, http.StatusServiceUnavailable, response.Status)
		require.NotEmpty(t, response.Header.Get("Retry-After"))
		break
	}
	c.waitFor("cannot write to the store: webhooks are refused until that works again")
	require.Contains(t, c.out.String(), "no space left on device")
	c.running()

	require.NoError(t, os.Truncate(ballast, 1<<20))
	c.eventually("there is room again", func() bool { return send(fmt.Sprintf("room-%d", len(acknowledged))) })
	fill("second")
	c.stop(syscall.SIGKILL)

	c = startIn(t, c.data, options, sites)
	response, err := http.Get("http://" + other)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Zero(t, c.stop(terminate), "it ends with the disk full, too")

	require.NoError(t, os.Remove(ballast))
	s.desk.Recover()
	c = startIn(t, c.data, options, sites)
	s.waitTickets(len(acknowledged))
	for chat, n := range ticketsByChat(t, s.desk) {
		require.True(t, acknowledged[chat], "%s was refused", chat)
		require.Equal(t, 1, n, chat)
	}
	require.NotContains(t, c.out.String(), "damaged")
}

// TestDamagedFileOnFullDisk starts Caddy where a damaged file cannot be
// replaced: it refuses webhooks in time, goes on as soon as there is room, and
// can be stopped without any.
func TestDamagedFileOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := mount(t, 0, "size=1m")
	s := newSides(t)
	path, address := filepath.Join(dir, "deliveries.db"), freeAddress(t)
	url := "http://" + address + "/kindly"
	options := "kindly {\n\t\tstore bolt " + path + "\n\t\tgrace_period 2s\n\t}"
	sites := site("http://"+address, s.webhook("/kindly", "respond_within 1s"))
	c := start(t, options, sites)
	require.Zero(t, c.stop(terminate))
	require.NoError(t, os.WriteFile(path, garble(make([]byte, 100_000), 0, 100_000), 0o600))
	ballast := filepath.Join(dir, "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600), syscall.ENOSPC)

	c = startIn(t, c.data, options, sites)
	started := time.Now()
	require.Contains(t, string(s.accepted(url, kindlytest.DialogueWebhook()).Body), "Sorry")
	require.Less(t, time.Since(started), 3*time.Second)
	c.waitFor("webhooks are refused until that works")
	require.NoError(t, os.Remove(ballast))
	c.eventually("there is room again", func() bool {
		return !strings.Contains(string(s.accepted(url, kindlytest.DialogueWebhook()).Body), "Sorry")
	})
	s.waitTickets(1)
	require.Zero(t, c.stop(terminate))

	require.NoError(t, os.WriteFile(path, garble(make([]byte, 100_000), 0, 100_000), 0o600))
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
	c = startIn(t, c.data, options, sites)
	require.Contains(t, string(s.accepted(url, kindlytest.DialogueWebhookFor("other")).Body), "Sorry")
	started = time.Now()
	require.Zero(t, c.stop(terminate))
	require.Less(t, time.Since(started), 6*time.Second)
}
