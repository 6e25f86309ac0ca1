package bolt_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

var backlog = flag.Int("backlog", 10_000, "how many pending deliveries BenchmarkBacklog makes")

// BenchmarkBacklog measures what a long outage of a help desk does to a store:
//
//	go test -run '^$' -bench Backlog -benchtime 1x -backlog 1000000 ./kindlyhandler/store/bolt
//
// Each iteration fills a store with pending deliveries, opens it again, puts
// some more, drains it, and puts again. The times are compared with those of
// an empty store in the same run.
func BenchmarkBacklog(b *testing.B) {
	for b.Loop() {
		measureBacklog(b, *backlog)
	}
}

func measureBacklog(b *testing.B, n int) {
	dir := b.TempDir()
	limits := bolt.Limits{MaxPending: 10 * n}
	open := func(name string) *bolt.Store {
		s, err := bolt.Open(bolt.Options{Path: filepath.Join(dir, name), Limits: limits})
		require.NoError(b, err)
		return s
	}
	sample := max(n/50, 1000)

	fresh := open("fresh.db")
	empty := putAll(b, fresh, sample)
	require.NoError(b, fresh.Close())

	s := open("deliveries.db")
	filling := putAll(b, s, n)
	require.NoError(b, s.Close())
	runtime.GC()
	before := residentAnonymous()

	started := time.Now()
	s = open("deliveries.db")
	counts, err := s.Count(context.Background()) // waits until it is ready
	ready := time.Since(started)
	require.NoError(b, err)
	require.Equal(b, n, counts[lane].Pending)
	anonymous := residentAnonymous()
	full := putAll(b, s, sample)

	started = time.Now()
	drained := drain(b, s)
	took := time.Since(started)
	require.Equal(b, n+sample, drained)
	after := putAll(b, s, sample)
	require.NoError(b, s.Close())

	b.ReportMetric(filling, "fill/s")
	b.ReportMetric(ready.Seconds(), "ready-s")
	b.ReportMetric(float64(anonymous)/1e6, "RssAnon-MB")
	b.ReportMetric(float64(anonymous-before)/1e6, "RssAnon-more-MB")
	b.ReportMetric(empty/full, "put-full/empty")
	b.ReportMetric(float64(drained)/took.Seconds(), "drain/s")
	b.ReportMetric(after/empty, "rate-drained/fresh")
}

// putAll puts n deliveries from all writers, and returns how many that were a
// second.
func putAll(b *testing.B, s *bolt.Store, n int) float64 {
	started := time.Now()
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for range (n + i) / writers {
				if err := s.Put(context.Background(), []*delivery.Delivery{webhook()}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(started).Seconds()
}

// drain delivers all that is pending.
func drain(b *testing.B, s *bolt.Store) (n int) {
	for {
		got, _, err := s.Claim(context.Background(), lane, time.Now().Add(time.Hour), writers)
		require.NoError(b, err)
		if len(got) == 0 {
			return n
		}
		n += len(got)
		for _, d := range got {
			d.State, d.Body, d.Tries = delivery.Delivered, nil, 1
			_, err := s.Save(context.Background(), d)
			require.NoError(b, err)
		}
	}
}

// residentAnonymous is the process's memory without mapped files, in bytes; 0
// where that cannot be known.
func residentAnonymous() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if fields := bytes.Fields(lines.Bytes()); len(fields) == 3 && string(fields[0]) == "RssAnon:" {
			kilobytes, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}
