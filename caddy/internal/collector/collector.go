// Package collector is a simulated OpenTelemetry collector for tests: it takes
// spans by OTLP over HTTP, in binary form.
package collector

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes spans on a loopback address until Close.
type Collector struct {
	*httptest.Server

	mu       sync.Mutex
	hangs    bool
	requests int
	spans    []*tracepb.Span
	services []string
}

// New returns a collector that runs.
func New() *Collector {
	c := new(Collector)
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	return c
}

// Environment returns the variables that let a process send its spans here, soon
// after they have ended.
func (c *Collector) Environment() map[string]string {
	return map[string]string{
		"OTEL_TRACES_EXPORTER":        "otlp",
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL,
		"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
		"OTEL_BSP_SCHEDULE_DELAY":     "20", // milliseconds
		"OTEL_SERVICE_NAME":           "the-service",
	}
}

// Hang makes the collector answer no request from now on.
func (c *Collector) Hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangs = true
}

// Requests returns how many requests there were.
func (c *Collector) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Spans returns the spans of a name that have come so far, all for the empty
// name.
func (c *Collector) Spans(name string) []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s *tracepb.Span) bool { return name != "" && s.GetName() != name })
}

// Services returns the names of the services that have sent spans.
func (c *Collector) Services() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.services)
}

// Attribute returns a span's attribute, nil if it has none of that name.
func Attribute(s *tracepb.Span, name string) *commonpb.AnyValue {
	return attribute(s.GetAttributes(), name)
}

func attribute(all []*commonpb.KeyValue, name string) *commonpb.AnyValue {
	for _, a := range all {
		if a.GetKey() == name {
			return a.GetValue()
		}
	}
	return nil
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // so that the exporter has none left
	body, err := io.ReadAll(r.Body)
	var request collectortrace.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		http.Error(w, "not spans by OTLP", http.StatusBadRequest)
		return
	}
	if c.add(&request) {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(http.StatusOK)
}

// add keeps a request's spans, unless the collector hangs.
func (c *Collector) add(request *collectortrace.ExportTraceServiceRequest) (hangs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.hangs {
		return true
	}
	for _, resource := range request.GetResourceSpans() {
		service := attribute(resource.GetResource().GetAttributes(), "service.name").GetStringValue()
		if !slices.Contains(c.services, service) {
			c.services = append(c.services, service)
		}
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return false
}
