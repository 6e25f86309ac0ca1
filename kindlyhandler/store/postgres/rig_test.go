package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
)

var (
	zendesk = delivery.Lane{Webhook: "support", Upstream: "zendesk"}
	slack   = delivery.Lane{Webhook: "support", Upstream: "slack"}
)

func open(t testing.TB, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newDelivery(lane delivery.Lane, chat string) *delivery.Delivery {
	now := time.Now()
	d := &delivery.Delivery{
		ID: uuid.Must(uuid.NewV7()), Lane: lane, KeyExpires: now.Add(10 * time.Minute),
		Event: "dialogue", ChatID: chat, ReceivedAt: now, DueAt: now, Body: []byte(`{"message":"create ticket"}`),
	}
	copy(d.Key[:], d.ID[:])
	return d
}

func claimed(d *delivery.Delivery) *delivery.Delivery {
	d.Claimed = true
	return d
}

func put(t testing.TB, s *postgres.Store, deliveries ...*delivery.Delivery) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), deliveries))
}

func claim(t testing.TB, s *postgres.Store, lane delivery.Lane) []uuid.UUID {
	t.Helper()
	got, _, err := s.Claim(t.Context(), lane, time.Now(), 1000)
	require.NoError(t, err)
	ids := []uuid.UUID{}
	for _, d := range got {
		ids = append(ids, d.ID)
	}
	return ids
}

func settle(t testing.TB, s *postgres.Store, d *delivery.Delivery, state delivery.State) {
	t.Helper()
	settled := *d
	settled.State = state
	_, err := s.Save(t.Context(), &settled)
	require.NoError(t, err)
}

// logger returns a log and what is in it.
func logger() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	return zap.New(core), logs
}

// soon waits for what other goroutines bring about.
func soon(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, what)
}

// query returns the first column of the first row.
func query[T any](t testing.TB, dsn, sql string, arguments ...any) (value T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	defer c.Close(ctx)
	require.NoError(t, c.QueryRow(ctx, sql, arguments...).Scan(&value))
	return value
}

// witness notes what a store tells of the others.
type witness struct {
	mu      sync.Mutex
	lanes   map[delivery.Lane]int
	members []([2]int)
}

func watch(s *postgres.Store) *witness {
	w := &witness{lanes: make(map[delivery.Lane]int)}
	s.Watch(delivery.Watch{
		Changed: func(l delivery.Lane) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lanes[l]++
		},
		Members: func(place, of int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.members = append(w.members, [2]int{place, of})
		},
	})
	return w
}

func (w *witness) changed(l delivery.Lane) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lanes[l]
}

func (w *witness) place() [2]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.members) == 0 {
		return [2]int{}
	}
	return w.members[len(w.members)-1]
}

// news counts how often the members have changed.
func (w *witness) news() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.members)
}
