package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func TestMaxPending(t *testing.T) {
	b := newBench(t, memory.Options{MaxPending: 3})
	first := b.put(1)
	b.put(1)
	b.full(1, 1)
	second := b.put(1)
	b.full(1)

	b.settle(first, delivery.Delivered)
	third := b.put(1)
	b.full(1)

	b.settle(second, delivery.Dead)
	b.settle(third, delivery.Pending)
	b.put(1)
	b.full(1)
}

func TestMaxBytes(t *testing.T) {
	b := newBench(t, memory.Options{MaxBytes: 100, Retention: time.Hour})
	first := b.put(60)
	b.full(41)
	b.full(20, 21)
	second := b.put(40)
	b.full(1)

	b.settle(first, delivery.Delivered) // which drops its body
	b.full(61)
	third := b.put(30)
	third.Transcript = make([]byte, 30) // kept for later attempts
	b.settle(third, delivery.Pending)
	b.full(1)

	b.settle(second, delivery.Dead) // which has a bound of its own
	b.full(41)
	b.put(40)
	b.full(1)
}

func TestMaxBytesOfDeadLetters(t *testing.T) {
	b := newBench(t, memory.Options{MaxBytes: 100})
	first := b.dead(60)
	b.time = b.time.Add(time.Second)
	second := b.dead(40)
	third := b.dead(1)
	b.tidy()
	require.False(t, b.kept(first), "the oldest makes room")
	require.True(t, b.kept(second))
	require.True(t, b.kept(third))
	b.put(100)
}

func TestMaxBytesOfLaterTranscripts(t *testing.T) {
	b := newBench(t, memory.Options{MaxBytes: 100})
	d := b.put(60)
	d.Transcript = make([]byte, 41)
	b.settle(d, delivery.Pending)
	again, _, err := b.Claim(t.Context(), d.Lane, b.time, 1)
	require.NoError(t, err)
	require.Len(t, again, 1)
	require.Nil(t, again[0].Transcript, "it can be fetched again")
}

func TestMaxBytesOfTranscripts(t *testing.T) {
	b := newBench(t, memory.Options{MaxBytes: 100})
	d := b.new(50)
	d.Transcript = make([]byte, 51)
	require.ErrorIs(t, b.Put(t.Context(), []*delivery.Delivery{d}), delivery.ErrFull)
	d.Transcript = make([]byte, 50)
	require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{d}))
}

func TestMaxBytesAfterRevival(t *testing.T) {
	b := newBench(t, memory.Options{MaxBytes: 100})
	d := b.dead(60)
	require.True(t, b.kept(d))
	revived, err := b.Revive(t.Context(), d.ID)
	require.NoError(t, err)
	b.full(41)
	b.settle(revived, delivery.Delivered)
	b.put(100)
}

func TestMaxBytesAfterDrop(t *testing.T) {
	b := newBench(t, memory.Options{MaxBytes: 100, MaxPending: 2})
	for _, put := range []func(int) *delivery.Delivery{b.put, b.dead} {
		_, err := b.Drop(t.Context(), put(100).ID)
		require.NoError(t, err)
	}
	b.put(60)
	b.full(41)
	kept := b.dead(40)
	b.put(40)
	b.full(0)
	b.tidy()
	require.True(t, b.kept(kept), "what was dropped counts no more")
}

func TestMaxSettled(t *testing.T) {
	b := newBench(t, memory.Options{MaxSettled: 2})
	var dead []*delivery.Delivery
	for range 4 {
		dead = append(dead, b.dead(1))
		b.time = b.time.Add(time.Second)
	}
	pending := b.put(1)
	b.tidy()
	require.False(t, b.kept(dead[0]), "the oldest")
	require.False(t, b.kept(dead[1]), "the second oldest")
	require.True(t, b.kept(dead[2]))
	require.True(t, b.kept(dead[3]))

	found, err := b.Find(t.Context(), dead[0].Key)
	require.NoError(t, err)
	require.Empty(t, found, "its key is forgotten with it")
	found, err = b.Find(t.Context(), pending.Key)
	require.NoError(t, err)
	require.Len(t, found, 1, "what is pending does not count")
}

func TestSetLimits(t *testing.T) {
	b := newBench(t, memory.Options{MaxPending: 2, Retention: time.Hour, DeadRetention: 3 * time.Hour})
	requireKept := func(want bool, d *delivery.Delivery) {
		t.Helper()
		b.tidy()
		_, err := b.Get(t.Context(), d.ID)
		require.Equal(t, want, err == nil)
	}
	older, delivered := b.dead(0), b.put(0)
	b.settle(delivered, delivery.Delivered)
	b.time = b.time.Add(2 * time.Hour)
	requireKept(false, delivered)
	requireKept(true, older)

	newer := b.dead(0)
	b.SetLimits(memory.Limits{MaxPending: 1, DeadRetention: 2*time.Hour + time.Second})
	b.put(0)
	b.full(0)
	b.time = b.time.Add(time.Second)
	requireKept(false, older)
	requireKept(true, newer)

	b.SetLimits(memory.Limits{})
	b.put(0)
	b.time = b.time.Add(time.Hour)
	requireKept(false, newer)
}
