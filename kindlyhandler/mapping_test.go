package kindlyhandler_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

// mapped returns a rig whose upstream has a mapping.
func mapped(t *testing.T, m upstream.Mapping) *rig {
	t.Helper()
	return newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Upstreams[0].Mapping = m }})
}

func TestMapping(t *testing.T) {
	r := mapped(t, upstream.Mapping{
		Body:      `{title: .subject, from: .customer.email, said: [.messages[] | "\(.sender): \(.text)"] | length, key: .id}`,
		Success:   `.status == 201 and .body.id != null`,
		TicketID:  `"DESK-\(.body.id)"`,
		TicketURL: `"https://desk.example/\(.body.id)"`,
	})
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket DESK-1")
	ticket := r.tickets(1)[0]
	assert.JSONEq(t, `{"title":"create ticket","from":"me@example.com","said":4,"key":"`+r.desk.Tickets()[0].Header.Get("Idempotency-Key")+`"}`, ticket.Raw)
	d := r.only()
	assert.Equal(t, delivery.Ticket{ID: "DESK-1", URL: "https://desk.example/1"}, d.Ticket)
	require.Len(t, d.Attempts, 1)
	assert.Empty(t, d.Attempts[0].Error)
}

// The method can depend on the ticket, with and without a body of one's own.
func TestMapping_method(t *testing.T) {
	for body, want := range map[string]string{"": `"version":1`, "{said: .message}": `{"said":"create ticket"}`} {
		r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
			o.Upstreams[0].Method = `if .messages | length > 3 then "PUT" else "POST" end`
			o.Upstreams[0].Mapping.Body = body
		}})
		r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
		ticket := r.desk.Tickets()[0]
		assert.Equal(t, http.MethodPut, ticket.Method)
		assert.Contains(t, string(ticket.Body), want)
	}
}

// What is no method costs its delivery, and its text is in no log; the rig sees to
// that.
func TestMapping_noMethod(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Upstreams[0].Method = ".message" }})
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	d := r.only()
	assert.Equal(t, delivery.Dead, d.State)
	require.Len(t, d.Attempts, 1)
	assert.Equal(t, delivery.StageTicket, d.Attempts[0].Stage)
	assert.Equal(t, "method: its result is none of POST, PUT and PATCH", d.Attempts[0].Error)
	assert.Zero(t, r.desk.Attempts())
}

// An expression that fails costs its delivery, and nothing else. Chats are not
// in what is said about it; the rig sees to that.
func TestMapping_fails(t *testing.T) {
	for expression, want := range map[string]string{
		`.message.x`:                         "body: it failed: expected an object but got: string",
		`error(.message)`:                    "body: it called `error`",
		`.messages[].text`:                   "body: it gives more than one result, where one is needed: put brackets around it to make them a list",
		`[repeat(.message)]`:                 "body: it does not come to an end: it was stopped after 2,000,000 steps",
		`reduce range(99) as $i (.; [., .])`: "body: its result is larger than 128 MiB",
		`.message * 1e9`:                     "body: what `*` makes in it is larger than 128 MiB",
	} {
		t.Run(expression, func(t *testing.T) {
			r := mapped(t, upstream.Mapping{Body: expression})
			r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
			d := r.only()
			assert.Equal(t, delivery.Dead, d.State)
			require.Len(t, d.Attempts, 1)
			assert.Equal(t, delivery.StageTicket, d.Attempts[0].Stage)
			assert.Equal(t, want, d.Attempts[0].Error)
			assert.Zero(t, r.desk.Attempts())
			logged := r.logged("ticket not delivered: the delivery is a dead letter now")
			require.Len(t, logged, 1)
			assert.Contains(t, logged[0].Context, zap.String("error", want))
		})
	}
}

// A page that stands in the help desk's place is not taken for it: tickets wait
// until it is back.
func TestMapping_noSuccess(t *testing.T) {
	r := mapped(t, upstream.Mapping{Success: "201"})
	r.desk.FailNext(2, kindlytest.Status(http.StatusOK))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	r.tickets(1)
}
