package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// pendingDeliveries makes deliveries that cannot be delivered.
func (s *sides) pendingDeliveries(url string, n int) {
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	for i := range n {
		s.accepted(url, kindlytest.DialogueWebhookFor(fmt.Sprintf("pending-%d", i)))
	}
}

// inMemory is the global option for a store that does not outlive the process.
const inMemory = "kindly {\n\t\tstore memory\n\t}"

// TestLostByReload proves that the operator is told what a configuration
// without webhooks costs.
func TestLostByReload(t *testing.T) {
	t.Parallel()
	for options, told := range map[string]string{
		"":       `deliveries are left behind in a store that is no longer configured, and nothing delivers them`,
		inMemory: `deliveries are lost: they were kept in memory, and nothing runs that could deliver them`,
	} {
		s := newSides(t)
		address := freeAddress(t)
		webhook := site("http://"+address, s.webhook("/kindly"))
		c := start(t, options, webhook)
		s.pendingDeliveries("http://"+address+"/kindly", 3)
		require.NoError(t, c.reload("", site("http://"+address, "respond hello")))
		c.waitFor(told)
		require.Regexp(t, told+`.*"pending":3,"dead_letters":0`, c.out.String())
		if options == "" {
			s.desk.Recover()
			require.NoError(t, c.reload("", webhook))
			s.waitTickets(3)
		}
	}
}

// TestLostByEnd proves the same of the end of the process, where Caddy logs to
// a file.
func TestLostByEnd(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	name := filepath.Join(t.TempDir(), "log")
	c := start(t, inMemory+"\n\tlog {\n\t\toutput file "+name+"\n\t}", site("http://"+address, s.webhook("/kindly")))
	s.pendingDeliveries("http://"+address+"/kindly", 3)
	require.Zero(t, c.stop(terminate))
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(content), `deliveries are lost: they were kept in memory, and nothing runs that could deliver them","store":"memory","pending":3`)
	require.NoFileExists(t, c.deliveries())
}

// TestLogFollowsReload proves that what outlives a configuration logs where
// the newest one says.
func TestLogFollowsReload(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	first, second := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "log")
	webhook := site("http://"+address, s.webhook("/kindly"))
	c := start(t, "log {\n\t\toutput file "+first+"\n\t}", webhook)
	require.NoError(t, c.reload("log {\n\t\toutput file "+second+"\n\t}", webhook))
	s.desk.Fail(kindlytest.Status(http.StatusUnauthorized))
	s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	c.eventually("the second log tells of the pause", func() bool {
		content, err := os.ReadFile(second)
		return err == nil && strings.Contains(string(content), "upstream paused")
	})
}
