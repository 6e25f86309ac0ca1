package outbound

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/span"
)

// RoundTrip makes a request, and tells the trace that its context has in the
// headers traceparent and tracestate, for which the request's header must be
// its own. If the context's span is recorded, so is the request, until the
// answer's header is there, after the conventions for HTTP clients but for the
// URL: that can be a secret.
func RoundTrip(transport http.RoundTripper, r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return transport.RoundTrip(r)
	}
	ctx, s := span.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindClient))
	if s.IsRecording() {
		s.SetAttributes(
			semconv.HTTPRequestMethodKey.String(r.Method),
			semconv.ServerAddress(r.URL.Hostname()),
			semconv.ServerPort(port(r.URL)))
		r = r.WithContext(ctx)
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	resp, err := transport.RoundTrip(r)
	switch {
	case err != nil:
		span.End(s, 0, Describe(err))
	case resp.StatusCode >= http.StatusBadRequest:
		span.End(s, resp.StatusCode, fmt.Errorf("answered %d", resp.StatusCode))
	default:
		span.End(s, resp.StatusCode, nil)
	}
	return resp, err
}

func port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}
