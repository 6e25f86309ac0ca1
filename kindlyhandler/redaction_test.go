package kindlyhandler_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// The cards of nobody, and a personal number with a digit escaped.
const (
	aCard       = "4111 1111 1111 1111"
	anotherCard = "5555555555554444"
	aNumber     = `\u00323114048690`
)

// cardChat is a chat whose id could be a card's number. It stays what it is.
const cardChat = "4222222222222"

// redacts has cards, personal numbers and orders redacted.
func redacts(o *kindlyhandler.Options) {
	gone := "(gone)"
	o.Redact = []kindlyhandler.Redaction{{Pattern: "card"}, {Pattern: "national_id", Replacement: &gone}, {Pattern: `order \d+`}}
	o.Reply = kindlyhandler.Texts{"": "{kindly.message}, {kindly.context.phone}"}
	for _, u := range o.Upstreams {
		u.Header.Set("X-Message", "{kindly.message}")
	}
}

// confided returns a webhook in which somebody tells what nobody should.
func confided(card string) []byte {
	webhook := strings.Replace(string(kindlytest.DialogueWebhookFor(cardChat)), "create ticket", "order 7, "+card+", "+aNumber, 1)
	return []byte(strings.Replace(webhook, `"email":`, `"phone":4111111111111111,"email":`, 1))
}

// confide lets the chat's transcript tell it, too.
func (r *rig) confide() {
	r.kindly.SetTranscript(cardChat, bytes.ReplaceAll(kindlytest.TranscriptFor(cardChat), []byte(`"message":"`), []byte(`"message":"`+aCard+" "+aNumber+" ")))
}

// checkRedacted checks that nothing of it is in b.
func checkRedacted(t *testing.T, b []byte) {
	t.Helper()
	compact := strings.ReplaceAll(string(b), " ", "")
	for _, hidden := range []string{"4111111111111111", anotherCard, "23114048690", aNumber, "order7"} {
		assert.NotContains(t, compact, hidden)
	}
}

func TestRedact(t *testing.T) {
	r := newRig(t, setup{options: redacts})
	r.confide()
	r.told(r.send(confided(aCard)), "[redacted], [card], (gone), [card]")

	ticket := r.tickets(1)[0]
	checkRedacted(t, []byte(ticket.Raw))
	for path, want := range map[string]string{
		"chat.id":                      cardChat,
		"message":                      "[redacted], [card], (gone)",
		"customer.phone":               "[card]",
		"customer.email":               "me@example.com",
		"source.webhook.context.phone": "[card]",
		"source.webhook.message":       "[redacted], [card], (gone)",
	} {
		assert.Equal(t, want, ticket.Get(path).Str, path)
	}
	assert.Contains(t, ticket.Get("messages.0.text").Str, "[card] (gone)")
	assert.Contains(t, ticket.Get("transcript.text").Str, "[card] (gone)")
	assert.Equal(t, "[redacted], [card], (gone)", r.desk.Requests()[0].Header.Get("X-Message"))
}

// TestRedact_stored has what waits for a help desk that is down be redacted
// before it is stored.
func TestRedact_stored(t *testing.T) {
	store := memory.New(memory.Options{})
	r := newRig(t, setup{store: store, options: func(o *kindlyhandler.Options) {
		redacts(o)
		o.Retry = delivery.RetryPolicy{InitialInterval: time.Hour, Multiplier: 1, MaxInterval: time.Hour, MaxElapsed: 72 * time.Hour}
	}})
	r.confide()
	r.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	r.told(r.send(confided(aCard)), "later")
	page, err := store.List(r.context(), delivery.Query{ChatID: cardChat, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 1)
	d, err := store.Get(r.context(), page.Deliveries[0].ID)
	require.NoError(t, err)
	require.True(t, gjson.ValidBytes(d.Body))
	require.NotEmpty(t, d.Transcript)
	checkRedacted(t, d.Body)
	checkRedacted(t, d.Transcript)
}

// TestRedact_duplicates has webhooks be the same if they are as they came.
func TestRedact_duplicates(t *testing.T) {
	r := newRig(t, setup{options: redacts})
	first := r.send(confided(aCard))
	require.Equal(t, string(first.Body), string(r.send(confided(aCard)).Body))
	r.tickets(1)
	r.send(confided(anotherCard))
	r.tickets(2)
}

func TestRedact_ticketWebhook(t *testing.T) {
	r := newRig(t, setup{options: redacts})
	webhook := bytes.ReplaceAll(kindlytest.TicketWebhook(), []byte("Hi, can I talk"), []byte(aCard+" "+aNumber+" order 9"))
	r.send(webhook)
	ticket := r.tickets(1)[0]
	checkRedacted(t, []byte(ticket.Raw))
	assert.Contains(t, ticket.Get("subject").Str, "[card] (gone) [redacted]")
	assert.Equal(t, "t-4711", ticket.Get("kindly_ticket.id").Str)
}

func TestRedact_middleware(t *testing.T) {
	n := new(next)
	r := newRig(t, setup{next: n, options: redacts})
	r.confide()
	require.Equal(t, http.StatusTeapot, r.send(confided(aCard)).Status)
	checkRedacted(t, []byte(n.body))
	require.Equal(t, "[redacted], [card], (gone)", gjson.Get(n.body, "message").Str)
	require.Contains(t, gjson.Get(n.body, "transcript.text").Str, "[card]")
}

// A customer who is proven is known by what the token says.
func TestRedact_verified(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		authenticates(t, true)(o)
		o.Redact = []kindlyhandler.Redaction{{Pattern: "email"}}
	}})
	r.sendAs(userToken(t, cardChat, time.Minute), confided(aCard))
	ticket := r.tickets(1)[0]
	assert.Equal(t, private+"@example.com", ticket.Get("customer.email").Str)
	assert.Equal(t, "[email]", ticket.Get("context.email").Str)
}
