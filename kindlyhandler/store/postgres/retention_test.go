package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

func count(t *testing.T, s *postgres.Store, lane delivery.Lane) delivery.Counts {
	t.Helper()
	counts, err := s.Count(t.Context())
	require.NoError(t, err)
	c := counts[lane]
	c.OldestPending = time.Time{}
	return c
}

func TestRetention(t *testing.T) {
	start := time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)
	now := start
	losses := delivery.NewLosses(nil)
	log, logs := logger()
	dsn := pgtest.Schema(t)
	o := postgres.Hurried(postgres.Options{DSN: dsn, Now: func() time.Time { return now }, Losses: losses, Log: log})
	o.Retention, o.DeadRetention = time.Hour, 48*time.Hour
	s := open(t, o)
	fresh := func(window time.Duration) *delivery.Delivery {
		d := claimed(newDelivery(zendesk, "chat"))
		d.KeyExpires, d.ReceivedAt, d.DueAt = now.Add(window), now, now
		return d
	}
	short, long, dead := fresh(10*time.Minute), fresh(24*time.Hour), fresh(10*time.Minute)
	for _, d := range []*delivery.Delivery{short, long} {
		put(t, s, d)
		settle(t, s, d, delivery.Delivered)
	}
	put(t, s, dead)
	settle(t, s, dead, delivery.Dead)
	put(t, s, fresh(10*time.Minute))

	at := func(d time.Duration) delivery.Counts {
		now = start.Add(d)
		s.Sweep(t.Context())
		return count(t, s, zendesk)
	}
	require.Equal(t, delivery.Counts{Pending: 1, Delivered: 2, Dead: 1}, at(time.Hour))
	require.Equal(t, delivery.Counts{Pending: 1, Delivered: 1, Dead: 1}, at(time.Hour+time.Second), "the other's key makes duplicates still")
	require.Equal(t, 1, query[int](t, dsn, `SELECT count(*) FROM kindly_keys`), "expired keys are gone")
	require.Equal(t, delivery.Counts{Pending: 1, Dead: 1}, at(24*time.Hour))
	require.Zero(t, query[int](t, dsn, `SELECT count(*) FROM kindly_keys`))
	require.Zero(t, logs.FilterMessageSnippet("within a day").Len())
	require.Equal(t, delivery.Counts{Pending: 1, Dead: 1}, at(24*time.Hour+time.Second))
	require.Equal(t, 1, logs.FilterMessageSnippet("within a day").Len())
	require.Empty(t, losses.Of(zendesk))
	require.Equal(t, delivery.Counts{Pending: 1}, at(48*time.Hour+time.Second))
	require.Equal(t, map[delivery.Loss]int{delivery.LossExpired: 1}, losses.Of(zendesk))
	require.Equal(t, 1, logs.FilterMessageSnippet("past their retention").Len())
	require.Equal(t, 1, query[int](t, dsn, `SELECT count(*) FROM kindly_counts`), "what was noted is summed up")

	put(t, s, fresh(time.Minute)) // behind the other of its chat
	s.SetLimits(postgres.Limits{Retention: time.Minute})
	require.Equal(t, delivery.Counts{Pending: 2}, at(49*time.Hour))
}

func TestRetentionOfMany(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Hurried(postgres.Options{DSN: dsn}))
	crowd(t, dsn, 3000)
	require.NoError(t, pgtest.Do(dsn, `UPDATE kindly_deliveries SET state = 1, settled = now() - interval '2 days', key_expires = now() - interval '1 day';
		UPDATE kindly_keys SET expires = now() - interval '1 day'; INSERT INTO kindly_counts VALUES ('support', 'zendesk', -3000, 3000, 0)`))
	require.Equal(t, delivery.Counts{Delivered: 3000}, count(t, s, zendesk))
	s.Sweep(t.Context())
	require.Zero(t, count(t, s, zendesk))
	require.Zero(t, query[int](t, dsn, `SELECT count(*) FROM kindly_deliveries`))
	require.Zero(t, query[int](t, dsn, `SELECT count(*) FROM kindly_keys`))
}

func TestMaxPending(t *testing.T) {
	dsn := pgtest.Schema(t)
	o := postgres.Hurried(postgres.Options{DSN: dsn, Limits: postgres.Limits{MaxPending: 3}})
	one, two := open(t, o), open(t, o)
	put(t, one, newDelivery(zendesk, ""))
	put(t, one, newDelivery(zendesk, ""))
	pair := []*delivery.Delivery{newDelivery(zendesk, ""), newDelivery(slack, "")}
	pair[1].Key = pair[0].Key
	require.ErrorIs(t, one.Put(t.Context(), pair), delivery.ErrFull)
	put(t, one, newDelivery(zendesk, ""))
	require.ErrorIs(t, one.Put(t.Context(), pair[:1]), delivery.ErrFull)
	soon(t, func() bool { return two.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}) != nil }, "the other learns of it by its next beat")
	one.SetLimits(postgres.Limits{MaxPending: 100})
	put(t, one, pair...)
}
