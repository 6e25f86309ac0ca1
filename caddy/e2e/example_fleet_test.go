//go:build unix

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// TestExampleFleet runs the example by its one command: webhooks reach a help
// desk through the balancer, also when one of the two behind it is killed, which
// is started again; and nothing is left in the end.
func TestExampleFleet(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	balancer := freeAddress(t)
	env := []string{
		"CADDY=" + filepath.Join(binaries, "kindly-caddy"), "HELPDESK_URL=" + s.desk.URL + "/tickets", "KINDLY_API=" + s.kindly.URL,
		"KINDLY_SECRET=" + secret, "KINDLY_API_KEY=" + apiKey, "KINDLY_POSTGRES=",
		"BALANCER=" + balancer, "ONE=" + freeAddress(t), "TWO=" + freeAddress(t),
		"BALANCER_ADMIN=" + freeAddress(t), "ONE_ADMIN=" + freeAddress(t), "TWO_ADMIN=" + freeAddress(t),
	}
	if os.Getenv(pgtest.Variable) != "" {
		env = append(env, "KINDLY_POSTGRES="+pgtest.Schema(t))
	}
	p := run(t, env, repositoryFile(t, "examples/fleet/run"))
	p.waitFor("Ctrl+C ends all of it")
	said := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(p.out.String())
		require.NotNil(t, found, pattern)
		return found[1]
	}
	sent := 0
	send := func(chat string) kindlytest.Response {
		t.Helper()
		sent++
		return s.accepted("http://"+balancer+"/kindly", kindlytest.DialogueWebhookFor(chat))
	}

	const reply = "Ticket 4711 created. We answer by e-mail."
	replies(t, reply, send("first"))
	one, err := strconv.Atoi(said(`Caddy one dies +kill -9 (\d+)`))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(one, syscall.SIGKILL))
	for _, chat := range readable("later", 4) {
		send(chat)
	}
	s.waitTickets(sent)
	// Maybe that died before it has noted what had become of the first one.
	p.eventually("the first one is known", func() bool {
		return gjson.GetBytes(s.accepted("http://"+balancer+"/kindly", kindlytest.DialogueWebhookFor("first")).Body, "reply").Str == reply
	})
	p.waitFor("Caddy one runs again")
	for _, chat := range readable("again", 4) {
		send(chat)
	}
	s.waitTickets(sent)
	require.Equal(t, sent, s.desk.Count())

	logs := said(`the logs +(\S+)`)
	require.DirExists(t, logs)
	require.Zero(t, p.stop(os.Interrupt))
	require.NoDirExists(t, logs)
	_, err = http.Get("http://" + balancer)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}
