package kindlyhandler

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/span"
)

// The names of spans. Requests within them are named by their method.
const (
	spanWebhook    = "kindly webhook"
	spanAttempt    = "kindly attempt"
	spanPrefetch   = "kindly prefetch"
	spanTranscript = "kindly transcript"
	spanTicket     = "kindly ticket"
	spanUpstream   = "kindly upstream"
)

// The attributes of spans, beside those of OpenTelemetry's conventions. They
// have ids and labels, and nothing that a visitor wrote.
const (
	attributeWebhook  = attribute.Key("kindly.webhook")
	attributeUpstream = attribute.Key("kindly.upstream")
	attributeEvent    = attribute.Key("kindly.event")
	attributeOutcome  = attribute.Key("kindly.outcome") // as [Observer] has them
	attributeDelivery = attribute.Key("kindly.delivery.id")
	attributeAttempt  = attribute.Key("kindly.attempt")
	attributeStage    = attribute.Key("kindly.stage")
	attributeVerdict  = attribute.Key("kindly.verdict")
)

// maxTraceState bounds what is stored of a trace beside its ids: what W3C asks
// everybody to pass on. A longer one is left out.
const maxTraceState = 512

var errNotAccepted = errors.New("the webhook was not accepted")

// beginWebhook begins the span of an accepted webhook: within that of the
// request if there is one, whether that is recorded or not.
func (h *Handler) beginWebhook(ctx context.Context, received time.Time) (context.Context, trace.Span) {
	switch {
	case trace.SpanContextFromContext(ctx).IsValid():
		if !trace.SpanFromContext(ctx).IsRecording() {
			return ctx, span.None
		}
		return span.Start(ctx, spanWebhook, trace.WithTimestamp(received))
	case h.tracer != nil:
		return h.tracer.Start(ctx, spanWebhook, trace.WithTimestamp(received))
	default:
		return ctx, span.None
	}
}

// endWebhook ends the span. Of a webhook that came to nothing, d is nil.
func (h *Handler) endWebhook(s trace.Span, result Result, d *delivery.Delivery) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(attributeWebhook.String(h.name), attributeEvent.String(result.Event), attributeOutcome.String(result.Outcome))
	if d == nil {
		span.End(s, 0, errNotAccepted)
		return
	}
	s.SetAttributes(attributeDelivery.String(d.ID.String()))
	first := trace.SpanContextFromContext(withTrace(context.Background(), d.Trace))
	if first.IsValid() && first.SpanID() != s.SpanContext().SpanID() { // it is a duplicate
		s.AddLink(trace.Link{SpanContext: first})
	}
	span.End(s, 0, nil)
}

// encodeTrace returns the context's span as a delivery keeps it.
func encodeTrace(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	fields := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, fields)
	if state := fields["tracestate"]; state != "" && len(state) <= maxTraceState {
		return fields["traceparent"] + " " + state
	}
	return fields["traceparent"]
}

// withTrace returns a context with the span that a delivery keeps, if that is
// one.
func withTrace(ctx context.Context, kept string) context.Context {
	if kept == "" {
		return ctx
	}
	parent, state, _ := strings.Cut(kept, " ")
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": state})
}

// TraceID returns the id of the trace that a delivery's webhook came in with,
// as hexadecimal digits; empty if there was none.
func TraceID(d *delivery.Delivery) string {
	id := trace.SpanContextFromContext(withTrace(context.Background(), d.Trace)).TraceID()
	if !id.IsValid() {
		return ""
	}
	return id.String()
}

// resume begins a span within that of the delivery's webhook. It is recorded
// only if that was; its context has the trace anyhow.
func (t *target) resume(ctx context.Context, d *delivery.Delivery, name string) (context.Context, trace.Span) {
	ctx = withTrace(ctx, d.Trace)
	if t.handler.tracer == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, span.None
	}
	ctx, s := t.handler.tracer.Start(ctx, name)
	if s.IsRecording() {
		s.SetAttributes(
			attributeWebhook.String(t.lane.Webhook),
			attributeUpstream.String(t.lane.Upstream),
			attributeDelivery.String(d.ID.String()))
	}
	return ctx, s
}

// traced makes an attempt within a span of its own, also if it panics.
func (t *target) traced(ctx context.Context, s trace.Span, d *delivery.Delivery, proceed func() error) (o delivery.Outcome) {
	s.SetAttributes(attributeAttempt.Int(d.Tries + 1))
	var proceeded, deferred bool
	verdict := "panic"
	o.Err = errPanic
	defer func() {
		s.SetAttributes(attributeVerdict.String(verdict))
		if o.Stage != "" {
			s.SetAttributes(attributeStage.String(o.Stage))
		}
		if o.Verdict == delivery.Success || deferred {
			span.End(s, o.Status, nil)
			return
		}
		span.End(s, o.Status, o.Err)
	}()
	o = t.attempt(ctx, d, func() error {
		err := proceed()
		proceeded, deferred = err == nil, err != nil
		return err
	})
	deferred = deferred || !proceeded && ctx.Err() != nil
	if verdict = verdicts[o.Verdict]; deferred {
		verdict = "deferred"
	}
	return o
}

var errPanic = errors.New("internal error (panic)")

// verdicts are the names of those of attempts. One that was "deferred" was taken
// back before the upstream saw anything of it.
var verdicts = map[delivery.Verdict]string{
	delivery.Transient:     "transient",
	delivery.Success:       "success",
	delivery.Permanent:     "permanent",
	delivery.Refused:       "refused",
	delivery.Misconfigured: "misconfigured",
}
