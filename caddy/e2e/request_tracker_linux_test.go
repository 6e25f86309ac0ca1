package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// wrongToken looks like one of Request Tracker's.
const wrongToken = "1-14-00000000000000000000000000000000"

// supportDesk is a Request Tracker that gets its tickets through Caddy.
type supportDesk struct {
	t *testing.T
	*requestTracker
	*sides
	caddy *caddy
	url   string // of the webhook
}

func newSupportDesk(t *testing.T) *supportDesk {
	t.Helper()
	address := freeAddress(t)
	d := &supportDesk{t: t, requestTracker: newRequestTracker(t), sides: newSides(t), url: "http://" + address + "/kindly"}
	d.caddy = start(t, "", site("http://"+address, d.directive("/kindly", d.token),
		d.directive("/wrong wrong", wrongToken)))
	return d
}

func (d *supportDesk) directive(head, token string) string {
	return directive(head,
		"secret {env.KINDLY_SECRET}",
		"api_key {env.KINDLY_API_KEY}",
		"transcript {\n\t\t\tapi "+d.kindly.URL+"\n\t\t}",
		"upstream request_tracker "+d.page("")+" {\n\t\t\ttoken "+token+"\n\t\t\tqueue Support\n\t\t\ttimeout 25s\n\t\t}",
		"retry {\n\t\t\tmax_interval 1s\n\t\t}",
		"respond_within 28s",
		`reply "Ticket {kindly.ticket.id} created."`,
		`reply_pending "You will hear from us."`,
		"new_context ticket {kindly.ticket.url}",
	)
}

var kari = rtUser{EmailAddress: "kari@example.no", RealName: "Kari Nordmann"}

// message is one of a chat's.
type message map[string]any

// chat makes Kindly know a chat, and returns the webhook of somebody in it who
// has reached the dialogue that makes tickets.
func (d *supportDesk) chat(id string, customer rtUser, text string, messages ...message) []byte {
	for i, m := range messages {
		m["id"] = fmt.Sprint("m", i)
		m["created"] = fmt.Sprintf("2026-11-23T09:%02d:00Z", i%60)
	}
	d.kindly.SetTranscript(id, encode(map[string]any{"chat": map[string]any{"id": id, "bot_id": 4, "messages": messages}}))
	return encode(map[string]any{
		"bot_id": 4, "chat_id": id, "message": text, "source": "web", "web_url": "https://shop.example.com/orders",
		"context": map[string]any{"name": customer.RealName, "email": customer.EmailAddress},
	})
}

func encode(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // there is nothing in it that fails to marshal
	}
	return encoded
}

// created sends a webhook that becomes a ticket at once, and returns the
// ticket's id and page, as the chat gets them.
func (d *supportDesk) created(webhook []byte) (id, page string) {
	d.t.Helper()
	var answer struct {
		Reply   string
		Context struct{ Ticket string } `json:"new_context"`
	}
	body := d.accepted(d.url, webhook).Body
	require.NoError(d.t, json.Unmarshal(body, &answer))
	_, err := fmt.Sscanf(answer.Reply, "Ticket %s created.", &id)
	require.NoError(d.t, err, string(body))
	return id, answer.Context.Ticket
}

// TestRequestTracker looks at tickets in a real help desk, by its API and in a
// browser.
func TestRequestTracker(t *testing.T) {
	t.Parallel()
	d := newSupportDesk(t)
	d.isKnownToDoctor()
	b := newBrowser(t)
	b.logInto(d.requestTracker)
	d.showsTicket(b)
	d.executesNothing(b)
	d.showsLongChat(b)
}

// isKnownToDoctor proves that the preset's check tells good credentials from
// others.
func (d *supportDesk) isKnownToDoctor() {
	d.t.Helper()
	for token, want := range map[string]string{
		d.token:    `ok +upstream request_tracker +it takes the credentials \(GET /REST/2\.0/rt\)`,
		wrongToken: `problem +upstream request_tracker +the upstream answered 401 Unauthorized to GET /REST/2\.0/rt: it refuses the credentials`,
	} {
		config := file(d.t, "Caddyfile", d.caddy.caddyfile("", site("http://localhost", d.directive("/kindly", token))))
		_, printed := doctorSays(d.t, d.caddy.env(), "--config", config)
		require.Regexp(d.t, want, printed)
	}
}

// logInto logs in as root, who sees everything.
func (b *browser) logInto(rt *requestTracker) {
	b.t.Helper()
	b.open(rt.page("/"))
	act(b, chromedp.SendKeys(chromedp.CSS("input[name=user]"), "root"))
	act(b, chromedp.SendKeys(chromedp.CSS("input[name=pass]"), "password"))
	act(b, chromedp.Submit(chromedp.CSS("input[name=pass]")))
	act(b, chromedp.WaitVisible(chromedp.CSS("#app-nav")))
}

// showsTicket is about a chat as people have it.
func (d *supportDesk) showsTicket(b *browser) {
	t := d.t
	id, page := d.created(d.chat("a-chat", kari, "Pakken er våt 😢 – hva nå?",
		message{"sender": "BOT", "name": "Hjelperen", "message": "<p>Hei! Velg et <b>tema</b>:</p>", "buttons": []any{message{"label": "Vilkår", "value": "https://shop.example.com/vilkar"}}},
		message{"sender": "USER", "name": "You", "message": "Pakken er våt 😢 – hva nå?", "attachments": []any{message{"name": "skade.jpg", "url": "https://files.example.com/skade.jpg"}}},
		message{"sender": "AGENT", "name": "Ola", "message": "Fyll ut <a href=\"https://shop.example.com/retur\">skjemaet</a>.<blockquote>Varer kan returneres.</blockquote>"},
	))
	require.Equal(t, d.page("/Ticket/Display.html?id="+id), page)

	ticket := d.ticket(id)
	require.Equal(t, "Pakken er våt 😢 – hva nå?", ticket.Subject)
	require.Equal(t, "Support", d.queue(ticket.Queue.ID))
	require.Equal(t, "kindly", ticket.Creator.ID)
	require.Len(t, ticket.Requestor, 1)
	require.Equal(t, kari, d.user(ticket.Requestor[0].ID))
	require.Equal(t, []string{"kari@example.no"}, d.mailedTo(), "RT's autoreply")
	contents := d.contents(id)
	require.Len(t, contents, 1)
	require.Equal(t, "text/html", contents[0].ContentType)
	require.Contains(t, contents[0].text, ">Pakken er våt 😢 – hva nå?<p>Attachment: ")

	b.open(page)
	require.Equal(t, "#"+id+": Pakken er våt 😢 – hva nå?", act(b, chromedp.Title()))
	require.Equal(t, "Kari Nordmann <kari@example.no>", strings.TrimSpace(b.read(".requestors .current-value")))
	said := b.read(".message-stanza")
	b.screenshot("ticket.png")
	for _, text := range []string{
		"Customer: Kari Nordmann, kari@example.no\n",
		"2026-11-23 10:00:00 CET – Hjelperen:\n", "Hei! Velg et tema:", "[Vilkår]",
		"2026-11-23 10:01:00 CET – Kari Nordmann:\n", "Pakken er våt 😢 – hva nå?", "Attachment: skade.jpg",
		"2026-11-23 10:02:00 CET – Ola:\n", "Fyll ut skjemaet.", "Varer kan returneres.",
	} {
		require.Contains(t, said, text)
	}
	for _, link := range []string{"https://shop.example.com/orders", "https://shop.example.com/vilkar", "https://files.example.com/skade.jpg", "https://shop.example.com/retur"} {
		act(b, chromedp.WaitVisible(chromedp.CSS(`.message-stanza a[href="`+link+`"]`)))
	}
}

// attack is a chat message that takes over a page if the page lets it.
const attack = `</div></blockquote><script>document.title='taken over';alert(1)</script>` +
	`<img src=x onerror="document.title='taken over';alert(2)"><svg onload="alert(3)"></svg>` +
	`<a href="javascript:alert(4)">click</a><style>body{display:none}</style>` +
	"\u202egnihtemos \u0000\u0007\u001b[31m\ufeff עברית 👩‍👩‍👧‍👦"

// executesNothing is about a chat with somebody who attacks the agents.
func (d *supportDesk) executesNothing(b *browser) {
	t := d.t
	b.open("data:text/html," + url.PathEscape(attack))
	require.Eventually(t, func() bool { return b.dialogs.Load() == 3 }, patience, 10*time.Millisecond, "the attack works where nothing is done against it")
	b.dialogs.Store(0)

	id, page := d.created(d.chat("<script>alert(5)</script>", rtUser{EmailAddress: "x@example.no", RealName: `"Kari" <script>alert(6)</script> <y@evil.example>, "z@evil.example`}, attack,
		message{
			"sender": "USER", "name": "</b>" + attack, "message": attack, "buttons": []any{message{"label": attack, "value": "javascript:alert(7)"}},
			"attachments": []any{message{"name": attack, "url": "https://files.example.com/\"><script>alert(8)</script>"}},
		}))
	ticket := d.ticket(id)
	require.Len(t, ticket.Requestor, 1)
	require.Equal(t, rtUser{EmailAddress: "x@example.no", RealName: "Kari scriptalert6script yevil.example zevil.example"}, d.user(ticket.Requestor[0].ID))
	require.Equal(t, []string{"kari@example.no", "x@example.no"}, d.mailedTo())
	for _, path := range []string{"/Ticket/Display.html?id=" + id, "/Ticket/History.html?id=" + id, "/Search/Results.html?Query=id=" + id, "/"} {
		b.open(d.page(path))
		require.NotContains(t, act(b, chromedp.Title()), "taken over")
	}
	b.open(page)
	require.Contains(t, b.read(".message-stanza"), "עברית 👩‍👩‍👧‍👦")
	b.screenshot("hostile.png")
	active := act(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".message-stanza *")].filter(e =>
		!["P", "B", "BR", "A", "DIV", "SPAN"].includes(e.tagName) ||
		[...e.attributes].some(a => a.name.startsWith("on") || /^\s*javascript:/i.test(a.value))).map(e => e.outerHTML)`))
	require.Empty(t, active)
	require.NotContains(t, act(b, chromedp.Title()), "taken over")
	require.Zero(t, b.dialogs.Load())
}

// showsLongChat is about a chat that Request Tracker would not show.
func (d *supportDesk) showsLongChat(b *browser) {
	t := d.t
	messages := make([]message, 300)
	for i := range messages {
		messages[i] = message{"sender": "USER", "name": "You", "message": fmt.Sprintf("Melding %d: %s", i, strings.Repeat("blåbærsyltetøy ", 10))}
	}
	id, page := d.created(d.chat("a-long-chat", kari, "Hei", messages...))
	contents := d.contents(id)
	require.Len(t, contents, 2)
	require.Equal(t, "chat.txt", contents[1].Filename)
	require.Contains(t, contents[1].text, "Melding 299: blåbærsyltetøy ")

	b.open(page)
	said := b.read(".message-stanza")
	require.Contains(t, said, "Melding 50: blåbærsyltetøy ")
	require.Contains(t, said, "[… cut here: it is longer than the help desk takes]")
	require.Contains(t, b.read(".downloadfilename"), "chat.txt")
	b.screenshot("long.png")
}

// TestRequestTrackerAway sends a webhook while the help desk is down.
func TestRequestTrackerAway(t *testing.T) {
	t.Parallel()
	d := newSupportDesk(t)
	d.refuses()

	before := d.count()
	d.requestTracker.stop()
	webhook := d.chat("a-chat", kari, "Hei", message{"sender": "USER", "name": "You", "message": "Hei"})
	require.JSONEq(t, `{"reply": "You will hear from us."}`, string(d.accepted(d.url, webhook).Body))
	require.Len(t, d.caddy.list("--state", "pending", "--name", "default"), 1)

	d.requestTracker.start()
	d.caddy.eventually("it is delivered", func() bool { return len(d.caddy.list("--state", "delivered", "--name", "default")) == 1 })
	require.Equal(t, before+1, d.count())
	id, _ := d.created(webhook)
	require.Equal(t, "Hei", d.ticket(id).Subject)
	require.Equal(t, before+1, d.count())
}

// refuses is about the answers that the preset's comment tells of.
func (d *supportDesk) refuses() {
	t := d.t
	for name, refused := range map[string]struct {
		body, user, password string
		status               int
		answer               string
	}{
		"no queue":       {`{"Subject": "x"}`, "", d.token, http.StatusBadRequest, `{"message":"Could not create ticket. Queue not set"}`},
		"unknown queue":  {`{"Queue": "Sales", "Subject": "x"}`, "", d.token, http.StatusForbidden, `{"message":"No permission to create tickets in the queue 'Sales'"}`},
		"another queue":  {`{"Queue": "General", "Subject": "x"}`, "", d.token, http.StatusForbidden, `{"message":"No permission to create tickets in the queue 'General'"}`},
		"wrong token":    {`{"Queue": "Support", "Subject": "x"}`, "", wrongToken, http.StatusUnauthorized, `{"message":"Unauthorized"}`},
		"wrong password": {`{"Queue": "Support", "Subject": "x"}`, "root", "a guess", http.StatusUnauthorized, `{"message":"Unauthorized"}`},
	} {
		status, answer := d.call(http.MethodPost, "/ticket", refused.body, refused.user, refused.password)
		require.Equal(t, refused.status, status, name)
		require.JSONEq(t, refused.answer, answer, name)
	}

	// A full disk has the same effect.
	d.sql("CREATE TRIGGER full BEFORE INSERT ON Tickets BEGIN SELECT RAISE(FAIL, 'full'); END")
	status, refusal := d.call(http.MethodPost, "/ticket", `{"Queue": "Support", "Subject": "x"}`, "", d.token)
	d.sql("DROP TRIGGER full")
	require.Equal(t, http.StatusBadRequest, status)
	require.JSONEq(t, `{"message":"Ticket could not be created due to an internal error"}`, refusal)

	answer := d.accepted(strings.Replace(d.url, "/kindly", "/wrong", 1), d.chat("another-chat", kari, "Hei"))
	require.JSONEq(t, `{"reply": "You will hear from us."}`, string(answer.Body))
	require.Regexp(t, `(?m)^wrong +request_tracker +paused `, d.caddy.kindly("status"))
	require.Zero(t, d.count())
}
