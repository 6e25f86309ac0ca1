package kindlyhandler_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// patience is what an answer may take beside respond_within.
const patience = 100 * time.Millisecond

// outage has short times, and no retries within a test.
func outage(respondWithin time.Duration) setup {
	return setup{options: func(o *kindlyhandler.Options) {
		o.RespondWithin = respondWithin
		o.Retry = delivery.RetryPolicy{InitialInterval: time.Hour, Multiplier: 1, MaxInterval: time.Hour, MaxElapsed: 72 * time.Hour}
		o.Transcript.MaxSize = 1 << 20
	}}
}

// Whatever the Transcript API answers, the ticket waits for nothing that will
// not come.
func TestOutage_transcriptAPI(t *testing.T) {
	tests := map[string]struct {
		mode  kindlytest.Mode
		reply string
		err   string // of the ticket, if there is one at once
	}{
		"unauthorized":      {kindlytest.Status(401), "ticket 1", "the transcript API answered 401 Unauthorized"},
		"forbidden":         {kindlytest.Status(403), "ticket 1", "the transcript API answered 403 Forbidden"},
		"no such chat":      {kindlytest.Status(404), "ticket 1", "the transcript API answered 404 Not Found"},
		"moved":             {kindlytest.Status(301, "Location", "https://example.com/"+private), "ticket 1", "the transcript API answered 301 Moved Permanently"},
		"empty":             {kindlytest.Status(204), "ticket 1", "transcript API: not a JSON object"},
		"a page":            {kindlytest.Body(200, "text/html", "<html>"+private), "ticket 1", "transcript API: not a JSON object"},
		"too large":         {kindlytest.Huge(2 << 20), "ticket 1", "transcript API: the transcript is larger than 1048576 bytes"},
		"padded":            {kindlytest.Huge(1 << 20), "ticket 1", ""},
		"too many requests": {kindlytest.Status(429), "later", ""},
		"broken":            {kindlytest.Status(500), "later", ""},
		"down":              {kindlytest.Status(503), "later", ""},
		"reset":             {kindlytest.Reset(), "later", ""},
		"cut off":           {kindlytest.Truncate(100), "later", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, outage(time.Minute))
			r.kindly.Fail(test.mode)
			r.told(r.send(kindlytest.DialogueWebhook()), test.reply)
			if test.reply == "later" {
				assert.Zero(t, r.desk.Attempts())
				return
			}
			ticket := r.tickets(1)[0]
			assert.Equal(t, "create ticket", ticket.Get("subject").Str)
			assert.Equal(t, test.err, ticket.Get("transcript_error").Str)
			assert.Equal(t, test.err != "", ticket.Get("transcript").Type == gjson.Null)
			if test.err != "" {
				assert.Len(t, r.logged("ticket goes out without the chat's transcript"), 1)
			}
		})
	}
}

// If there is no answer at all, the chat gets its own in time.
func TestOutage_transcriptAPIHangs(t *testing.T) {
	const within = 200 * time.Millisecond
	for name, mode := range map[string]kindlytest.Mode{
		"hanging":  kindlytest.Hang(),
		"dripping": kindlytest.Drip(50 * time.Millisecond),
		"slow":     kindlytest.Delay(time.Minute),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, outage(within))
			r.kindly.Fail(mode)
			r.inTime(within+patience, func(try string) {
				r.told(r.send(kindlytest.DialogueWebhookFor(try)), "later")
			})
			assert.Zero(t, r.desk.Attempts())
		})
	}
}

func TestOutage_transcriptAPIRefusesConnections(t *testing.T) {
	r := newRig(t, outage(time.Minute))
	r.kindly.Close()
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	assert.Zero(t, r.desk.Attempts())
}

// The ticket shows the chat as soon as the API is back.
func TestOutage_transcriptAPIComesBack(t *testing.T) {
	r := newRig(t, setup{})
	r.kindly.FailNext(2, kindlytest.Status(http.StatusInternalServerError))
	r.kindly.FailNext(1, kindlytest.Truncate(100))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	ticket := r.tickets(1)[0]
	assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
	assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
	assert.Equal(t, 1, r.desk.Attempts())
}

// What cannot be had is asked for once, also if the ticket is sent twice.
func TestOutage_noTranscriptAndRetries(t *testing.T) {
	r := newRig(t, setup{})
	r.kindly.FailNext(1, kindlytest.Status(http.StatusNotFound))
	r.desk.FailNext(1, kindlytest.Status(http.StatusServiceUnavailable))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	ticket := r.tickets(1)[0]
	assert.Equal(t, "the transcript API answered 404 Not Found", ticket.Get("transcript_error").Str)
	assert.Equal(t, 1, r.kindly.Count())
	assert.Equal(t, 1, r.counts.transcriptsMissing)
}

// Ten minutes are enough.
func TestOutage_transcriptAPIDoesNotComeBack(t *testing.T) {
	start := time.Now()
	past := start.Add(-11 * time.Minute)
	now := func() time.Time { return past.Add(time.Since(start)) }
	r := newRig(t, setup{queue: []delivery.Option{delivery.WithNow(now)}})
	r.kindly.Fail(kindlytest.Status(http.StatusInternalServerError))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	ticket := r.tickets(1)[0]
	assert.Equal(t, "the transcript API answered 500 Internal Server Error", ticket.Get("transcript_error").Str)
	assert.Equal(t, 2, r.kindly.Count())
	assert.Equal(t, 1, r.counts.transcriptsMissing)
}

// Whatever the help desk answers, the chat is told what is known by then.
func TestOutage_helpDesk(t *testing.T) {
	tests := map[string]struct {
		mode  kindlytest.Mode
		reply string
	}{
		"reset":                  {kindlytest.Reset(), "later"},
		"reset, accepted":        {kindlytest.Reset().AfterAccept(), "later"},
		"broken":                 {kindlytest.Status(500), "later"},
		"down":                   {kindlytest.Status(503, "Retry-After", "9999999999"), "later"},
		"too many requests":      {kindlytest.Status(429, "Retry-After", "3600"), "later"},
		"unauthorized":           {kindlytest.Status(401), "later"},
		"moved":                  {kindlytest.Status(302, "Location", "https://example.com/"+private), "later"},
		"forbidden":              {kindlytest.Status(403), "later"},
		"not found":              {kindlytest.Status(404), "later"},
		"refused":                {kindlytest.Body(422, "text/html", private), "sorry"},
		"a page for an answer":   {kindlytest.Body(200, "text/html", private), "ticket "},
		"no answer, but success": {kindlytest.Status(204), "ticket "},
		"cut off after success":  {kindlytest.Truncate(3), "ticket "},
		"huge after success":     {kindlytest.Huge(8 << 20), "ticket "},
		"an evil id": {
			kindlytest.Body(201, "application/json", `{"id":"<b>\u0022{kindly.message}","url":"javascript:x"}`),
			`ticket \u0026lt;b\u0026gt;\u0026#34;{kindly.message}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, outage(time.Minute))
			r.desk.Fail(test.mode)
			r.told(r.send(kindlytest.DialogueWebhook()), test.reply)
		})
	}
}

// If there is no answer at all, the chat gets its own in time.
func TestOutage_helpDeskHangs(t *testing.T) {
	const within = 200 * time.Millisecond
	for name, mode := range map[string]kindlytest.Mode{
		"hanging":                kindlytest.Hang(),
		"hanging, accepted":      kindlytest.Hang().AfterAccept(),
		"slow":                   kindlytest.Delay(time.Minute),
		"dripping after success": kindlytest.Drip(50 * time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, outage(within))
			r.desk.Fail(mode)
			r.inTime(within+patience, func(try string) {
				r.told(r.send(kindlytest.DialogueWebhookFor(try)), "later")
			})
		})
	}
}

func TestOutage_helpDeskRefusesConnections(t *testing.T) {
	r := newRig(t, outage(time.Minute))
	r.desk.Close()
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
}

// An upstream that accepts connections, and then nothing.
func TestOutage_helpDeskIsDeaf(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	const within = 200 * time.Millisecond
	s := outage(within)
	options := s.options
	s.options = func(o *kindlyhandler.Options) {
		options(o)
		o.Upstreams[0].URL = "http://" + listener.Addr().String() + "/" + deskToken
	}
	r := newRig(t, s)
	r.inTime(within+patience, func(try string) {
		r.told(r.send(kindlytest.DialogueWebhookFor(try)), "later")
	})
}

// A ticket whose fate is unknown is sent again under the same key.
func TestOutage_unknownOutcome(t *testing.T) {
	r := newRig(t, setup{})
	r.desk.FailNext(1, kindlytest.Reset().AfterAccept())
	r.send(kindlytest.DialogueWebhook())
	require.NoError(t, r.desk.WaitAttempts(r.context(), 2))
	require.Eventually(t, func() bool {
		return string(r.send(kindlytest.DialogueWebhook()).Body) == `{"reply":"ticket 1"}`
	}, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, 1, r.desk.Count())
	assert.Equal(t, 1, r.desk.Repeats())
}

// patientStore takes half a second to commit, if it may.
type patientStore struct {
	delivery.Store
	putting chan struct{}
}

func (s patientStore) Put(ctx context.Context, deliveries []*delivery.Delivery) error {
	s.putting <- struct{}{}
	select {
	case <-time.After(500 * time.Millisecond):
		return s.Store.Put(ctx, deliveries)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Somebody who hangs up misses the answer, and nothing else.
func TestHangUp(t *testing.T) {
	store := patientStore{memory.New(memory.Options{}), make(chan struct{}, 1)}
	tests := map[string]func(r *rig) error{
		"during the commit": func(r *rig) error {
			return r.hangUp(func(context.Context) error { <-store.putting; return nil })
		},
		"during the transcript": func(r *rig) error {
			r.kindly.FailNext(1, kindlytest.Delay(500*time.Millisecond))
			return r.hangUp(func(ctx context.Context) error { return r.kindly.Wait(ctx, 1) })
		},
		"during the delivery": func(r *rig) error {
			r.desk.FailNext(1, kindlytest.Delay(500*time.Millisecond))
			return r.hangUp(func(ctx context.Context) error { return r.desk.WaitAttempts(ctx, 1) })
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var s setup
			if name == "during the commit" {
				s.store = store
			}
			r := newRig(t, s)
			require.ErrorIs(t, test(r), context.Canceled)
			r.tickets(1)
			assert.Equal(t, 1, r.kindly.Count())
			assert.Equal(t, 1, r.desk.Attempts())
		})
	}
}

// hangUp sends a webhook and hangs up when it has got somewhere.
func (r *rig) hangUp(when func(context.Context) error) error {
	ctx, cancel := context.WithCancel(r.context())
	sent := make(chan error, 1)
	go func() {
		_, err := r.kindly.Send(ctx, r.url, secret, kindlytest.DialogueWebhook())
		sent <- err
	}()
	require.NoError(r.t, when(r.context()))
	cancel()
	return <-sent
}

// The API key is for the configured host, whatever anybody says.
func TestAPIKeyGoesNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request to another host")
	}))
	t.Cleanup(elsewhere.Close)
	webhook := []byte(`{"chat_id":"1","_links":{"chat":"` + elsewhere.URL + `/api/v1/chats/1"},"chatlog_api_url":"` + elsewhere.URL + `","chat_transcript_api_url":"` + elsewhere.URL + `"}`)
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.Reply = kindlyhandler.Texts{"": "ok"} }})
			r.kindly.FailNext(1, kindlytest.Status(status, "Location", elsewhere.URL, "Link", "<"+elsewhere.URL+">"))
			r.told(r.send(webhook), "ok")
			r.told(r.send(append(webhook, ' ')), "ok")
			r.desk.FailNext(1, kindlytest.Status(status, "Location", elsewhere.URL))
			r.send(append(webhook, '\n'))

			requests := r.kindly.Requests()
			require.Len(t, requests, 3)
			for _, request := range requests {
				assert.Equal(t, []string{"Bearer " + apiKey}, request.Header["Authorization"])
			}
			for _, request := range r.desk.Requests() {
				for name, values := range request.Header {
					assert.NotContains(t, values[0], apiKey, name)
				}
			}
		})
	}
}
