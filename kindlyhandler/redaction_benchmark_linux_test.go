package kindlyhandler

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRedact measures what redacting everything that has a name costs of
// the whole job in a process: the handler, and Kindly's API and the help desk
// behind connections on loopback, which are a part of it here. "ratio" is the
// median of the CPU time to that of a handler that redacts nothing, with which
// it takes turns.
func BenchmarkRedact(b *testing.B) {
	answer := func(body []byte) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
		b.Cleanup(server.Close)
		return server.URL
	}
	api, desk := answer(readTestdata(b, "transcript.json")), answer([]byte(`{"id":4711,"url":"https://desk.example.com/tickets/4711"}`))
	overLoopback := func(o *Options) {
		o.Transcript.API, o.Transcript.Transport = api, nil
		o.Upstreams[0].URL, o.Upstreams[0].Transport = desk, nil
	}
	redacts := func(o *Options) {
		o.Redact = []Redaction{{Pattern: "card"}, {Pattern: "iban"}, {Pattern: "email"}, {Pattern: "national_id"}}
	}
	plain, redacted := benchmarkJob(b, overLoopback), benchmarkJob(b, overLoopback, redacts)
	turn := func(serve func()) float64 {
		before := cpuTime(b)
		for range 100 {
			serve()
		}
		return float64(cpuTime(b) - before)
	}
	var ratios []float64
	for b.Loop() {
		first, second := turn(plain), turn(redacted)
		third, fourth := turn(redacted), turn(plain)
		ratios = append(ratios, second/first, third/fourth)
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(0, "ns/op")
}

// cpuTime returns how long the process has computed.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
