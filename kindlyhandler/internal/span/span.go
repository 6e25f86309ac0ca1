// Package span makes the spans of a webhook's way. It uses OpenTelemetry's API
// only: where spans go is the business of who provides the tracer.
//
// Without a span that is recorded, nothing here allocates.
package span

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the instrumentation scope of all spans.
const Scope = "github.com/caddy-kindly/caddy-kindly/kindlyhandler"

// None is a span that records nothing.
var None = trace.SpanFromContext(context.Background())

// Start begins a span within that of the context, with its provider. If that is
// not recorded, so is nothing: the context stays what it is.
func Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, None
	}
	return parent.TracerProvider().Tracer(Scope).Start(ctx, name, options...)
}

// End ends a span, as a failure if there is an error. Its text is recorded, and
// must hold none of strangers. The status is that of HTTP, 0 if there was none.
//
// It is not to be deferred by itself: ending a span in a panic records the
// panic's value, which may quote a stranger.
func End(s trace.Span, status int, err error) {
	if !s.IsRecording() {
		return
	}
	if status != 0 {
		s.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	switch {
	case err == nil:
	case status != 0:
		s.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	default:
		s.SetAttributes(semconv.ErrorTypeOther)
	}
	if err != nil {
		s.SetStatus(codes.Error, err.Error())
	}
	s.End()
}
