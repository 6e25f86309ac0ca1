package kindly

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// BenchmarkOverhead compares a webhook's whole way, but for the network, with
// metrics and a log at level info to one without. Both take turns, and the
// ratio is the median of their rounds: what else the machine does hits both.
func BenchmarkOverhead(b *testing.B) {
	for _, level := range []zapcore.Level{zapcore.InfoLevel, zapcore.DebugLevel} {
		b.Run(level.String(), func(b *testing.B) {
			encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
			log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(io.Discard), level))
			app := &App{runtime: &runtime{teller: &teller{queue: make(chan event)}}}
			with := overheadHandler(b, log, observe(app, "overhead", 1))
			without := overheadHandler(b, zap.NewNop(), nil)
			const round = 10
			var ratios []float64
			n := 0
			for b.Loop() {
				var took [2]time.Duration
				for turn := range 4 { // without, with, with, without
					h, i := without, 0
					if turn == 1 || turn == 2 {
						h, i = with, 1
					}
					requests := make([]*http.Request, round)
					for j := range requests {
						n++
						requests[j] = overheadRequest(b, n)
					}
					started := time.Now()
					for _, r := range requests {
						if _, err := h.Serve(nowhere{http.Header{}}, r); err != nil {
							b.Fatal(err)
						}
					}
					took[i] += time.Since(started)
				}
				ratios = append(ratios, float64(took[1])/float64(took[0]))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "with/without")
		})
	}
}

func overheadHandler(b *testing.B, log *zap.Logger, observer kindlyhandler.Observer) *kindlyhandler.Handler {
	b.Helper()
	transcript, err := os.ReadFile("../kindlyhandler/testdata/transcript.json")
	if err != nil {
		b.Fatal(err)
	}
	h, err := kindlyhandler.New(kindlyhandler.Options{
		Secrets:    []string{lifecycleSecret},
		Transcript: &kindlyhandler.TranscriptOptions{APIKey: "key", Transport: answers(transcript)},
		Upstreams: []kindlyhandler.UpstreamOptions{{
			URL:       "https://desk.example.com/tickets",
			Transport: answers(`{"id":4711,"url":"https://desk.example.com/tickets/4711"}`),
		}},
		RespondWithin: 5 * time.Second,
		Log:           log,
		Observer:      observer,
	})
	if err != nil {
		b.Fatal(err)
	}
	d := delivery.NewDispatcher(memory.New(memory.Options{MaxSettled: 1000}), delivery.WithLogger(log))
	d.Push(h.Lanes())
	h.Connect(d)
	b.Cleanup(func() { _ = d.Close() })
	return h
}

func overheadRequest(b *testing.B, n int) *http.Request {
	b.Helper()
	r, err := kindlytest.NewWebhookRequest("http://kindly.example", lifecycleSecret, kindlytest.DialogueWebhookFor(fmt.Sprintf("chat-%d", n)))
	if err != nil {
		b.Fatal(err)
	}
	return r.WithContext(context.Background())
}

// nowhere is a response that goes there, from a connection without deadlines.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header           { return w.header }
func (nowhere) Write(p []byte) (int, error)     { return len(p), nil }
func (nowhere) WriteHeader(int)                 {}
func (nowhere) SetReadDeadline(time.Time) error { return nil }

// answers is a transport that has the same answer for all requests.
type answers []byte

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a)), ContentLength: int64(len(a))}, nil
}
