package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// writers each wait for what they write to be on disk.
const writers = 64

var lane = delivery.Lane{Webhook: "support", Upstream: "zendesk"}

var number atomic.Uint64

// webhook returns a delivery of a chat of its own, with a body of 1 KiB.
func webhook() *delivery.Delivery {
	now := time.Now()
	n := number.Add(1)
	d := &delivery.Delivery{
		ID: uuid.Must(uuid.NewV7()), Lane: lane, KeyExpires: now.Add(10 * time.Minute),
		Event: "dialogue", ChatID: uuid.NewString(), ReceivedAt: now, DueAt: now,
		Body: bytes.Repeat([]byte("x"), 1024),
	}
	binary.BigEndian.PutUint64(d.Key[8:], n)
	binary.BigEndian.PutUint64(d.Key[:], n*0x9E3779B97F4A7C15) // as evenly spread as a hash
	return d
}

func openStore(tb testing.TB, path string) *bolt.Store {
	tb.Helper()
	s, err := bolt.Open(bolt.Options{Path: path})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

// inParallel runs f in all writers until the benchmark has its number of them,
// and reports the median of how long it took.
func inParallel(b *testing.B, f func() error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	times := make([][]time.Duration, writers)
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				started := time.Now()
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				times[i] = append(times[i], time.Since(started))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	sorted := slices.Concat(times...)
	slices.Sort(sorted)
	b.ReportMetric(float64(len(sorted))/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(sorted[len(sorted)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(sorted[len(sorted)*99/100].Seconds()*1000, "p99-ms")
}

// What the store adds to what the disk takes: compare with Flush.
func BenchmarkPut(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "deliveries.db"))
	inParallel(b, func() error { return s.Put(context.Background(), []*delivery.Delivery{webhook()}) })
}

// What encryption costs: rounds of puts into a store without a key and one with
// one, by turns. The ratio is that of their median rounds, above 1 if the
// encrypted one takes longer.
func BenchmarkPut_encrypted(b *testing.B) {
	const round = 64 * writers
	var took [2][]time.Duration
	stores := [2]*bolt.Store{openStore(b, filepath.Join(b.TempDir(), "plain.db"))}
	encrypted, err := bolt.Open(bolt.Options{Path: filepath.Join(b.TempDir(), "encrypted.db"), Keys: sealtest.Keys(b, 1)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, encrypted.Close()) })
	stores[1] = encrypted
	for b.Loop() {
		for i, s := range stores {
			started := time.Now()
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for range round / writers {
						if err := s.Put(context.Background(), []*delivery.Delivery{webhook()}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			took[i] = append(took[i], time.Since(started))
		}
	}
	for i, name := range []string{"plain-ops/s", "encrypted-ops/s"} {
		slices.Sort(took[i])
		b.ReportMetric(round/took[i][len(took[i])/2].Seconds(), name)
	}
	b.ReportMetric(float64(took[1][len(took[1])/2])/float64(took[0][len(took[0])/2]), "ratio")
}

// A delivery's whole life, as a healthy help desk makes it.
func BenchmarkPutSave(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "deliveries.db"))
	inParallel(b, func() error {
		d := webhook()
		d.Claimed = true
		if err := s.Put(context.Background(), []*delivery.Delivery{d}); err != nil {
			return err
		}
		done := *d
		done.State, done.Body, done.Tries = delivery.Delivered, nil, 1
		done.Attempts = []delivery.Attempt{{At: time.Now(), Duration: time.Millisecond, Stage: delivery.StageUpstream, Status: 201}}
		done.Ticket = delivery.Ticket{ID: "4711"}
		done.Answer = []byte(`{"reply":"Ticket 4711 created."}`)
		_, err := s.Save(context.Background(), &done)
		return err
	})
}

// The least that durability costs on this disk: the same bytes appended to a
// file, flushed for all writers that wait at a time.
func BenchmarkFlush(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	require.NoError(b, err)
	defer f.Close()
	type write struct {
		bytes []byte
		done  chan error
	}
	writes := make(chan write, writers)
	go func() {
		for first := range writes {
			group, all := []write{first}, first.bytes
			runtime.Gosched()
			for len(writes) > 0 {
				w := <-writes
				group, all = append(group, w), append(all, w.bytes...)
			}
			_, err := f.Write(all)
			if err == nil {
				err = flush(f)
			}
			for _, w := range group {
				w.done <- err
			}
		}
	}()
	defer close(writes)
	inParallel(b, func() error {
		w := write{bytes.Repeat([]byte("x"), 1024), make(chan error, 1)}
		writes <- w
		return <-w.done
	})
}
