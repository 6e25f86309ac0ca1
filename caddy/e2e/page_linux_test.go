package e2e

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// hostile is what a visitor may write.
const hostile = `<img src="/x" onerror="alert(1)"><script>alert(2)</script>`

// chat gives a chat a transcript of what the visitor and the bot write by
// turns.
func (s *sides) chat(id string, texts ...string) {
	s.t.Helper()
	var messages []map[string]any
	for i, text := range texts {
		text = html.EscapeString(text) // messages are HTML
		messages = append(messages, map[string]any{
			"id": fmt.Sprint(i), "message": text, "from_bot": i%2 == 1, "name": []string{"You", "Webhook bot"}[i%2],
			"created": fmt.Sprintf("2026-11-24T14:28:%02d.558000Z", 7*i), "buttons": []any{},
		})
	}
	transcript, err := json.Marshal(map[string]any{"chat": map[string]any{"id": id, "messages": messages, "language_code": "en"}})
	require.NoError(s.t, err)
	s.kindly.SetTranscript(id, transcript)
}

// until waits until an expression is true in the page.
func (b *browser) until(expression string) {
	b.t.Helper()
	act(b, chromedp.Poll[bool](expression))
}

// reads waits until the first element of a selector shows a text.
func (b *browser) reads(selector, text string) {
	b.t.Helper()
	shown := fmt.Sprintf(`document.querySelector(%q)?.innerText ?? "(no such element)"`, selector)
	_, err := chromedp.Run(b.tab, chromedp.Poll[bool](fmt.Sprintf(`(%s).includes(%q)`, shown, text), chromedp.WithPollingTimeout(patience)))
	require.NoError(b.t, err, "it shows %q", act(b, chromedp.Evaluate[string](shown)))
}

// mutters collects what the page writes to the console: errors of scripts, and
// what the Content-Security-Policy has stopped. It must be nothing.
func (b *browser) mutters() {
	b.t.Helper()
	var mu sync.Mutex
	var said []string
	messages := chromedp.Console(b.tab)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			mu.Lock()
			said = append(said, message.String())
			mu.Unlock()
		}
	}()
	b.t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		require.Empty(b.t, said)
	})
}

// press presses Enter on an element, which must be reachable by keyboard.
func (b *browser) press(selector string) {
	b.t.Helper()
	act(b, chromedp.Focus(chromedp.CSS(selector), chromedp.NodeVisible))
	require.True(b.t, act(b, chromedp.Evaluate[bool](`document.activeElement.matches('a, button, input, select, summary') && document.activeElement.tabIndex >= 0`)))
	act(b, chromedp.KeyEvent(kb.Enter))
}

// TestPageDeadLetter is an operator's day in a browser: the help desk refuses
// a ticket of a visitor who means no good; it is found, read, retried in vain,
// and delivered once the help desk is mended. All by keyboard.
func TestPageDeadLetter(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support")))
	s.chat("chat-of-a-person", hostile, "What is your email?")
	s.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	webhook := strings.Replace(string(kindlytest.DialogueWebhookFor("chat-of-a-person")), `"message":"`, `"message":"<img src=/x onerror=alert(3)>`, 1)
	s.accepted("http://"+address+"/kindly", []byte(webhook))
	id := c.list()[0].ID

	b.mutters()
	b.open(startPage(t, c.admin))
	b.reads(".numbers", "1 dead")
	b.reads("#deliveries td", "support, default")
	require.Equal(t, 0, strings.Count(act(b, chromedp.Location()), "token"), "the token does not stay in the history")
	b.press("#deliveries tbody th a")
	b.reads("#delivery", id)
	b.until(`document.activeElement.id === 'delivery-title'`)
	b.reads(".timeline", "Attempt 1: failed while sending the ticket")
	b.reads(".timeline", "HTTP 422")
	b.reads(".chat .user .text", `<img src="/x" onerror="alert(1)">`)
	b.reads(".ticket", "<img src=/x onerror=alert(3)>create ticket")
	b.reads(".ticket", "me@example.com")
	require.Zero(t, act(b, chromedp.Evaluate[int](`document.querySelectorAll('img, main script, iframe').length`)))

	b.press(`#delivery [data-action="retry"]`)
	b.reads("#told", "It failed again: ")
	b.reads(".timeline", "Attempt 2: failed")
	s.desk.Recover()
	b.press(`#delivery [data-action="retry"]`)
	b.reads("#told", "Delivered, as ticket 4711")
	b.reads("#delivery .state", "delivered")
	b.reads(".timeline", "Attempt 3: delivered")
	b.until(`document.activeElement.id === 'delivery-title'`) // the button has gone
	require.Contains(t, b.read("#delivery .chat"), "nothing of the chat is kept here")
	require.Equal(t, id, s.waitTickets(1)[0].IdempotencyKey)
	require.Zero(t, b.dialogs.Load())
}

// TestPageFilter finds what is looked for, drops it, and pauses an upstream.
func TestPageFilter(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support"), s.webhook("/sales sales")))
	url := "http://" + address
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("good"))
	s.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	s.accepted(url+"/sales", kindlytest.DialogueWebhookFor("bad"))
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("bad"))
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("worse"))

	rows := func(n int) {
		t.Helper()
		b.until(fmt.Sprintf(`document.querySelectorAll('#deliveries tbody tr').length === %d`, n))
	}
	choose := func(id, value string) {
		t.Helper()
		act(b, chromedp.Evaluate[any](fmt.Sprintf(`{ const e = document.getElementById(%q); e.focus(); e.value = %q; e.dispatchEvent(new Event('change', {bubbles: true})) }`, id, value)))
	}
	b.mutters()
	b.open(startPage(t, c.admin))
	rows(4)
	choose("filter-state", "dead")
	rows(3)
	choose("filter-upstream", "support/default")
	rows(2)
	act(b, chromedp.SendKeys(chromedp.CSS("#filter-chat"), "worse"+kb.Enter))
	rows(1)
	b.reads("#deliveries", "worse")
	require.Contains(t, act(b, chromedp.Location()), "#/?state=dead&name=support&upstream=default&chat_id=worse")
	act(b, chromedp.NavigateBack())
	rows(2)

	// It is refreshed under the reader's hands.
	act(b, chromedp.Evaluate[any](`document.querySelector('#deliveries tbody tr:last-child button').focus(); scrollTo(0, 50)`))
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("worst"))
	rows(3)
	b.until(`document.activeElement.matches('#deliveries tbody tr:last-child button')`)

	b.press(`#deliveries tr:first-child [data-action="drop"]`)
	b.reads("#confirm", "Drop this delivery?")
	b.reads("#confirm", "(chat worst)")
	act(b, chromedp.KeyEvent(kb.Enter)) // "Keep it" has the focus
	b.until(`!document.getElementById('confirm').open && document.querySelector('[aria-disabled]') === null`)
	b.press(`#deliveries tr:first-child [data-action="drop"]`)
	b.press(`#confirm .danger`)
	b.reads("#told", "It was dropped")
	rows(2)
	require.Len(t, c.list("--state", "dead"), 3)

	b.press(`[data-action="pause"][data-name="sales"]`)
	b.reads(`tr[data-key="sales/default"]`, "paused by hand")
	b.press(`[data-action="resume"][data-name="sales"]`)
	b.reads(`tr[data-key="sales/default"]`, "healthy")
	require.Contains(t, c.kindly("status"), "healthy")

	b.press("#filter-clear")
	rows(4)
}

// TestPagePages goes through a list that is longer than a page.
func TestPagePages(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support")))
	for i := range 53 {
		s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhookFor(fmt.Sprintf("chat-%02d", i)))
	}
	b.mutters()
	b.open(startPage(t, c.admin))
	b.reads("#deliveries tbody", "chat-52")
	b.reads("#deliveries tbody", "chat-03")
	b.press(".pages a")
	b.until(`document.querySelectorAll('#deliveries tbody tr').length === 3`)
	b.reads("#deliveries tbody", "chat-00")
	b.press(".pages a")
	b.until(`document.querySelectorAll('#deliveries tbody tr').length === 50`)
}

// TestPageAndOtherSites has other sites try what they can in the page's own
// browser, one of them at the same address by another port, and knowing the
// path that they cannot know.
func TestPageAndOtherSites(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support")))
	url := startPage(t, c.admin)
	b.open(url)
	b.reads("#upstreams", "healthy")
	page, _, _ := strings.Cut(url, "?")

	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<iframe src=%q></iframe><form method="post" action=%q target="hidden"></form><iframe name="hidden"></iframe>`,
			page, page+"api/upstreams/support/default/pause")
	}))
	t.Cleanup(evil.Close)
	for _, from := range []string{evil.URL, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)} {
		b.open(from)
		got := act(b, chromedp.Evaluate[[]string](fmt.Sprintf(`(async () => {
			const tries = [
				['api/status', {}], ['api/status', {credentials: 'include'}], ['', {credentials: 'include'}],
				['api/status', {credentials: 'include', mode: 'no-cors'}],
				['api/upstreams/support/default/pause', {method: 'POST', credentials: 'include'}],
				['api/upstreams/support/default/pause', {method: 'POST', credentials: 'include', mode: 'no-cors'}],
			];
			const got = [];
			for (const [path, options] of tries) {
				await fetch(%[1]q + path, options).then(async (r) => r.type === 'opaque' || got.push(await r.text()), () => {});
			}
			const answered = new Promise((resolve) => document.querySelector('[name=hidden]').addEventListener('load', resolve));
			document.forms[0].submit();
			await answered;
			return got;
		})()`, page), chromedp.EvalAwaitPromise))
		require.Empty(t, got, from)
		require.Contains(t, c.kindly("status"), "healthy", from)
	}
	b.open(page)
	b.reads("#upstreams", "healthy")
}

// TestPageWithoutCaddy says what is wrong when what it needs has gone, and
// goes on when that is back.
func TestPageWithoutCaddy(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newSides(t)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	caddyfile := "{\n\tadmin unix/" + socket + "\n}\n" + site("http://"+freeAddress(t), s.webhook("/kindly support"))
	env := []string{"KINDLY_SECRET=" + secret, "KINDLY_API_KEY=" + apiKey}
	caddy := runWithFile(t, env, caddyfile)
	caddy.waitFor("serving initial configuration")
	b.open(startPage(t, "unix/"+socket))
	b.reads("#upstreams", "support, default")

	require.Zero(t, caddy.stop(terminate))
	act(b, chromedp.Click(chromedp.CSS("#refresh")))
	b.reads("#trouble", "no admin API answers at unix/"+socket)
	b.reads("#upstreams", "support, default")
	runWithFile(t, env, caddyfile).waitFor("serving initial configuration")
	act(b, chromedp.Click(chromedp.CSS("#refresh")))
	b.until(`document.getElementById('trouble').hidden`)
}

func TestPageCommandRefuses(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	c := start(t, "", site("http://"+freeAddress(t), s.webhook("/kindly support")))
	nobody := freeAddress(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--address", nobody}, "no admin API answers at " + nobody},
		{[]string{"--address", c.admin, "--listen", "0.0.0.0:0"}, `--listen is "0.0.0.0:0", which is not a loopback address: others could read along; write 127.0.0.1:<port>`},
		{[]string{"--address", c.admin, "--listen", ":8019"}, "which is not a loopback address"},
		{[]string{"--address", c.admin, "--listen", "8019"}, `--listen is "8019": `},
		{[]string{"--address", c.admin, "--listen", c.admin}, "cannot listen: "},
		{[]string{"more"}, `unknown command "more"`},
	} {
		status, printed := call(t, nil, nil, "kindly-caddy", append([]string{"kindly", "page"}, test.args...)...)
		require.Equal(t, 1, status)
		require.Contains(t, printed, test.want)
	}
	listen := freeAddress(t)
	p := run(t, nil, "kindly-caddy", "kindly", "page", "--address", c.admin, "--listen", listen)
	p.waitFor("  http://" + listen + "/")
	require.Zero(t, p.stop(syscall.SIGINT))
}
