package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// mover has a queue in which there is something of everything: a delivered
// webhook, a dead letter, and pending ones of two chats, of which one has two.
type mover struct {
	*sides
	url, address               string
	delivered, dead, one, a, b []byte
	answer                     string // to the delivered one
}

func newMover(t *testing.T) *mover {
	t.Helper()
	address := freeAddress(t)
	return &mover{
		sides: newSides(t), address: address, url: "http://" + address + "/kindly",
		delivered: kindlytest.DialogueWebhookFor("delivered"), dead: kindlytest.DialogueWebhookFor("dead"),
		one: kindlytest.DialogueWebhookFor("one"), a: kindlytest.DialogueWebhookFor("two"),
		b: bytes.Replace(kindlytest.DialogueWebhookFor("two"), []byte("create ticket"), []byte("and another one"), 1),
	}
}

func (m *mover) site() string {
	return site("http://"+m.address, m.webhook("/kindly", "reply {kindly.ticket.id}", "reply_pending later"))
}

// fill sends the webhooks.
func (m *mover) fill() {
	m.t.Helper()
	m.answer = string(m.accepted(m.url, m.delivered).Body)
	require.JSONEq(m.t, `{"reply":"4711"}`, m.answer)
	m.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	m.accepted(m.url, m.dead)
	m.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	for _, webhook := range [][]byte{m.one, m.a, m.b} {
		require.JSONEq(m.t, `{"reply":"later"}`, string(m.accepted(m.url, webhook).Body))
	}
}

// check requires everything to be delivered exactly once, in order, and to be
// known when it comes again.
func (m *mover) check() {
	m.t.Helper()
	m.waitTickets(4)
	require.Equal(m.t, m.answer, string(m.accepted(m.url, m.delivered).Body))
	for _, webhook := range [][]byte{m.one, m.a, m.b} {
		m.accepted(m.url, webhook)
	}
	require.Equal(m.t, 4, m.desk.Count())
	m.accepted(m.url, m.dead) // which revives it
	tickets := m.waitTickets(5)
	keys := make(map[string]bool)
	var ofTwo []string
	for _, ticket := range tickets {
		require.False(m.t, keys[ticket.IdempotencyKey], "it came twice")
		keys[ticket.IdempotencyKey] = true
		var document struct {
			Message string
			Chat    struct{ ID string }
		}
		require.NoError(m.t, json.Unmarshal(ticket.Body, &document))
		if document.Chat.ID == "two" {
			ofTwo = append(ofTwo, document.Message)
		}
	}
	require.Equal(m.t, []string{"create ticket", "and another one"}, ofTwo)
}

// TestMove moves a queue to another store while nothing runs, as the README
// says.
func TestMove(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	c := start(t, "", m.site())
	m.fill()
	require.Zero(t, c.stop(terminate))

	m.moves(c, "\tkindly {\n\t\tstore bolt "+filepath.Join(t.TempDir(), "new.db")+"\n\t}")
}

// moves moves what a Caddy that has ended had in its file to the store that
// options tell, and has that delivered.
func (m *mover) moves(c *caddy, options string) {
	t := m.t
	t.Helper()
	config := file(t, "Caddyfile", c.caddyfile("", m.site()))
	export := filepath.Join(t.TempDir(), "deliveries.jsonl")
	status, printed := call(t, c.env(), nil, "kindly-caddy", "kindly", "deliveries", "export", "--offline", "--config", config, "--output", export)
	require.Zero(t, status, printed)
	require.Contains(t, printed, "5 deliveries exported to "+export)
	content, err := os.ReadFile(export)
	require.NoError(t, err)
	require.NotContains(t, string(content), apiKey)
	require.NotContains(t, string(content), secret)

	config = file(t, "Caddyfile", c.caddyfile(options, m.site()))
	for _, want := range []string{"5 deliveries imported, 0 there already.", "0 deliveries imported, 5 there already."} {
		status, printed = call(t, c.env(), nil, "kindly-caddy", "kindly", "deliveries", "import", "--offline", "--config", config, export)
		require.Zero(t, status, printed)
		require.Contains(t, printed, want)
	}
	m.desk.Recover()
	c = startWith(t, c.more, c.data, options, m.site())
	m.check()
	require.Equal(t, "0 deliveries imported, 5 there already.\n", c.kindly("deliveries", "import", export))
	require.Equal(t, 5, m.desk.Count())
}

// TestMoveWhileRunning moves what a reload has left behind to the store that
// the server has now.
func TestMoveWhileRunning(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	c := start(t, "", m.site())
	m.fill()
	old := file(t, "Caddyfile", c.caddyfile("", m.site()))
	require.NoError(t, c.reload("\tkindly {\n\t\tstore bolt "+filepath.Join(t.TempDir(), "new.db")+"\n\t}", m.site()))
	c.waitFor("move them to the new store with `caddy kindly deliveries export --offline` and `import`")

	m.desk.Recover()
	name := filepath.Join(t.TempDir(), "deliveries.jsonl")
	status, printed := call(t, c.env(), nil, "kindly-caddy", "kindly", "deliveries", "export", "--offline", "--config", old, "--output", name)
	require.Zero(t, status, printed)
	require.Equal(t, "5 deliveries imported, 0 there already.\n", c.kindly("deliveries", "import", name))
	m.check()

	live := c.kindly("deliveries", "export")
	require.Contains(t, live, `"state":"delivered"`)
	require.Contains(t, live, `{"deliveries":5}`)
}

// TestImportOfHostileFiles: whatever is imported, Caddy goes on, and says which
// line it does not take.
func TestImportOfHostileFiles(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	c := start(t, "", m.site())
	for name, test := range map[string]struct{ file, want string }{
		"a line without an end": {"{\"format\":\"kindly-deliveries\",\"version\":1}\n\"" + string(bytes.Repeat([]byte("a"), 8<<20)), "line 2: it is not a JSON object in one line"},
		"zeros":                 {string(make([]byte, 1<<20)), "line 1: this is no export of deliveries"},
		"a deep one":            {"{\"format\":\"kindly-deliveries\",\"version\":1}\n" + string(bytes.Repeat([]byte(`{"body":`), 100_000)), "line 2: it is not a JSON object in one line"},
	} {
		status, printed := call(t, nil, nil, "kindly-caddy", "kindly", "deliveries", "import", file(t, "hostile", test.file), "--address", c.admin)
		require.Equal(t, 1, status, name)
		require.Contains(t, printed, test.want, name)
		response, err := http.Post("http://"+c.admin+"/kindly/deliveries/import", "application/x-ndjson", bytes.NewReader([]byte(test.file)))
		require.NoError(t, err, name)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusBadRequest, response.StatusCode, name)
	}
	require.Empty(t, c.list())
	m.accepted(m.url, m.one)
	m.waitTickets(1)
}
