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

// TestLostByReload proves that the operator is told what a configuration
// without webhooks costs.
func TestLostByReload(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly")))
	s.pendingDeliveries("http://"+address+"/kindly", 3)
	require.NoError(t, c.reload("", site("http://"+address, "respond hello")))
	c.waitFor(`deliveries are lost: they were kept in memory, and nothing runs that could deliver them","pending":3`)
}

// TestLostByEnd proves the same of the end of the process, where Caddy logs to
// a file.
func TestLostByEnd(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	name := filepath.Join(t.TempDir(), "log")
	c := start(t, "log {\n\t\toutput file "+name+"\n\t}", site("http://"+address, s.webhook("/kindly")))
	s.pendingDeliveries("http://"+address+"/kindly", 3)
	require.Zero(t, c.stop(terminate))
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(content), `deliveries are lost: they were kept in memory, and nothing runs that could deliver them","pending":3`)
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
