package kindlyhandler_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// atOnce sends a webhook n times at the same time.
func (r *rig) atOnce(n int, body []byte) []kindlytest.Response {
	responses := make([]kindlytest.Response, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range responses {
		group.Go(func() {
			<-start
			var err error
			responses[i], err = r.kindly.Send(r.t.Context(), r.url, secret, body)
			assert.NoError(r.t, err)
		})
	}
	close(start)
	group.Wait()
	return responses
}

func TestDuplicates_atOnce(t *testing.T) {
	tests := map[string]struct {
		respondWithin time.Duration
		fail          kindlytest.Mode
		reply         string
		tickets       int
	}{
		"delivered":       {10 * time.Second, kindlytest.Delay(100 * time.Millisecond), "ticket 1", 1},
		"pending":         {200 * time.Millisecond, kindlytest.Hang(), "later", 0},
		"pending at once": {0, kindlytest.Hang(), "later", 0},
		"failed, pending": {10 * time.Second, kindlytest.Status(429, "Retry-After", "3600"), "later", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.RespondWithin = test.respondWithin }})
			r.desk.Fail(test.fail)
			for _, response := range r.atOnce(24, kindlytest.DialogueWebhook()) {
				r.told(response, test.reply)
			}
			r.tickets(test.tickets)
			require.NoError(t, r.desk.WaitAttempts(r.context(), 1))
			assert.Equal(t, 1, r.desk.Attempts())
			assert.Equal(t, 1, r.kindly.Count())
		})
	}
}

// All are refused together if the one that is to be stored is.
func TestDuplicates_atOnceNotStored(t *testing.T) {
	r := newRig(t, setup{store: memory.New(memory.Options{MaxBytes: 1})})
	for _, response := range r.atOnce(24, kindlytest.DialogueWebhook()) {
		r.told(response, "sorry")
	}
	for _, response := range r.atOnce(24, kindlytest.TicketWebhook()) {
		assert.Equal(t, http.StatusServiceUnavailable, response.Status)
	}
	assert.Zero(t, r.desk.Attempts())
}

func TestDuplicate_ofADelivered(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		o.NewContext = map[string]string{"ticket": "{kindly.ticket.id}", "email": "{kindly.customer.email}"}
	}})
	webhook := []byte(`{"chat_id":"1"}`) // the e-mail address is the transcript's
	first := r.send(webhook)
	assert.JSONEq(t, `{"reply":"ticket 1","new_context":{"ticket":"1","email":"me@example.com"}}`, string(first.Body))
	for range 3 {
		assert.Equal(t, first.Body, r.send(webhook).Body)
	}
	r.tickets(1)
	assert.Equal(t, 1, r.desk.Attempts())
	r.counts.checkWebhooks(t, map[string]int{"dialogue delivered": 1, "dialogue duplicate": 3})
}

// It is told what is true by now.
func TestDuplicate_ofAPending(t *testing.T) {
	r := newRig(t, setup{})
	r.desk.FailNext(1, kindlytest.Status(http.StatusTooManyRequests, "Retry-After", "1"))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	assert.Equal(t, 1, r.desk.Attempts())
	r.tickets(1)
	require.Eventually(t, func() bool {
		return string(r.send(kindlytest.DialogueWebhook()).Body) == `{"reply":"ticket 1"}`
	}, 10*time.Second, 10*time.Millisecond)
}

func TestDuplicate_ofADeadLetterRevivesIt(t *testing.T) {
	r := newRig(t, setup{})
	r.desk.FailNext(2, kindlytest.Status(http.StatusBadRequest))
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	requests := r.desk.Requests()
	require.Len(t, requests, 3)
	for _, request := range requests {
		assert.Equal(t, requests[0].Header["Idempotency-Key"], request.Header["Idempotency-Key"])
	}
	assert.Equal(t, 1, r.kindly.Count(), "the transcript is kept")
}

// Also several at once revive it once.
func TestDuplicate_ofADeadLetterAtOnce(t *testing.T) {
	r := newRig(t, setup{})
	r.desk.FailNext(1, kindlytest.Status(http.StatusBadRequest))
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	for _, response := range r.atOnce(24, kindlytest.DialogueWebhook()) {
		r.told(response, "ticket 1")
	}
	assert.Equal(t, 2, r.desk.Attempts())
}

func TestDuplicate_ticketEvent(t *testing.T) {
	r := newRig(t, setup{})
	for range 2 {
		response := r.send(kindlytest.TicketWebhook())
		assert.Equal(t, http.StatusOK, response.Status)
		assert.Equal(t, "{}", string(response.Body))
	}
	r.tickets(1)
}

// One byte more is another webhook, and so is the same one when its time is
// over.
func TestDuplicate_not(t *testing.T) {
	r := newRig(t, setup{})
	r.told(r.send([]byte(`{"chat_id":"1"}`)), "ticket 1")
	r.told(r.send([]byte(`{"chat_id":"1"} `)), "ticket 2")
	r.told(r.send([]byte(`{"chat_id":"1"}`)), "ticket 1")
}

// Webhooks of different names are different ones, also if they share a queue.
func TestDuplicate_otherName(t *testing.T) {
	r := newRig(t, setup{})
	other, err := kindlyhandler.New(kindlyhandler.Options{
		Name:          "other",
		Secrets:       []string{secret},
		Upstreams:     []kindlyhandler.UpstreamOptions{{URL: r.desk.URL}},
		RespondWithin: 10 * time.Second,
		Reply:         kindlyhandler.Texts{"": "the other's ticket {kindly.ticket.id}"},
	})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	both := other.Lanes()
	maps.Copy(both, r.handler.Lanes())
	r.queue.Push(both)
	other.Connect(r.queue)
	server := httptest.NewServer(other)
	t.Cleanup(server.Close)

	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	response, err := r.kindly.Send(r.context(), server.URL, secret, kindlytest.DialogueWebhook())
	require.NoError(t, err)
	r.told(response, "the other's ticket 2")
	r.tickets(2)
}

func TestDuplicate_off(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Dedupe = -1 }})
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 2")
}

func TestDuplicate_window(t *testing.T) {
	tests := map[string]struct {
		dedupe  time.Duration
		webhook []byte
		window  time.Duration
	}{
		"dialogue":     {0, kindlytest.DialogueWebhook(), 10 * time.Minute},
		"ticket event": {0, kindlytest.TicketWebhook(), 24 * time.Hour},
		"configured":   {time.Hour, kindlytest.DialogueWebhook(), time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var ahead atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			r := newRig(t, setup{
				store:   memory.New(memory.Options{Now: now, Retention: time.Minute}),
				queue:   []delivery.Option{delivery.WithNow(now)},
				options: func(o *kindlyhandler.Options) { o.Dedupe = test.dedupe },
			})
			r.send(test.webhook)
			ahead.Store(int64(test.window - time.Minute))
			r.send(test.webhook)
			require.Equal(t, 1, r.desk.Count())
			ahead.Store(int64(test.window))
			r.send(test.webhook)
			require.Equal(t, 2, r.desk.Count())
		})
	}
}

// A repetition is told what the first one was, also by a configuration that
// would say something else now.
func TestDuplicate_answerAsFirstRendered(t *testing.T) {
	button := func(label string) func(o *kindlyhandler.Options) {
		return func(o *kindlyhandler.Options) {
			o.Buttons = []kindlyhandler.Button{{Type: "link", Label: label, Value: "{kindly.ticket.url}?q=<{kindly.message}>"}}
		}
	}
	r := newRig(t, setup{options: button("first")})
	want := `{"reply": "ticket 1", "buttons": [{"type": "link", "label": "first", "value": "` + r.desk.URL + `/tickets/1?q=<&lt;i&gt;&amp;>"}]}`
	webhook := []byte(`{"chat_id":"1","message":"<i>&"}`)
	require.JSONEq(t, want, string(r.send(webhook).Body))

	changed := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		button("second")(o)
		o.Upstreams[0].URL = r.desk.URL
	}})
	r.queue.Push(changed.handler.Lanes())
	changed.handler.Connect(r.queue)
	assert.JSONEq(t, want, string(changed.send(webhook).Body))
	assert.Contains(t, string(changed.send([]byte(`{"chat_id":"2"}`)).Body), `"label":"second"`)
	r.tickets(2)
}
