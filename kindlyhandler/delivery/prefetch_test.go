package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// reader is a Target that can read in advance, which takes its time.
type reader struct {
	*upstream
	takes time.Duration
	fails func(*delivery.Delivery)

	in, most atomic.Int32
	times    []time.Duration
	start    time.Time
}

func (u *reader) Prefetch(ctx context.Context, d *delivery.Delivery) {
	u.mu.Lock()
	u.times = append(u.times, time.Since(u.start))
	u.mu.Unlock()
	u.most.Store(max(u.most.Load(), u.in.Add(1)))
	defer u.in.Add(-1)
	if u.fails != nil {
		u.fails(d)
		return
	}
	if sleep(u.takes)(ctx) == nil {
		d.Transcript = []byte("the chat as it was")
	}
}

// reads gives the rig's lane a target that reads in advance.
func (r *rig) reads(takes time.Duration) *reader {
	u := &reader{upstream: r.upstream, takes: takes, start: r.start}
	r.define(definition(u))
	return u
}

// down lets the breaker open. The delivery that probes is of no interest.
func (r *rig) down() {
	r.Helper()
	r.upstream.replies(always(after(24*time.Hour, unavailable)))
	for range 5 {
		r.submits(time.Second)
	}
	r.upstream.take()
}

func TestPrefetch(t *testing.T) {
	for name, ail := range map[string]func(r *rig){
		"down":           (*rig).down,
		"paused":         func(r *rig) { r.upstream.replies(always(unauthorized)); r.submits(time.Second) },
		"held":           func(r *rig) { r.upstream.replies(always(held(time.Hour, tooMany))); r.submits(time.Second) },
		"paused by hand": func(r *rig) { require.NoError(r, r.q.Pause(lane)) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				u := r.reads(time.Millisecond)
				ail(r)
				r.passes(500 * time.Millisecond)
				require.Empty(r, u.times, "nothing that was attempted")
				d := r.new()
				d.DueAt = time.Now()
				require.Equal(r, delivery.Pending, r.submit(5*time.Second, d).Delivery.State)
				r.passes(10 * time.Millisecond)
				stored := r.stored(d)
				require.Equal(r, "the chat as it was", string(stored.Transcript))
				require.WithinDuration(r, d.ReceivedAt, stored.DueAt, 0)
				require.Zero(r, stored.Tries)
				require.Empty(r, stored.Attempts)
				require.Zero(r, stored.Elapsed)
				r.unclaimed(d)
				r.passes(20 * time.Hour)
				require.Len(r, u.times, 1)
			})
		})
	}
}

func TestPrefetchOfWhatIsAttempted(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(time.Second)
		r.upstream.replies(always(after(time.Hour, unavailable)))
		for range 4 { // one less than an outage
			r.submits(time.Second)
		}
		r.passes(time.Minute)
		require.Empty(r, u.times)
	})
}

func TestPrefetchesPerSecond(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(100 * time.Millisecond)
		r.down()
		for range 100 {
			r.submits(0)
		}
		r.at(4949 * time.Millisecond)
		require.Len(r, u.times, 99)
		for i := 20; i < len(u.times); i++ {
			require.GreaterOrEqual(r, u.times[i]-u.times[i-20], time.Second-within)
		}
		require.LessOrEqual(r, u.most.Load(), int32(4))
	})
}

func TestPrefetchesAtOnce(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(10 * time.Second)
		r.down()
		for range 20 {
			r.submits(0)
		}
		r.at(time.Minute)
		require.EqualValues(r, 4, u.most.Load())
		require.Len(r, u.times, 20)
	})
}

func TestPrefetchEndsWithTheOutage(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(time.Millisecond)
		r.down()
		var deliveries []*delivery.Delivery
		for range 100 {
			deliveries = append(deliveries, r.submits(0))
		}
		r.upstream.replies(always(success))
		r.at(2 * time.Second)
		r.is(delivery.Delivered, deliveries...)
		require.InDelta(r, 20, len(u.times), 5, "until the probe after a second")
	})
}

func TestPrefetchThatFails(t *testing.T) {
	for name, fails := range map[string]func(*delivery.Delivery){
		"quietly":   func(*delivery.Delivery) {},
		"by panics": func(*delivery.Delivery) { panic("what the stranger wrote") },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				u := r.reads(0)
				u.fails = fails
				r.down()
				d := r.submits(0)
				r.passes(100 * time.Millisecond)
				require.Len(r, u.times, 1)
				r.unclaimed(d)
				require.Equal(r, d.ReceivedAt, r.stored(d).DueAt)
				require.NotContains(r, r.logged(), "what the stranger wrote")
				r.upstream.replies(always(success))
				r.at(2 * time.Second)
				r.is(delivery.Delivered, d)
			})
		})
	}
}

// What waits for an earlier one of its chat cannot be read for in advance.
func TestPrefetchBehindAnEarlierOne(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(time.Millisecond)
		r.down()
		first, second, other := r.inChat("chat"), r.inChat("chat"), r.inChat("other")
		for _, d := range []*delivery.Delivery{first, second, other} {
			r.submit(0, d)
		}
		r.passes(100 * time.Millisecond)
		require.Len(r, u.times, 2)
		require.NotEmpty(r, r.stored(first).Transcript)
		require.Empty(r, r.stored(second).Transcript)
		require.NotEmpty(r, r.stored(other).Transcript)
	})
}

func TestPrefetchAndShutdown(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(time.Hour)
		r.down()
		var deliveries []*delivery.Delivery
		for range 10 {
			deliveries = append(deliveries, r.submits(0))
		}
		r.passes(500 * time.Millisecond)
		require.EqualValues(r, 4, u.in.Load())
		before := r.now()
		r.shutdown(10 * time.Second)
		require.Equal(r, before, r.now(), "it waits for none of them")
		r.unclaimed(deliveries...)
		r.submits(0)
		r.passes(time.Minute)
		require.Len(r, u.times, 4)
	})
}

func TestPrefetchIsBounded(t *testing.T) {
	run(t, func(r *rig) {
		u := r.reads(time.Millisecond)
		require.NoError(r, r.q.Pause(lane))
		const n = 12_000
		for range n {
			_, err := r.q.Submit(r.Context(), []*delivery.Delivery{{ID: uuid.Must(uuid.NewV7()), Lane: lane}}, 0)
			require.NoError(r, err)
		}
		r.passes(time.Hour)
		require.InDelta(r, 10_000, len(u.times), 100)
		require.NoError(r, r.q.Resume(lane))
		synctest.Wait()
		require.Len(r, r.upstream.take(), n)
	})
}
