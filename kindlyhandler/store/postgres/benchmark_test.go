package postgres_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// BenchmarkClaim claims one of many that are due, and puts it back. The server
// does not flush here: that would hide what is measured.
//
//	go test -run '^$' -bench Claim -benchtime 300x ./kindlyhandler/store/postgres
func BenchmarkClaim(b *testing.B) {
	sizes := []int{10, 100_000, 1_000_000}
	if testing.Short() {
		sizes = []int{10, 10_000}
	}
	for _, pending := range sizes {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			dsn := pgtest.Schema(b)
			s := open(b, postgres.Options{DSN: dsn})
			crowd(b, dsn, pending)
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				began := time.Now()
				got, _, err := s.Claim(b.Context(), zendesk, time.Now(), 1)
				took = append(took, time.Since(began))
				require.NoError(b, err)
				require.Len(b, got, 1)
				got[0].DueAt = time.Now().Add(-time.Millisecond)
				_, err = s.Save(b.Context(), got[0])
				require.NoError(b, err)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/claim")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkPut puts webhooks of 1 KiB from so many callers at once, as long as
// pgbench, right before it, inserts rows of 1 KiB and commits each.
//
//	go test -run '^$' -bench Put -benchtime 1x ./kindlyhandler/store/postgres
func BenchmarkPut(b *testing.B) {
	duration := 2 * time.Second
	if testing.Short() {
		duration = time.Second
	}
	server := pgtest.Start(b, pgtest.Options{})
	require.NoError(b, pgtest.Do(server.DSN(), "CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)"))
	for _, callers := range []int{1, 16, 64} {
		for _, cycle := range []string{"put", "put and save"} {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, cycle), func(b *testing.B) {
				limit := pgbench(b, server, min(callers, 40), duration)
				s := open(b, postgres.Options{DSN: pgtest.SchemaIn(b, server.DSN())})
				body := noise(1024)
				done := make(chan int)
				until := time.Now().Add(duration)
				for range callers {
					go func() {
						n := 0
						for time.Now().Before(until) {
							d := claimed(newDelivery(zendesk, ""))
							d.Body, d.ChatID = body, d.ID.String()
							if err := s.Put(b.Context(), []*delivery.Delivery{d}); err != nil {
								b.Error(err)
								break
							}
							if cycle != "put" {
								d.State, d.Body = delivery.Delivered, nil
								if _, err := s.Save(b.Context(), d); err != nil {
									b.Error(err)
									break
								}
							}
							n++
						}
						done <- n
					}()
				}
				total := 0
				for range callers {
					total += <-done
				}
				rate := float64(total) / duration.Seconds()
				b.ReportMetric(rate, "webhooks/s")
				b.ReportMetric(limit, "pgbench/s")
				b.ReportMetric(rate/limit, "of-pgbench")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func pgbench(b *testing.B, server *pgtest.Server, clients int, duration time.Duration) float64 {
	b.Helper()
	program, err := pgtest.Program("pgbench")
	require.NoError(b, err)
	script := filepath.Join(b.TempDir(), "insert.sql")
	require.NoError(b, os.WriteFile(script, []byte("INSERT INTO plain (body) VALUES (decode(repeat('00', 1024), 'hex'));\n"), 0o600))
	out, err := exec.Command(program, "-n", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "1", "-T", strconv.Itoa(int(duration.Seconds())),
		"-f", script, "-h", server.Dir, "-p", strconv.Itoa(server.Port), "-U", pgtest.Superuser, "postgres").CombinedOutput()
	require.NoError(b, err, "%s", out)
	found := tps.FindSubmatch(out)
	require.NotNil(b, found, "%s", out)
	rate, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(b, err)
	return rate
}
