package kindlyhandler_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// What must not be in any log. Tests put private into whatever a visitor can
// write.
const (
	secret      = "s3cr3t-webhook"
	verifyToken = "s3cr3t-token"
	apiKey      = "s3cr3t-api-key"
	deskToken   = "s3cr3t-desk"
	private     = "pr1vate"
)

// quickRetries lets no test wait.
var quickRetries = delivery.RetryPolicy{InitialInterval: time.Millisecond, Multiplier: 2, MaxInterval: 20 * time.Millisecond, MaxElapsed: time.Hour}

// rig is a handler between a simulated Kindly and a simulated help desk.
type rig struct {
	t       *testing.T
	kindly  *kindlytest.Kindly
	desk    *kindlytest.HelpDesk
	handler *kindlyhandler.Handler
	queue   *delivery.Dispatcher
	url     string
	logs    *observer.ObservedLogs
	counts  *counts
}

// setup is what a test changes about its rig.
type setup struct {
	options func(o *kindlyhandler.Options)
	store   delivery.Store
	queue   []delivery.Option
	wrap    func(h http.Handler) http.Handler
	next    http.Handler // for middleware: there is no upstream then

	unconnected bool
}

func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	r := &rig{t: t, kindly: kindlytest.NewKindly(), desk: kindlytest.NewHelpDesk(), logs: logs, counts: newCounts()}
	t.Cleanup(r.checkLogs)
	t.Cleanup(r.desk.Close)
	t.Cleanup(r.kindly.Close)
	r.kindly.APIKey = apiKey

	o := kindlyhandler.Options{
		Secrets:       []string{secret},
		VerifyToken:   verifyToken,
		Transcript:    &kindlyhandler.TranscriptOptions{APIKey: apiKey, API: r.kindly.URL},
		Retry:         quickRetries,
		RespondWithin: 10 * time.Second,
		Reply:         kindlyhandler.Texts{"": "ticket {kindly.ticket.id}"},
		ReplyPending:  kindlyhandler.Texts{"": "later"},
		ReplyFailed:   kindlyhandler.Texts{"": "sorry"},
		Log:           zap.New(core),
		Observer:      r.counts,
	}
	if s.next == nil {
		o.Upstreams = []kindlyhandler.UpstreamOptions{{
			URL:    r.desk.URL + "/tickets?token=" + deskToken,
			Header: http.Header{"Authorization": {deskToken}},
		}}
	}
	if s.options != nil {
		s.options(&o)
	}
	var err error
	r.handler, err = kindlyhandler.New(o)
	require.NoError(t, err)
	t.Cleanup(r.handler.Close)

	if s.store == nil {
		s.store = memory.New(memory.Options{})
	}
	r.queue = delivery.NewDispatcher(s.store, append(s.queue, delivery.WithLogger(zap.New(core)))...)
	t.Cleanup(func() { assert.NoError(t, r.queue.Close()) })
	r.queue.Push(r.handler.Lanes())
	if !s.unconnected {
		r.handler.Connect(r.queue)
	}

	var served http.Handler = r.handler
	if s.next != nil {
		served = middleware{r.handler, s.next}
	}
	if s.wrap != nil {
		served = s.wrap(served)
	}
	server := httptest.NewUnstartedServer(served)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// checkLogs checks that nothing private is in what was logged.
func (r *rig) checkLogs() {
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range r.logs.All() {
		line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		require.NoError(r.t, err)
		for _, hidden := range []string{
			"s3cr3t", private, "me@example.com", "create ticket", "order_number", "What is your email", "talk with a human", "carl@example.com",
		} {
			assert.NotContains(r.t, strings.ToLower(line.String()), strings.ToLower(hidden))
		}
	}
}

// logged returns the lines with a message.
func (r *rig) logged(message string) []observer.LoggedEntry {
	return r.logs.FilterMessage(message).All()
}

func (r *rig) context() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

// send posts a signed webhook.
func (r *rig) send(body []byte) kindlytest.Response {
	r.t.Helper()
	response, err := r.kindly.Send(r.context(), r.url, secret, body)
	require.NoError(r.t, err)
	return response
}

// do sends a request that was changed.
func (r *rig) do(change func(*http.Request)) kindlytest.Response {
	r.t.Helper()
	request, err := kindlytest.NewWebhookRequest(r.url, secret, kindlytest.DialogueWebhook())
	require.NoError(r.t, err)
	change(request)
	response, err := r.kindly.Do(request.WithContext(r.context()))
	require.NoError(r.t, err)
	return response
}

// told checks what a chat is told: a reply, and nothing else.
func (r *rig) told(response kindlytest.Response, reply string) {
	r.t.Helper()
	assert.Equal(r.t, http.StatusOK, response.Status)
	assert.Equal(r.t, "application/json", response.Header.Get("Content-Type"))
	assert.JSONEq(r.t, `{"reply":"`+reply+`"}`, string(response.Body))
}

// inTime checks that something can be done within a limit. Others may use this
// machine, too, so it has some tries, each with a number of its own.
func (r *rig) inTime(limit time.Duration, do func(try string)) {
	r.t.Helper()
	best, tries := time.Hour, 0
	for best >= limit && tries < 5 {
		tries++
		started := time.Now()
		do(strconv.Itoa(tries))
		best = min(best, time.Since(started))
	}
	assert.Less(r.t, best, limit)
}

// tickets waits for n tickets and returns them.
func (r *rig) tickets(n int) []gjson.Result {
	r.t.Helper()
	require.NoError(r.t, r.desk.Wait(r.context(), n))
	var tickets []gjson.Result
	for _, ticket := range r.desk.Tickets() {
		require.True(r.t, gjson.ValidBytes(ticket.Body))
		tickets = append(tickets, gjson.ParseBytes(ticket.Body))
	}
	require.Len(r.t, tickets, n)
	return tickets
}

// raw sends bytes as they are, and returns the answer's status, 0 if there is
// none. The connection is closed for writing after them, if so wanted.
func (r *rig) raw(text string, closeAfter bool) int {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(r.t, err)
	defer conn.Close()
	require.NoError(r.t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(r.t, err)
	if closeAfter {
		require.NoError(r.t, conn.(*net.TCPConn).CloseWrite())
	}
	var status int
	answer, _ := io.ReadAll(conn)
	if fields := bytes.Fields(answer); len(fields) > 1 {
		for _, digit := range fields[1] {
			status = 10*status + int(digit-'0')
		}
	}
	return status
}

// counts is an Observer.
type counts struct {
	mu                 sync.Mutex
	webhooks           map[string]int
	signatures         map[int]int
	tokens             map[string]int
	transcriptsMissing int
	untimed            bool
}

func newCounts() *counts {
	return &counts{webhooks: map[string]int{}, signatures: map[int]int{}, tokens: map[string]int{}}
}

func (c *counts) Webhook(result kindlyhandler.Result, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.webhooks[strings.TrimSpace(result.Event+" "+result.Outcome)]++
	c.untimed = c.untimed || took <= 0
}

func (c *counts) Upstream(string) delivery.Observer { return nil }

func (c *counts) Signature(position int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signatures[position]++
}

func (c *counts) ChatToken(result, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[strings.TrimSpace(result+" "+reason)]++
}

func (c *counts) TranscriptMissing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transcriptsMissing++
}

// checkWebhooks checks what all webhooks so far were counted as. A webhook is
// counted before it is answered.
func (c *counts) checkWebhooks(t *testing.T, want map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Equal(t, want, c.webhooks)
	assert.False(t, c.untimed)
}

// middleware prepares webhooks for the next handler.
type middleware struct {
	handler *kindlyhandler.Handler
	next    http.Handler
}

func (m middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prepared, _, err := m.handler.Prepare(w, r)
	var refused *kindlyhandler.Error
	switch {
	case errors.As(err, &refused):
		http.Error(w, refused.Error(), refused.Status)
	case prepared != nil:
		m.next.ServeHTTP(w, r)
	}
}
