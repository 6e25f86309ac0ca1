package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// both defines the rig's lane and the other one, which has the upstream that
// is returned.
func (r *rig) both() *upstream {
	second := &upstream{reply: always(success)}
	r.q.Push(map[delivery.Lane]delivery.Definition{lane: definition(r.upstream), other: definition(second)})
	return second
}

// pair returns the deliveries of a webhook to both lanes.
func (r *rig) pair() (first, second *delivery.Delivery) {
	first = r.new()
	second = r.again(first)
	second.Lane = other
	return first, second
}

func TestSeveralUpstreams(t *testing.T) {
	run(t, func(r *rig) {
		upstream := r.both()
		upstream.replies(slowly(time.Minute, badRequest))
		r.upstream.replies(slowly(2*time.Second, success))
		one, two := r.pair()

		got := r.submit(5*time.Second, one, two)
		require.Equal(r, 2*time.Second, r.now(), "the first one's result")
		require.Equal(r, one.ID, got.Delivery.ID)
		require.Equal(r, delivery.Delivered, got.Delivery.State)
		require.Len(r, upstream.take(), 1, "both begin at once")
		r.is(delivery.Pending, two)
		r.at(time.Minute)
		r.is(delivery.Dead, two)
		r.is(delivery.Delivered, one)
		require.Equal(r, 1, r.store.puts, "one transaction")
	})
}

// What cannot be stored is sent to none of them.
func TestSeveralUpstreamsNotStored(t *testing.T) {
	run(t, func(r *rig) {
		upstream := r.both()
		r.store.on(&r.store.put, fails(time.Second))
		one, two := r.pair()
		_, err := r.q.Submit(r.Context(), []*delivery.Delivery{one, two}, 5*time.Second)
		require.ErrorIs(r, err, errDisk)
		r.passes(time.Hour)
		r.attempted()
		require.Empty(r, upstream.take())
		found, err := r.store.Find(r.Context(), one.Key)
		require.NoError(r, err)
		require.Empty(r, found)
	})
}

// One that is down or wrongly configured costs the other nothing: neither the
// chat's time nor its ticket.
func TestSeveralUpstreamsFailAlone(t *testing.T) {
	for name, failed := range map[string]delivery.Outcome{
		"an open breaker": after(time.Millisecond, unavailable),
		"a pause":         unauthorized,
	} {
		t.Run(name+" of the second", func(t *testing.T) {
			run(t, func(r *rig) {
				upstream := r.both()
				upstream.replies(always(failed))
				for range 5 {
					one, two := r.pair()
					require.Equal(r, delivery.Delivered, r.submit(5*time.Second, one, two).Delivery.State)
					synctest.Wait()
					r.is(delivery.Pending, two)
				}
				require.Zero(r, r.now())
				upstream.take()

				one, two := r.pair()
				require.Equal(r, delivery.Delivered, r.submit(5*time.Second, one, two).Delivery.State)
				require.Empty(r, upstream.take(), "it waits for a probe")
				upstream.replies(always(success))
				r.passes(time.Hour)
				r.is(delivery.Delivered, one, two)
			})
		})
		t.Run(name+" of the first", func(t *testing.T) {
			run(t, func(r *rig) {
				upstream := r.both()
				r.upstream.replies(always(failed))
				for range 5 {
					one, two := r.pair()
					require.Equal(r, delivery.Pending, r.submit(5*time.Second, one, two).Delivery.State)
					synctest.Wait()
					r.is(delivery.Delivered, two)
				}
				r.upstream.take()

				one, two := r.pair()
				require.Equal(r, delivery.Pending, r.submit(5*time.Second, one, two).Delivery.State, "the first one's result")
				require.Zero(r, r.now(), "nobody waits for it")
				synctest.Wait()
				r.attempted()
				r.is(delivery.Delivered, two)
				r.upstream.replies(always(success))
				r.passes(time.Hour)
				r.is(delivery.Delivered, one)
				require.Len(r, upstream.take(), 6, "one for each webhook")
			})
		})
	}
}

// A webhook belongs to the upstreams that it was accepted for, in their order.
// Whatever they are called and however they are ordered when it comes again,
// nothing is sent twice.
func TestSeveralUpstreamsChange(t *testing.T) {
	for name, change := range map[string]func(one, two *delivery.Delivery) []*delivery.Delivery{
		"reordered":     func(one, two *delivery.Delivery) []*delivery.Delivery { return []*delivery.Delivery{two, one} },
		"first removed": func(_, two *delivery.Delivery) []*delivery.Delivery { return []*delivery.Delivery{two} },
		"first renamed": func(one, two *delivery.Delivery) []*delivery.Delivery {
			one.Lane.Upstream = "renamed"
			return []*delivery.Delivery{one, two}
		},
		"both renamed": func(one, two *delivery.Delivery) []*delivery.Delivery {
			one.Lane.Upstream, two.Lane.Upstream = "renamed", "renamed too"
			return []*delivery.Delivery{one, two}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				upstream := r.both()
				upstream.replies(always(after(time.Hour, unavailable)))
				one, two := r.pair()
				r.submit(5*time.Second, one, two)
				synctest.Wait()
				r.attempted(one)
				require.Len(r, upstream.take(), 1)

				again, too := r.again(one), r.again(one)
				too.Lane = other
				changed := change(again, too)
				lanes := make(map[delivery.Lane]delivery.Definition)
				for _, d := range changed {
					lanes[d.Lane] = definition(r.upstream)
					if d == too {
						lanes[d.Lane] = definition(upstream)
					}
				}
				r.q.Push(lanes)
				got := r.submit(5*time.Second, changed...)
				require.True(r, got.Duplicate)
				require.Equal(r, one.ID, got.Delivery.ID, "what was the first one answers")
				require.Equal(r, delivery.Delivered, got.Delivery.State)
				r.passes(time.Minute)
				r.attempted()
				require.Empty(r, upstream.take())

				upstream.replies(always(success))
				r.q.Push(map[delivery.Lane]delivery.Definition{lane: definition(r.upstream), other: definition(upstream)})
				r.passes(2 * time.Hour)
				r.is(delivery.Delivered, one, two)
				r.attempted()
				require.Len(r, upstream.take(), 1, "what was pending, under the name that it had")
			})
		})
	}
}
