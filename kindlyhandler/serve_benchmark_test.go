package kindlyhandler

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// BenchmarkServe measures a webhook's whole way, but for the network: the
// handler's own share.
func BenchmarkServe(b *testing.B) {
	serve := benchmarkJob(b)
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
}

// benchmarkJob returns what does the whole job for one webhook, of another chat
// each time.
func benchmarkJob(b *testing.B, change ...func(*Options)) (serve func()) {
	b.Helper()
	const chat = "5a3a38dfd923ba4238c70ca0"
	body := readTestdata(b, "dialogue-webhook.json")
	at := bytes.Index(body, []byte(chat))
	h := benchmarkHandler(b, change...)
	mac := hmac.New(sha256.New, []byte(publishedSecret))
	var sum digest
	n := 0
	w := &discardWriter{header: make(http.Header)}
	return func() {
		n++
		hex.Encode(body[at:at+len(chat)], strconv.AppendInt(make([]byte, 0, 12), 1e11+int64(n), 10))
		mac.Reset()
		mac.Write(body)
		signature := base64.StdEncoding.EncodeToString(mac.Sum(sum[:0]))
		if _, err := h.Serve(w, benchmarkRequest(body, signature)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkServeRefused measures a webhook with a wrong signature.
func BenchmarkServeRefused(b *testing.B) {
	body := readTestdata(b, "dialogue-webhook.json")
	h := benchmarkHandler(b)
	w := &discardWriter{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Serve(w, benchmarkRequest(body, publishedSignature)); err == nil {
			b.Fatal("it was not refused")
		}
	}
}

// BenchmarkRequest measures what of the others is the benchmark's own request.
func BenchmarkRequest(b *testing.B) {
	body := readTestdata(b, "dialogue-webhook.json")
	b.ReportAllocs()
	for b.Loop() {
		benchmarkRequest(body, publishedSignature)
	}
}

func benchmarkHandler(b *testing.B, change ...func(*Options)) *Handler {
	b.Helper()
	o := Options{
		Secrets:    []string{publishedSecret},
		Transcript: &TranscriptOptions{APIKey: "key", Transport: answers200(readTestdata(b, "transcript.json"))},
		Upstreams: []UpstreamOptions{{
			URL:       "https://desk.example.com/tickets",
			Transport: answers200(`{"id":4711,"url":"https://desk.example.com/tickets/4711"}`),
		}},
		RespondWithin: 5 * time.Second,
		Reply:         Texts{"": "Ticket {kindly.ticket.id} created."},
	}
	for _, f := range change {
		f(&o)
	}
	h, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	d := delivery.NewDispatcher(memory.New(memory.Options{MaxSettled: 1000}))
	d.Push(h.Lanes())
	h.Connect(d)
	b.Cleanup(func() { _ = d.Close() })
	return h
}

func benchmarkRequest(body []byte, signature string) *http.Request {
	return (&http.Request{
		Method:        http.MethodPost,
		Header:        http.Header{canonicalAlgorithmHeader: {Algorithm}, canonicalSignatureHeader: {signature}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}).WithContext(context.Background())
}

// discardWriter is a response that goes nowhere, from a connection without
// deadlines.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header             { return w.header }
func (w *discardWriter) Write(p []byte) (int, error)     { return len(p), nil }
func (w *discardWriter) WriteHeader(int)                 {}
func (w *discardWriter) SetReadDeadline(time.Time) error { return nil }

// answers200 is a transport that has the same answer for all requests.
type answers200 []byte

func (a answers200) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a)), ContentLength: int64(len(a))}, nil
}
