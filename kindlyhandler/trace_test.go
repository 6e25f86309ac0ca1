package kindlyhandler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

// spans is where the spans of a test go.
type spans struct {
	*tracetest.InMemoryExporter
	t        *testing.T
	provider *sdktrace.TracerProvider
}

func newSpans(t *testing.T) *spans {
	exporter := tracetest.NewInMemoryExporter()
	s := &spans{exporter, t, sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))}
	t.Cleanup(s.checkPrivacy)
	return s
}

// checkPrivacy checks that no span has what is nobody's business.
func (s *spans) checkPrivacy() {
	for _, span := range s.GetSpans() {
		text, err := json.Marshal(struct {
			Name, Status string
			Attributes   []attribute.KeyValue
			Events       []sdktrace.Event
		}{span.Name, span.Status.Description, span.Attributes, span.Events})
		require.NoError(s.t, err)
		for _, hidden := range []string{"s3cr3t", private, "me@example.com", "create ticket", "order_number", "talk with a human", "/tickets", "/chats/", "/oauth2/"} {
			assert.NotContains(s.t, strings.ToLower(string(text)), hidden, span.Name)
		}
	}
}

// wait waits until n spans of a name have ended, and returns them in the order
// of their beginning.
func (s *spans) wait(name string, n int) tracetest.SpanStubs {
	s.t.Helper()
	var found tracetest.SpanStubs
	require.Eventually(s.t, func() bool {
		found = nil
		for _, span := range s.GetSpans() {
			if span.Name == name {
				found = append(found, span)
			}
		}
		return len(found) >= n
	}, 10*time.Second, time.Millisecond, "%d spans of %s", n, name)
	require.Len(s.t, found, n, name)
	return found
}

// attributes returns a span's attributes.
func attributes(span tracetest.SpanStub) map[string]any {
	all := make(map[string]any)
	for _, a := range span.Attributes {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

// requireWithin requires a span to be within another one.
func requireWithin(t *testing.T, parent, child tracetest.SpanStub) {
	t.Helper()
	require.Equal(t, parent.SpanContext.SpanID(), child.Parent.SpanID(), "%s is not within %s", child.Name, parent.Name)
	require.Equal(t, parent.SpanContext.TraceID(), child.SpanContext.TraceID())
}

// traceparent is what a request should have that was made within a span.
func traceparent(span trace.SpanContext) string {
	return fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags())
}

// server begins a span for each request, as Caddy's directive tracing does.
func (s *spans) server(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := s.provider.Tracer("server").Start(ctx, "server", trace.WithSpanKind(trace.SpanKindServer))
		h.ServeHTTP(w, r.WithContext(ctx))
		span.End()
	})
}

// provide lets a handler make its own spans.
func (s *spans) provide(o *kindlyhandler.Options) { o.TracerProvider = s.provider }

// outage is [outage] with spans.
func (s *spans) outage(respondWithin time.Duration) setup {
	without := outage(respondWithin)
	return setup{options: func(o *kindlyhandler.Options) {
		without.options(o)
		s.provide(o)
	}}
}

func TestTrace(t *testing.T) {
	request, own := newSpans(t), newSpans(t)
	r := newRig(t, setup{options: own.provide, wrap: request.server})
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")

	server, webhook := request.wait("server", 1)[0], request.wait("kindly webhook", 1)[0]
	attempt := own.wait("kindly attempt", 1)[0]
	transcript, get := own.wait("kindly transcript", 1)[0], own.wait("GET", 1)[0]
	ticket, sending, post := own.wait("kindly ticket", 1)[0], own.wait("kindly upstream", 1)[0], own.wait("POST", 1)[0]
	requireWithin(t, server, webhook)
	requireWithin(t, webhook, attempt)
	requireWithin(t, attempt, transcript)
	requireWithin(t, transcript, get)
	requireWithin(t, attempt, ticket)
	requireWithin(t, attempt, sending)
	requireWithin(t, sending, post)
	require.Len(t, own.GetSpans(), 6)
	require.Len(t, request.GetSpans(), 2)

	require.Equal(t, traceparent(get.SpanContext), r.kindly.Requests()[0].Header.Get("Traceparent"))
	sent := r.desk.Requests()[0].Header
	require.Equal(t, traceparent(post.SpanContext), sent.Get("Traceparent"))
	require.NotContains(t, sent, "Tracestate")

	id := sent.Get("Idempotency-Key")
	require.Equal(t, map[string]any{
		"kindly.webhook": "default", "kindly.event": "dialogue", "kindly.outcome": "delivered", "kindly.delivery.id": id,
	}, attributes(webhook))
	require.Equal(t, map[string]any{
		"kindly.webhook": "default", "kindly.upstream": "default", "kindly.delivery.id": id,
		"kindly.attempt": int64(1), "kindly.stage": "upstream", "kindly.verdict": "success", "http.response.status_code": int64(201),
	}, attributes(attempt))
	require.Equal(t, "127.0.0.1", attributes(post)["server.address"])
	require.Equal(t, r.desk.URL, fmt.Sprintf("http://127.0.0.1:%d", attributes(post)["server.port"]))
	require.Equal(t, "POST", attributes(post)["http.request.method"])
	require.Equal(t, int64(201), attributes(post)["http.response.status_code"])
	require.Equal(t, trace.SpanKindClient, post.SpanKind)
	for _, span := range append(own.GetSpans(), request.GetSpans()...) {
		require.Equal(t, codes.Unset, span.Status.Code, span.Name)
		require.Empty(t, span.Links, span.Name)
		require.Empty(t, span.Events, span.Name)
	}
}

// Each attempt says how it failed, in the trace of its webhook.
func TestTrace_failures(t *testing.T) {
	own := newSpans(t)
	r := newRig(t, setup{options: own.provide})
	r.desk.FailNext(1, kindlytest.Body(503, "text/html", private))
	r.kindly.FailNext(1, kindlytest.Status(500))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	r.tickets(1)

	webhook := own.wait("kindly webhook", 1)[0]
	require.Equal(t, "pending", attributes(webhook)["kindly.outcome"])
	require.False(t, webhook.Parent.IsValid())
	attempts := own.wait("kindly attempt", 3)
	for i, want := range []struct {
		stage, verdict, status, errorType string
		code                              any
	}{
		{"transcript", "transient", "the transcript API answered 500 Internal Server Error", "500", int64(500)},
		{"upstream", "transient", "the upstream answered 503 Service Unavailable", "503", int64(503)},
		{"upstream", "success", "", "", int64(201)},
	} {
		requireWithin(t, webhook, attempts[i])
		got := attributes(attempts[i])
		require.Equal(t, int64(i+1), got["kindly.attempt"])
		require.Equal(t, want.stage, got["kindly.stage"])
		require.Equal(t, want.verdict, got["kindly.verdict"])
		require.Equal(t, want.code, got["http.response.status_code"])
		require.Equal(t, want.status, attempts[i].Status.Description)
		require.Equal(t, want.status != "", attempts[i].Status.Code == codes.Error)
		if want.errorType != "" {
			require.Equal(t, want.errorType, got["error.type"])
		}
	}
	posts := own.wait("POST", 2)
	require.Equal(t, "answered 503", posts[0].Status.Description)
	require.Equal(t, "answered 500", own.wait("GET", 2)[0].Status.Description)
	for i, sent := range r.desk.Requests() {
		require.Equal(t, traceparent(posts[i].SpanContext), sent.Header.Get("Traceparent"))
	}
}

// Of an upstream that cannot be reached, no span has the address: it can be a
// secret.
func TestTrace_unreachable(t *testing.T) {
	own := newSpans(t)
	r := newRig(t, own.outage(time.Minute))
	r.desk.Close()
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	for _, name := range []string{"kindly attempt", "kindly upstream", "POST"} {
		span := own.wait(name, 1)[0]
		require.Equal(t, codes.Error, span.Status.Code, name)
		require.Equal(t, "dial: connection refused", span.Status.Description, name)
		require.Equal(t, "_OTHER", attributes(span)["error.type"], name)
	}
}

// A file that was copied while its process ran is what a crash leaves behind.
func TestTrace_survivesCrash(t *testing.T) {
	before, after := newSpans(t), newSpans(t)
	dir := t.TempDir()
	store, err := bolt.Open(bolt.Options{Path: filepath.Join(dir, "before.db")})
	require.NoError(t, err)
	s := before.outage(time.Minute)
	s.store = store
	r := newRig(t, s)
	r.desk.FailNext(1, kindlytest.Status(503))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	webhook := before.wait("kindly webhook", 1)[0]
	r.queue.Pause(delivery.Lane{Webhook: "default", Upstream: "default"})
	require.Eventually(t, func() bool { return left(t, dir) == 1 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, os.Rename(filepath.Join(dir, "copy.db"), filepath.Join(dir, "after.db")))

	store, err = bolt.Open(bolt.Options{Path: filepath.Join(dir, "after.db")})
	require.NoError(t, err)
	r = newRig(t, setup{store: store, options: after.provide})
	page, err := r.queue.List(r.context(), delivery.Query{Limit: 1})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // when the file is read
		return r.queue.Retry(r.context(), page.Deliveries[0].ID) == nil
	}, 10*time.Second, time.Millisecond)
	r.tickets(1)
	attempt := after.wait("kindly attempt", 1)[0]
	requireWithin(t, webhook, attempt)
	require.Equal(t, int64(2), attributes(attempt)["kindly.attempt"])
	require.True(t, attempt.Parent.IsRemote())
	require.Equal(t, traceparent(after.wait("POST", 1)[0].SpanContext), r.desk.Requests()[0].Header.Get("Traceparent"))

	// It stays known.
	require.Eventually(t, func() bool {
		d, err := r.queue.Get(r.context(), page.Deliveries[0].ID)
		return err == nil && d.State == delivery.Delivered && kindlyhandler.TraceID(d) == webhook.SpanContext.TraceID().String()
	}, 10*time.Second, time.Millisecond)
}

// left copies the file of a store, and returns the attempts that its only
// delivery has had in it.
func left(t *testing.T, dir string) int {
	content, err := os.ReadFile(filepath.Join(dir, "before.db"))
	require.NoError(t, err)
	path := filepath.Join(dir, "copy.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	store, err := bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	page, err := store.List(t.Context(), delivery.Query{Limit: 1})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 1)
	return page.Deliveries[0].Tries
}

// parent is the trace that a caller says it is in.
const (
	parentTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentSpan  = "00f067aa0ba902b7"
)

// sendTraced sends a webhook with headers of a trace.
func (r *rig) sendTraced(flags, state string) kindlytest.Response {
	return r.do(func(request *http.Request) {
		request.Header.Set("Traceparent", "00-"+parentTrace+"-"+parentSpan+"-"+flags)
		if state != "" {
			request.Header.Set("Tracestate", state)
		}
	})
}

// What is not sampled makes no spans, and says so to others.
func TestTrace_unsampled(t *testing.T) {
	request, own := newSpans(t), newSpans(t)
	own.provider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(own), sdktrace.WithSampler(sdktrace.AlwaysSample()))
	r := newRig(t, setup{options: own.provide, wrap: request.server})
	r.desk.FailNext(1, kindlytest.Status(503))
	r.told(r.sendTraced("00", ""), "later")
	r.tickets(1)
	require.NoError(t, r.queue.Close())
	require.Empty(t, own.GetSpans())
	require.Empty(t, request.GetSpans())
	for _, sent := range append(r.desk.Requests(), r.kindly.Requests()...) {
		require.Regexp(t, "^00-"+parentTrace+"-[0-9a-f]{16}-00$", sent.Header.Get("Traceparent"))
	}
}

// Without a provider of its own, the handler passes the trace on, also with
// later attempts.
func TestTrace_withoutProvider(t *testing.T) {
	request := newSpans(t)
	r := newRig(t, setup{wrap: request.server})
	r.desk.FailNext(1, kindlytest.Status(503))
	r.told(r.sendTraced("01", "vendor=1,other=2"), "later")
	r.tickets(1)
	webhook := request.wait("kindly webhook", 1)[0]
	requireWithin(t, request.wait("server", 1)[0], webhook)
	for _, sent := range append(r.desk.Requests(), r.kindly.Requests()...) {
		require.Equal(t, traceparent(webhook.SpanContext), sent.Header.Get("Traceparent"))
		require.Equal(t, "vendor=1,other=2", sent.Header.Get("Tracestate"))
	}
}

// The trace of a caller is trusted by who makes the request's span, not by the
// handler.
func TestTrace_ofStranger(t *testing.T) {
	t.Run("without a provider", func(t *testing.T) {
		r := newRig(t, setup{})
		r.told(r.sendTraced("01", "vendor=1"), "ticket 1")
		for _, sent := range append(r.desk.Requests(), r.kindly.Requests()...) {
			require.NotContains(t, sent.Header, "Traceparent")
			require.NotContains(t, sent.Header, "Tracestate")
		}
	})
	t.Run("with a provider", func(t *testing.T) {
		own := newSpans(t)
		r := newRig(t, setup{options: own.provide})
		r.told(r.sendTraced("01", "vendor=1"), "ticket 1")
		webhook := own.wait("kindly webhook", 1)[0]
		require.False(t, webhook.Parent.IsValid())
		require.NotEqual(t, parentTrace, webhook.SpanContext.TraceID().String())
		require.NotContains(t, r.desk.Requests()[0].Header, "Tracestate")
	})
	t.Run("refused", func(t *testing.T) {
		own := newSpans(t)
		r := newRig(t, setup{options: own.provide})
		response := r.do(func(request *http.Request) { request.Header.Set("Kindly-HMAC", "d3Jvbmc=") })
		require.Equal(t, http.StatusUnauthorized, response.Status)
		require.Empty(t, own.GetSpans())
	})
}

func TestTrace_longState(t *testing.T) {
	request := newSpans(t)
	r := newRig(t, setup{wrap: request.server})
	r.told(r.sendTraced("01", "a="+strings.Repeat("x", 251)+",b="+strings.Repeat("y", 251)+",c=12"), "ticket 1") // 512 bytes
	require.Len(t, r.desk.Requests()[0].Header.Get("Tracestate"), 512)
	response := r.do(func(r *http.Request) {
		fresh, err := kindlytest.NewWebhookRequest("http://"+r.Host, secret, kindlytest.DialogueWebhookFor("2"))
		require.NoError(t, err)
		*r = *fresh
		r.Header.Set("Traceparent", "00-"+parentTrace+"-"+parentSpan+"-01")
		r.Header.Set("Tracestate", "a="+strings.Repeat("x", 251)+",b="+strings.Repeat("y", 251)+",c=123")
	})
	r.told(response, "ticket 2")
	require.NotContains(t, r.desk.Requests()[1].Header, "Tracestate")
	require.Contains(t, r.desk.Requests()[1].Header.Get("Traceparent"), parentTrace)
}

// A webhook that comes again is in a trace of its own, which leads to the
// first.
func TestTrace_duplicate(t *testing.T) {
	own := newSpans(t)
	r := newRig(t, setup{options: own.provide})
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	webhooks := own.wait("kindly webhook", 2)
	require.Equal(t, "duplicate", attributes(webhooks[1])["kindly.outcome"])
	require.Equal(t, attributes(webhooks[0])["kindly.delivery.id"], attributes(webhooks[1])["kindly.delivery.id"])
	require.NotEqual(t, webhooks[0].SpanContext.TraceID(), webhooks[1].SpanContext.TraceID())
	require.Empty(t, webhooks[0].Links)
	require.Len(t, webhooks[1].Links, 1)
	require.Equal(t, webhooks[0].SpanContext.SpanID(), webhooks[1].Links[0].SpanContext.SpanID())
	own.wait("kindly attempt", 1)
}

// An attempt that turns out not to be due is none that failed.
func TestTrace_deferred(t *testing.T) {
	own := newSpans(t)
	r := newRig(t, own.outage(time.Minute))
	r.desk.Fail(kindlytest.Status(503))
	r.told(r.send([]byte(`{"chat_id":"1","message":"first"}`)), "later")
	r.told(r.send([]byte(`{"chat_id":"1","message":"second"}`)), "later")
	deferred := own.wait("kindly attempt", 2)[1]
	require.Equal(t, "deferred", attributes(deferred)["kindly.verdict"])
	require.Equal(t, codes.Unset, deferred.Status.Code)
	require.Equal(t, 1, r.desk.Attempts())
}

// Requests for tokens are in the trace, and nothing of the tokens.
func TestTrace_oauth2(t *testing.T) {
	own := newSpans(t)
	tokens := kindlytest.NewTokenEndpoint()
	t.Cleanup(tokens.Close)
	tokens.ClientSecret = deskToken
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		own.provide(o)
		o.Upstreams[0].Header = nil
		o.Upstreams[0].OAuth2 = &upstream.OAuth2{TokenURL: tokens.URL, ClientID: tokens.ClientID, ClientSecret: deskToken}
	}})
	r.desk.Tokens = tokens
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	stage := own.wait("kindly upstream", 1)[0]
	posts := own.wait("POST", 2)
	for _, post := range posts {
		requireWithin(t, stage, post)
	}
	require.Equal(t, tokens.URL, fmt.Sprintf("http://127.0.0.1:%d/oauth2/token", attributes(posts[0])["server.port"]))
	require.Equal(t, traceparent(posts[1].SpanContext), r.desk.Requests()[0].Header.Get("Traceparent"))
}

func TestTrace_notAccepted(t *testing.T) {
	own := newSpans(t)
	s := own.outage(50 * time.Millisecond)
	s.unconnected = true
	r := newRig(t, s)
	r.told(r.send(kindlytest.DialogueWebhook()), "sorry")
	webhook := own.wait("kindly webhook", 1)[0]
	require.Equal(t, "not_stored", attributes(webhook)["kindly.outcome"])
	require.Equal(t, codes.Error, webhook.Status.Code)
	require.Equal(t, http.StatusServiceUnavailable, r.send(kindlytest.TicketWebhook()).Status)
	require.Equal(t, "refused_store", attributes(own.wait("kindly webhook", 2)[1])["kindly.outcome"])
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) {
	panic("a panic that quotes " + private)
}

// A panic ends the attempt's span, whose SDK would record the panic's value.
func TestTrace_panic(t *testing.T) {
	own := newSpans(t)
	s := own.outage(time.Minute)
	options := s.options
	s.options = func(o *kindlyhandler.Options) {
		options(o)
		o.Upstreams[0].Transport = panics{}
	}
	r := newRig(t, s)
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	attempt := own.wait("kindly attempt", 1)[0]
	require.Equal(t, "panic", attributes(attempt)["kindly.verdict"])
	require.Equal(t, codes.Error, attempt.Status.Code)
	require.Empty(t, attempt.Events)
}

// What is fetched in advance is in the trace, too.
func TestTrace_prefetch(t *testing.T) {
	own := newSpans(t)
	r := newRig(t, setup{options: own.provide})
	require.NoError(t, r.queue.Pause(delivery.Lane{Webhook: "default", Upstream: "default"}))
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	prefetch := own.wait("kindly prefetch", 1)[0]
	requireWithin(t, own.wait("kindly webhook", 1)[0], prefetch)
	transcript := own.wait("kindly transcript", 1)[0]
	requireWithin(t, prefetch, transcript)
	require.Equal(t, traceparent(own.wait("GET", 1)[0].SpanContext), r.kindly.Requests()[0].Header.Get("Traceparent"))
}

func TestTrace_middleware(t *testing.T) {
	request := newSpans(t)
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	r := newRig(t, setup{next: next, wrap: request.server})
	require.Equal(t, http.StatusOK, r.send(kindlytest.DialogueWebhook()).Status)
	webhook := request.wait("kindly webhook", 1)[0]
	require.Equal(t, "passed_on", attributes(webhook)["kindly.outcome"])
	transcript := request.wait("kindly transcript", 1)[0]
	requireWithin(t, webhook, transcript)
	require.Equal(t, traceparent(request.wait("GET", 1)[0].SpanContext), r.kindly.Requests()[0].Header.Get("Traceparent"))
}
