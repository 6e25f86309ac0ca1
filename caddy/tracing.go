package kindly

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.uber.org/zap"
)

// newTracerProvider returns a configuration's provider of spans, which go
// nowhere until it has a processor. It is described as that of Caddy's
// directive tracing, so that both are of one service.
func newTracerProvider() (*sdktrace.TracerProvider, error) {
	version, _ := caddy.Version()
	described, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		semconv.WebEngineName(caddyhttp.ServerHeader),
		semconv.WebEngineVersion(version)))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(described)), nil
}

// spans is where the spans of all configurations go that trace. It is shared:
// attempts outlive the configuration that they began under.
var spans struct {
	mu        sync.Mutex
	users     int
	exporter  sdktrace.SpanExporter
	processor sdktrace.SpanProcessor
}

// takeSpans returns what exports spans as OpenTelemetry's environment variables
// say, which opens no connection. The caller has to release it.
func takeSpans() (sdktrace.SpanProcessor, error) {
	spans.mu.Lock()
	defer spans.mu.Unlock()
	if spans.users == 0 {
		exporter, err := autoexport.NewSpanExporter(context.Background())
		if err != nil {
			return nil, fmt.Errorf("tracing: %w: check the environment variables OTEL_TRACES_EXPORTER (otlp, console or none) "+
				"and OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf or grpc)", err)
		}
		spans.exporter, spans.processor = exporter, sdktrace.NewBatchSpanProcessor(exporter)
	}
	spans.users++
	return spans.processor, nil
}

// releaseSpans exports, with the last user, what is left, for which a collector
// has so long.
func releaseSpans(within time.Duration, log *zap.Logger) {
	spans.mu.Lock()
	defer spans.mu.Unlock()
	if spans.users--; spans.users > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := spans.processor.Shutdown(ctx); err != nil {
		// Cut off what is under way still, so that it holds on to nothing.
		_ = spans.exporter.Shutdown(ctx)
		log.Warn("the last spans could not be exported", zap.Error(err))
	}
	spans.exporter, spans.processor = nil, nil
}

// The time that a collector has at the end is a tenth of the grace period:
// attempts leave that much of it.
const (
	minFlush = 100 * time.Millisecond
	maxFlush = 5 * time.Second
)

func flushTime(grace time.Duration) time.Duration { return min(max(grace/10, minFlush), maxFlush) }
