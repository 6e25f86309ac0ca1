package kindly

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/caddy/internal/collector"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// traced lets Caddy export its spans to a collector, which ends after it.
func (l *lifecycle) traced() *collector.Collector {
	l.t.Helper()
	c := collector.New()
	l.t.Cleanup(func() {
		require.NoError(l.t, caddy.Stop())
		c.Close()
	})
	for name, value := range c.Environment() {
		l.t.Setenv(name, value)
	}
	return c
}

// exporting returns how many configurations export spans.
func exporting() int {
	spans.mu.Lock()
	defer spans.mu.Unlock()
	return spans.users
}

// TestTracing_reloads proves that spans go on over reloads, also those of
// attempts that began before, and that nothing is left of them in the end.
func TestTracing_reloads(t *testing.T) {
	l := newLifecycle(t)
	c := l.traced()
	webhook := l.webhook("shop", l.desk.URL)
	l.load(l.site(webhook, options("tracing")))
	require.Zero(t, c.Requests())
	l.send("shop", "chat-1")

	siblingFails.Store(true)
	defer siblingFails.Store(false)
	for range 5 { // apps start in no fixed order
		l.fail(l.site(webhook+l.webhook("more", l.desk.URL), options("tracing")))
		require.Equal(t, 1, exporting())
	}
	siblingFails.Store(false)

	l.desk.FailNext(1, kindlytest.Delay(300*time.Millisecond))
	began := make(chan string)
	go func() { began <- l.send("shop", "chat-2") }()
	require.NoError(t, l.desk.WaitAttempts(l.context(), 2))
	for i := range 3 {
		l.load(l.site(webhook, options("tracing", "max_pending "+string(rune('5'+i)))))
		require.Equal(t, 1, exporting())
	}
	<-began
	require.Eventually(t, func() bool { return len(c.Spans("kindly attempt")) == 2 }, 10*time.Second, time.Millisecond)
	l.send("shop", "chat-3")

	l.load(l.site(webhook))
	require.Zero(t, exporting())
	require.Len(t, c.Spans("kindly attempt"), 3, "what is left is exported at the end")
	l.send("shop", "chat-4")
	require.NotContains(t, l.desk.Requests()[3].Header, "Traceparent")

	l.load(l.site(webhook, options("tracing")))
	l.send("shop", "chat-5")
	require.NoError(t, caddy.Stop())
	require.Zero(t, exporting())
	attempts := c.Spans("kindly attempt")
	require.Len(t, attempts, 4)
	require.Equal(t, []string{"the-service"}, c.Services())
	for _, attempt := range attempts {
		require.Equal(t, "shop", collector.Attribute(attempt, "kindly.webhook").GetStringValue())
	}
	// Each webhook begins a trace.
	webhooks := c.Spans("kindly webhook")
	require.GreaterOrEqual(t, len(webhooks), 4) // some connections are reset by a reload
	for i, webhook := range webhooks {
		require.Empty(t, webhook.GetParentSpanId())
		for _, other := range webhooks[:i] {
			require.NotEqual(t, other.GetTraceId(), webhook.GetTraceId())
		}
	}
}

// TestTracing_directive proves that Caddy's directive decides on the trace of
// who sends a webhook, and that our spans are in that trace.
func TestTracing_directive(t *testing.T) {
	const parent = "4bf92f3577b34da6a3ce929d0e0e4736"
	l := newLifecycle(t)
	c := l.traced()
	l.load(l.site("\ttracing {\n\t\tspan theserver\n\t}\n"+l.webhook("shop", l.desk.URL), options("tracing")))
	request, err := kindlytest.NewWebhookRequest("http://"+l.address+"/shop", lifecycleSecret, kindlytest.DialogueWebhook())
	require.NoError(t, err)
	request.Header.Set("Traceparent", "00-"+parent+"-00f067aa0ba902b7-01")
	response, err := l.kindly.Do(request.WithContext(l.context()))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.Status)
	l.closeIdle()
	require.NoError(t, caddy.Stop())

	server, webhook, attempt := c.Spans("theserver"), c.Spans("kindly webhook"), c.Spans("kindly attempt")
	require.Len(t, server, 1)
	require.Len(t, webhook, 1)
	require.Len(t, attempt, 1)
	require.Equal(t, server[0].GetSpanId(), webhook[0].GetParentSpanId())
	require.Equal(t, webhook[0].GetSpanId(), attempt[0].GetParentSpanId())
	for _, span := range c.Spans("") {
		require.True(t, bytes.Equal(server[0].GetTraceId(), span.GetTraceId()), span.GetName())
	}
	require.Contains(t, l.desk.Requests()[0].Header.Get("Traceparent"), "00-"+parent+"-")
	require.Equal(t, []string{"the-service"}, c.Services())
}

// TestTracing_hangingCollector proves that a collector that does not answer
// holds up neither a stop nor anything after it.
func TestTracing_hangingCollector(t *testing.T) {
	l := newLifecycle(t)
	c := l.traced()
	c.Hang()
	l.load(l.site(l.webhook("shop", l.desk.URL), options("tracing", "grace_period 2s")))
	for i := range 3 {
		l.send("shop", string(rune('a'+i)))
	}
	require.Eventually(t, func() bool { return c.Requests() > 0 }, 10*time.Second, time.Millisecond)
	started := time.Now()
	require.NoError(t, caddy.Stop())
	require.Less(t, time.Since(started), 2*time.Second)
	require.Zero(t, exporting())
}

func TestTracing_validate(t *testing.T) {
	l := newLifecycle(t)
	c := l.traced()
	require.NoError(t, l.validate(l.site(l.webhook("shop", l.desk.URL), options("tracing"))))
	require.Zero(t, exporting())
	require.Zero(t, c.Requests())
}

func TestTracing_unknownExporter(t *testing.T) {
	l := newLifecycle(t)
	t.Setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
	err := l.fail(l.site(l.webhook("shop", l.desk.URL), options("tracing")))
	require.ErrorContains(t, err, "tracing: unknown exporter")
	require.ErrorContains(t, err, "check the environment variables OTEL_TRACES_EXPORTER (otlp, console or none)")
	require.Zero(t, exporting())
}
