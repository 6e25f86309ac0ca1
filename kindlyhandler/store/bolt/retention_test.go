package bolt_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// shelf is a store whose clock is moved by hand.
type shelf struct {
	*testing.T
	*bolt.Store
	path string
	now  atomic.Int64
	lost *delivery.Losses
	logs *observer.ObservedLogs
}

func newShelf(t *testing.T, limits bolt.Limits) *shelf {
	s := &shelf{T: t, lost: delivery.NewLosses(nil), path: filepath.Join(fastDir(t), "deliveries.db")}
	s.now.Store(time.Now().UnixNano())
	s.open(limits)
	t.Cleanup(func() { require.NoError(t, s.Store.Close()) })
	return s
}

func (s *shelf) open(limits bolt.Limits) {
	core, logs := observer.New(zap.WarnLevel)
	store, err := bolt.Open(bolt.Options{Path: s.path, Now: s.clock, Log: zap.New(core), Limits: limits, Losses: s.lost})
	require.NoError(s, err)
	s.Store, s.logs = store, logs
}

func (s *shelf) clock() time.Time { return time.Unix(0, s.now.Load()) }

func (s *shelf) passes(d time.Duration) {
	s.now.Add(int64(d))
	s.Sweep(s.Context())
}

// settled puts a delivery and settles it.
func (s *shelf) settled(state delivery.State, window time.Duration) *delivery.Delivery {
	s.Helper()
	d := webhook()
	d.Claimed, d.ReceivedAt, d.DueAt, d.KeyExpires = true, s.clock(), s.clock(), s.clock().Add(window)
	require.NoError(s, s.Put(s.Context(), []*delivery.Delivery{d}))
	saved := *d
	saved.State, saved.Answer = state, []byte("answer")
	if state == delivery.Delivered {
		saved.Body = nil
	}
	if state != delivery.Pending {
		_, err := s.Save(s.Context(), &saved)
		require.NoError(s, err)
	}
	return &saved
}

func (s *shelf) has(d *delivery.Delivery) bool {
	s.Helper()
	_, err := s.Get(s.Context(), d.ID)
	if err != nil {
		require.ErrorIs(s, err, delivery.ErrNotFound)
	}
	return err == nil
}

func TestRetention(t *testing.T) {
	s := newShelf(t, bolt.Limits{Retention: time.Hour, DeadRetention: 48 * time.Hour})
	pending := s.settled(delivery.Pending, time.Minute)
	done := s.settled(delivery.Delivered, time.Minute)
	lost := s.settled(delivery.Dead, time.Minute)

	s.passes(time.Hour - time.Second)
	require.True(t, s.has(done))
	s.passes(2 * time.Second)
	require.False(t, s.has(done))
	require.True(t, s.has(lost))

	s.passes(46 * time.Hour)
	require.True(t, s.has(lost))
	require.Positive(t, s.logs.FilterMessageSnippet("will be gone within a day").Len(), "the store itself may have looked, too")
	s.passes(2 * time.Hour)
	require.False(t, s.has(lost))
	require.Equal(t, 1, s.logs.FilterMessageSnippet("past their retention").Len())
	require.Equal(t, map[delivery.Loss]int{delivery.LossExpired: 1}, s.lost.Of(lane))

	require.True(t, s.has(pending), "whatever its age")
	counts, err := s.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, counts[lane].Pending)
	require.Zero(t, counts[lane].Delivered+counts[lane].Dead)
}

// Its answer is what a duplicate gets, for as long as there are duplicates.
func TestRetention_keys(t *testing.T) {
	s := newShelf(t, bolt.Limits{Retention: time.Hour})
	d := s.settled(delivery.Delivered, 24*time.Hour)
	for range 23 {
		s.passes(time.Hour)
		found, err := s.Find(t.Context(), d.Key)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, d.Answer, found[0].Answer)
	}
	require.NoError(t, s.Close())
	s.open(bolt.Limits{Retention: time.Hour})
	found, err := s.Find(t.Context(), d.Key)
	require.NoError(t, err)
	require.Len(t, found, 1)

	s.passes(time.Hour + time.Second)
	require.False(t, s.has(d))
	found, err = s.Find(t.Context(), d.Key)
	require.NoError(t, err)
	require.Empty(t, found)
}

// Many are removed in many transactions.
func TestRetention_many(t *testing.T) {
	s := newShelf(t, bolt.Limits{Retention: time.Hour})
	for range 1000 {
		s.settled(delivery.Delivered, time.Minute)
	}
	s.passes(2 * time.Hour)
	counts, err := s.Count(t.Context())
	require.NoError(t, err)
	require.Empty(t, counts)
}

func TestLimits_live(t *testing.T) {
	s := newShelf(t, bolt.Limits{MaxPending: 2})
	s.settled(delivery.Pending, time.Minute)
	s.settled(delivery.Pending, time.Minute)
	require.ErrorIs(t, s.Put(t.Context(), []*delivery.Delivery{webhook()}), delivery.ErrFull)
	s.SetLimits(bolt.Limits{MaxPending: 3, Retention: time.Minute})
	done := s.settled(delivery.Delivered, time.Minute)
	s.passes(2 * time.Minute)
	require.False(t, s.has(done))
}

func TestOpen_locked(t *testing.T) {
	s := newShelf(t, bolt.Limits{})
	started := time.Now()
	_, err := bolt.Open(bolt.Options{Path: s.path, LockTimeout: 200 * time.Millisecond})
	require.ErrorContains(t, err, "another process has it open")
	require.ErrorContains(t, err, s.path)
	require.Less(t, time.Since(started), 5*time.Second)
	require.NotNil(t, s.settled(delivery.Delivered, time.Minute), "the first one goes on")
}
