//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

func init() { runTests = func(m *testing.M) int { return pgtest.Main(m) } }

// sharedStore is the global option of a fleet. Tests run side by side in one
// database, so each Caddy has few connections.
const sharedStore = `	kindly {
		store postgres {env.KINDLY_DSN} {
			max_connections 5
		}
		grace_period 1s
	}`

// fleet is some Caddys that share a store.
type fleet struct {
	*sides
	dsn           string
	options       string
	upstream      string // its subdirectives
	subdirectives []string
	members       []*member
}

// member is one of a fleet. What it is to the outside outlives the process.
type member struct {
	*caddy
	fleet   *fleet
	address string
	url     string // of its webhook
}

// newFleet starts a fleet in an empty schema of the database that all tests
// share.
func newFleet(t *testing.T, n int, subdirectives ...string) *fleet {
	t.Helper()
	return newFleetIn(t, pgtest.Schema(t), n, subdirectives...)
}

func newFleetIn(t *testing.T, dsn string, n int, subdirectives ...string) *fleet {
	t.Helper()
	f := planFleet(t, dsn, n, subdirectives...)
	f.start()
	return f
}

// planFleet is newFleetIn without the start.
func planFleet(t *testing.T, dsn string, n int, subdirectives ...string) *fleet {
	t.Helper()
	f := &fleet{sides: newSides(t), dsn: dsn, options: sharedStore, subdirectives: subdirectives}
	for range n {
		address := freeAddress(t)
		f.members = append(f.members, &member{fleet: f, address: address, url: "http://" + address + "/kindly"})
	}
	return f
}

func (f *fleet) start() {
	f.t.Helper()
	for _, m := range f.members {
		m.start()
	}
}

// start runs a member for the first time, or again.
func (m *member) start() {
	m.fleet.t.Helper()
	m.caddy = startWith(m.fleet.t, []string{"KINDLY_DSN=" + m.fleet.dsn}, m.fleet.t.TempDir(), m.fleet.options, m.sites())
}

func (m *member) sites(more ...string) string {
	f := m.fleet
	webhook := f.webhook("/kindly support", append(more, f.subdirectives...)...)
	if f.upstream != "" {
		webhook = strings.Replace(webhook, "/tickets", "/tickets {\n\t\t\t"+f.upstream+"\n\t\t}", 1)
	}
	return site("http://"+m.address, webhook)
}

// store returns what a member's status tells of its store.
func (m *member) store() gjson.Result {
	m.t.Helper()
	_, status := m.ask(http.MethodGet, "/kindly/status", "")
	return gjson.Get(status, "store")
}

func (f *fleet) urls() (urls []string) {
	for _, m := range f.members {
		urls = append(urls, m.url)
	}
	return urls
}

// meet waits until all members know of each other.
func (f *fleet) meet() {
	f.t.Helper()
	for _, m := range f.members {
		m.eventually("it knows of the others", func() bool { return m.store().Get("members").Int() == int64(len(f.members)) })
	}
}

// states returns how many deliveries a member lists in each state.
func (m *member) states() map[string]int {
	m.t.Helper()
	states := make(map[string]int)
	for _, d := range m.list() {
		states[d.State]++
	}
	return states
}

// says is a dialogue webhook of a chat, with a message of its own.
func says(chat, text string) []byte {
	return []byte(strings.Replace(string(kindlytest.DialogueWebhookFor(chat)), "create ticket", text, 1))
}

// messages returns what the tickets are about, in the order in which the help
// desk got them.
func (s *sides) messages() (messages []string) {
	s.t.Helper()
	for _, ticket := range s.desk.Tickets() {
		messages = append(messages, gjson.GetBytes(ticket.Body, "message").Str)
	}
	return messages
}

// replies requires an answer to have a reply.
func replies(t *testing.T, reply string, response kindlytest.Response) {
	t.Helper()
	require.Equal(t, http.StatusOK, response.Status)
	require.Equal(t, reply, gjson.GetBytes(response.Body, "reply").Str, string(response.Body))
}

// serverFor starts a database that the test may stop, and returns a DSN with a
// password.
func serverFor(t *testing.T) (*pgtest.Server, string) {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{})
	return server, server.LoopbackDSN(pgtest.Superuser, pgtest.Password)
}

// keepsPassword requires a text not to have the database's password, in the
// forms that it has in a DSN and without.
func keepsPassword(t *testing.T, what, text string) {
	t.Helper()
	for _, form := range []string{pgtest.Password, "p@ss", "p%40ss"} {
		require.NotContains(t, text, form, what)
	}
}

// readable makes a name for each of some things.
func readable(what string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", what, i))
	}
	return names
}
