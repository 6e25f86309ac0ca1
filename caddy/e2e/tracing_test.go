package e2e

import (
	"encoding/hex"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/caddy-kindly/caddy-kindly/caddy/internal/collector"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestTracing follows one webhook by its trace: through Caddy's directive, to
// Kindly's API and the help desk, which is down, through a crash, and to the
// ticket.
func TestTracing(t *testing.T) {
	t.Parallel()
	otel := collector.New()
	t.Cleanup(otel.Close)
	s := newSides(t)
	data, address := t.TempDir(), freeAddress(t)
	webhook := site("http://"+address, "\ttracing", s.webhook("/kindly", "reply_pending later"))
	traced := func() *caddy {
		c := &caddy{admin: freeAddress(t), data: data}
		env := c.env()
		for name, value := range otel.Environment() {
			env = append(env, name+"="+value)
		}
		c.process = runWithFile(t, env, c.caddyfile("kindly {\n\t\ttracing\n\t}", webhook))
		c.eventually("the admin API answers", c.answers)
		return c
	}
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	c := traced()
	s.accepted("http://"+address+"/kindly", kindlytest.DialogueWebhook())
	c.eventually("the spans of the webhook and of its first attempt are exported", func() bool {
		return len(otel.Spans("handler")) == 1 && len(otel.Spans("kindly webhook")) == 1 && len(otel.Spans("kindly attempt")) > 0
	})
	c.stop(syscall.SIGKILL)
	before := len(otel.Spans("kindly attempt"))
	accepted := otel.Spans("kindly webhook")[0]
	require.Equal(t, otel.Spans("handler")[0].GetSpanId(), accepted.GetParentSpanId())
	require.Equal(t, "pending", collector.Attribute(accepted, "kindly.outcome").GetStringValue())

	s.desk.Recover()
	c = traced()
	s.waitTickets(1)
	var delivered *tracepb.Span
	c.eventually("the span of the last attempt is exported", func() bool {
		all := otel.Spans("kindly attempt")
		delivered = all[len(all)-1]
		return len(all) > before && collector.Attribute(delivered, "kindly.verdict").GetStringValue() == "success"
	})
	require.Equal(t, accepted.GetTraceId(), delivered.GetTraceId())
	require.Equal(t, accepted.GetSpanId(), delivered.GetParentSpanId())
	id := collector.Attribute(accepted, "kindly.delivery.id").GetStringValue()
	require.Equal(t, id, collector.Attribute(delivered, "kindly.delivery.id").GetStringValue())
	require.Equal(t, s.waitTickets(1)[0].IdempotencyKey, id)

	trace := hex.EncodeToString(accepted.GetTraceId())
	for _, request := range append(s.desk.Requests(), s.kindly.Requests()...) {
		require.Regexp(t, "^00-"+trace+"-[0-9a-f]{16}-01$", request.Header.Get("Traceparent"))
	}
	require.Regexp(t, "(?m)^trace +"+trace+"$", c.kindly("deliveries", "show", id))

	require.Zero(t, c.stop(terminate))
	for _, span := range otel.Spans("") {
		require.Equal(t, accepted.GetTraceId(), span.GetTraceId(), span.GetName())
		if span.GetName() == "handler" { // Caddy's own, with the request's path
			continue
		}
		for _, wrong := range []string{secret, apiKey, "/tickets", "create ticket", "me@example.com", "/chats/"} {
			require.NotContains(t, span.String(), wrong)
		}
	}
}
