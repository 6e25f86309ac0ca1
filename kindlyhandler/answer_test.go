package kindlyhandler_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func TestDelivered(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		o.Reply = kindlyhandler.Texts{"": "ticket <b>{kindly.ticket.id}</b> for {kindly.customer.email} in {kindly.chat.id}"}
		o.NewContext = map[string]string{"ticket_id": "{kindly.ticket.id}", "ticket_url": "{kindly.ticket.url}"}
		o.ExchangeSlug = "ticket-created"
		o.Upstreams[0].Header.Set("X-Chat", "{kindly.chat.id}")
	}})
	r.desk.FirstID = 4711

	response := r.send(kindlytest.DialogueWebhook())
	require.Equal(t, http.StatusOK, response.Status)
	assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
	assert.JSONEq(t, `{
		"reply": "ticket <b>4711</b> for me@example.com in 5a3a38dfd923ba4238c70ca0",
		"new_context": {"ticket_id": "4711", "ticket_url": "`+r.desk.URL+`/tickets/4711"},
		"exchange_slug": "ticket-created"
	}`, string(response.Body))

	ticket := r.tickets(1)[0]
	assert.Equal(t, "create ticket", ticket.Get("subject").Str)
	assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
	assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
	assert.Equal(t, strings.TrimSpace(string(kindlytest.DialogueWebhook())), ticket.Get("source.webhook").Raw)
	assert.Equal(t, strings.TrimSpace(string(kindlytest.TranscriptFor("5a3a38dfd923ba4238c70ca0"))), ticket.Get("source.chat").Raw)

	request := r.desk.Tickets()[0]
	id, err := uuid.Parse(ticket.Get("id").Str)
	require.NoError(t, err)
	assert.Equal(t, uuid.Version(7), id.Version())
	assert.Equal(t, id.String(), request.IdempotencyKey)
	assert.Equal(t, http.MethodPost, request.Method)
	assert.Equal(t, []string{"application/json"}, request.Header["Content-Type"])
	assert.Equal(t, []string{deskToken}, request.Header["Authorization"])
	assert.Equal(t, []string{"5a3a38dfd923ba4238c70ca0"}, request.Header["X-Chat"])
	assert.Regexp(t, "^caddy-kindly", request.Header.Get("User-Agent"))

	r.counts.checkWebhooks(t, map[string]int{"dialogue delivered": 1})
	assert.Equal(t, map[int]int{0: 1}, r.counts.signatures)
}

func TestDelivered_ticketEvent(t *testing.T) {
	r := newRig(t, setup{})
	response := r.send(kindlytest.TicketWebhookFor("ticket.created", "some-chat"))
	assert.Equal(t, http.StatusOK, response.Status)
	assert.Equal(t, "{}", string(response.Body))
	ticket := r.tickets(1)[0]
	assert.Equal(t, "ticket.created", ticket.Get("event").Str)
	assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
	assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
	assert.Zero(t, r.kindly.Count(), "the messages are in the webhook")
	r.counts.checkWebhooks(t, map[string]int{"ticket.created delivered": 1})
}

func TestDelivered_withoutTranscripts(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Transcript = nil }})
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	ticket := r.tickets(1)[0]
	assert.Equal(t, gjson.Null, ticket.Get("transcript").Type)
	assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
	assert.Zero(t, r.kindly.Count())
	assert.Zero(t, r.counts.transcriptsMissing)
}

// Kindly shows the same sentence in the chat's language.
func TestDelivered_language(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		o.Reply = kindlyhandler.Texts{"": "Ticket", "nb": "Sak"}
	}})
	r.told(r.send([]byte(`{"chat_id":"1","exchange":{"language_code":"nb-NO"}}`)), "Sak")
	r.told(r.send([]byte(`{"chat_id":"2","exchange":{"language_code":"sv"}}`)), "Ticket")
}

func TestPending(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.RespondWithin = 100 * time.Millisecond }})
	r.desk.Fail(kindlytest.Delay(2 * time.Second))
	r.told(r.send(kindlytest.DialogueWebhookFor("a")), "later")
	response := r.send(kindlytest.TicketWebhookFor("ticket.created", "b"))
	assert.Equal(t, http.StatusOK, response.Status)
	assert.Equal(t, "{}", string(response.Body))
	r.counts.checkWebhooks(t, map[string]int{"dialogue pending": 1, "ticket.created pending": 1})
	r.tickets(2)
}

// Nobody waits for a second attempt.
func TestPending_atOnceWhenTheFirstAttemptFails(t *testing.T) {
	for _, status := range []int{408, 425, 429, 500, 503} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.RespondWithin = time.Minute }})
			r.desk.FailNext(1, kindlytest.Status(status))
			r.told(r.send(kindlytest.DialogueWebhook()), "later")
			r.tickets(1)
		})
	}
}

func TestPending_respondWithinZero(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.RespondWithin = 0 }})
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	r.tickets(1)
}

// A pending answer has no context and no dialogue: there is no ticket yet.
func TestPending_saysNothingOfATicket(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		o.RespondWithin = 0
		o.NewContext = map[string]string{"ticket_id": "{kindly.ticket.id}"}
		o.ExchangeSlug = "ticket-created"
		o.ReplyPending = kindlyhandler.Texts{"": "later, {kindly.customer.email}{kindly.ticket.id}"}
	}})
	r.told(r.send(kindlytest.DialogueWebhook()), "later, me@example.com")
}

func TestRefusedForGood(t *testing.T) {
	r := newRig(t, setup{})
	r.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	response := r.send(kindlytest.TicketWebhook())
	assert.Equal(t, http.StatusOK, response.Status)
	assert.Equal(t, "{}", string(response.Body))
	r.counts.checkWebhooks(t, map[string]int{"dialogue dead": 1, "ticket.updated dead": 1})
	assert.Len(t, r.logged("ticket not delivered: the delivery is a dead letter now"), 2)
}

// stuckStore cannot commit.
type stuckStore struct{ delivery.Store }

func (stuckStore) Put(ctx context.Context, _ []*delivery.Delivery) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNotStored(t *testing.T) {
	tests := map[string]setup{
		"full": {store: memory.New(memory.Options{MaxBytes: 1})},
		"too slow": {
			store:   stuckStore{memory.New(memory.Options{})},
			options: func(o *kindlyhandler.Options) { o.RespondWithin = 100 * time.Millisecond },
		},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, s)
			r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
			response := r.send(kindlytest.TicketWebhook())
			assert.Equal(t, http.StatusServiceUnavailable, response.Status)
			assert.Equal(t, "10", response.Header.Get("Retry-After"))
			assert.Equal(t, "webhook refused\n", string(response.Body))
			assert.Zero(t, r.desk.Attempts())
			r.counts.checkWebhooks(t, map[string]int{"dialogue not_stored": 1, "refused_store": 1})
			assert.Len(t, r.logged("webhook not accepted: it cannot be stored"), 1)
			if name == "too slow" {
				r.inTime(200*time.Millisecond, func(try string) { r.send(kindlytest.DialogueWebhookFor(try)) })
			}
		})
	}
}

// Without a queue, as in the moment before it is there, nothing is promised.
func TestNotConnected(t *testing.T) {
	const within = 100 * time.Millisecond
	r := newRig(t, setup{unconnected: true, options: func(o *kindlyhandler.Options) { o.RespondWithin = within }})
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	assert.Equal(t, http.StatusServiceUnavailable, r.send(kindlytest.TicketWebhook()).Status)
	r.inTime(within+patience, func(string) { r.told(r.send(kindlytest.DialogueWebhook()), "sorry") })
	assert.Zero(t, r.desk.Attempts())
}

// Who comes a moment too early waits for the queue, and is none the worse.
func TestNotConnected_yet(t *testing.T) {
	r := newRig(t, setup{unconnected: true})
	answered := make(chan []kindlytest.Response)
	go func() { answered <- r.atOnce(3, kindlytest.DialogueWebhook()) }()
	require.Eventually(t, func() bool {
		r.counts.mu.Lock()
		defer r.counts.mu.Unlock()
		return r.counts.signatures[0] == 3
	}, 10*time.Second, time.Millisecond)
	r.handler.Connect(r.queue)
	for _, response := range <-answered {
		r.told(response, "ticket 1")
	}
	r.tickets(1)
}

func TestLeftOut(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		o.Events = []string{"dialogue", "ticket.c*"}
		o.IgnoreSources = []string{"test"}
	}})
	for _, body := range [][]byte{
		kindlytest.TicketWebhookFor("ticket.updated", "1"),
		[]byte(`{"chat_id":"2","source":"test"}`),
		[]byte(`{"_meta":{"event":"ticket.created"},"ticket":{},"chat":{"id":"3","source":"test"}}`),
	} {
		response := r.send(body)
		assert.Equal(t, http.StatusOK, response.Status)
		assert.Equal(t, "{}", string(response.Body))
		assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
	}
	var reasons []any
	for _, entry := range r.logs.FilterMessage("webhook left out: it makes no ticket").All() {
		reasons = append(reasons, entry.ContextMap()["reason"])
	}
	assert.Equal(t, []any{"events", "ignore_source", "ignore_source"}, reasons)
	r.told(r.send([]byte(`{"chat_id":"4","source":"web"}`)), "ticket 1")
	r.send(kindlytest.TicketWebhookFor("ticket.created", "5"))
	r.tickets(2)
	r.counts.checkWebhooks(t, map[string]int{
		"ticket.updated ignored": 1, "dialogue ignored": 1, "ticket.created ignored": 1, "dialogue delivered": 1, "ticket.created delivered": 1,
	})
}

// Each upstream gets a ticket of its own; the chat is told about the first.
func TestSeveralUpstreams(t *testing.T) {
	second := kindlytest.NewHelpDesk()
	t.Cleanup(second.Close)
	second.FirstID = 100
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		o.Upstreams = append(o.Upstreams, kindlyhandler.UpstreamOptions{Name: "second", URL: second.URL, Method: http.MethodPut})
	}})
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	require.NoError(t, second.Wait(r.context(), 1))
	ticket := second.Tickets()[0]
	assert.Equal(t, http.MethodPut, ticket.Method)
	assert.NotEqual(t, r.desk.Tickets()[0].IdempotencyKey, ticket.IdempotencyKey)
	assert.Equal(t, "create ticket", gjson.GetBytes(ticket.Body, "subject").Str)
	assert.Equal(t, int64(4), gjson.GetBytes(ticket.Body, "messages.#").Int())
}

func TestRotatedSecrets(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Secrets = []string{"s3cr3t-new", secret} }})
	r.told(r.send(kindlytest.DialogueWebhookFor("1")), "ticket 1")
	response, err := r.kindly.Send(r.context(), r.url, "s3cr3t-new", kindlytest.DialogueWebhookFor("2"))
	require.NoError(t, err)
	r.told(response, "ticket 2")
	assert.Equal(t, map[int]int{0: 1, 1: 1}, r.counts.signatures)

	// The key of a duplicate is not the signature.
	response, err = r.kindly.Send(r.context(), r.url, "s3cr3t-new", kindlytest.DialogueWebhookFor("1"))
	require.NoError(t, err)
	r.told(response, "ticket 1")
	r.tickets(2)
}
