package delivery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// limit redefines the rig's lane with another concurrency.
func (r *rig) limit(n int) {
	d := definition(r.upstream)
	d.Concurrency = n
	r.define(d)
}

func TestConcurrencyOfFirstAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(3)
		r.upstream.replies(slowly(time.Second, success))
		var deliveries []*delivery.Delivery
		for range 10 {
			deliveries = append(deliveries, r.new())
		}
		perSecond := make(map[time.Duration]int)
		for _, got := range r.together(5*time.Second, deliveries...) {
			require.Equal(r, delivery.Delivered, got.Delivery.State)
			perSecond[got.at]++
		}
		require.Equal(r, map[time.Duration]int{time.Second: 3, 2 * time.Second: 3, 3 * time.Second: 3, 4 * time.Second: 1}, perSecond)
		require.Equal(r, 3, r.upstream.most)
	})
}

func TestConcurrencyOfLaterAttempts(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		var deliveries []*delivery.Delivery
		for range 10 {
			deliveries = append(deliveries, r.submits(0))
		}
		r.upstream.replies(slowly(time.Second, success))
		r.limit(3)
		r.passes(4*time.Second - 1)
		require.Equal(r, 3, r.upstream.most)
		r.is(delivery.Delivered, deliveries[:9]...)
		r.is(delivery.Pending, deliveries[9])
		r.passes(1)
		r.is(delivery.Delivered, deliveries...)
		require.Len(r, r.upstream.take(), 10)
	})
}

func TestConcurrencyLeavesReadingAlone(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome {
			time.Sleep(3 * time.Second)
			return nil
		})
		for _, got := range r.together(5*time.Second, r.new(), r.new(), r.new()) {
			require.Equal(r, delivery.Delivered, got.Delivery.State)
			require.Equal(r, 3*time.Second, got.at)
		}
	})
}

func TestFirstAttemptsGoBeforeLaterOnes(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		later, occupant, first := r.new(), r.new(), r.new()
		r.upstream.replies(only(later, inTurn(after(time.Second, unavailable), success), slowly(3*time.Second, success)))
		r.submit(5*time.Second, later)
		var all sync.WaitGroup
		all.Go(func() { r.submit(10*time.Second, occupant) })
		r.at(2 * time.Second) // later is due and waits for its place
		all.Go(func() { r.submit(10*time.Second, first) })
		all.Wait()
		require.Equal(r, 6*time.Second, r.now())
		synctest.Wait()
		r.attempted(later, occupant, first, later)
	})
}

func TestFirstAttemptThatFindsNoPlaceInTime(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		occupant, late := r.inChat(""), r.inChat("chat")
		r.upstream.replies(slowly(10*time.Second, success))
		r.submit(0, occupant)
		synctest.Wait()
		got := r.submit(5*time.Second, late)
		require.Equal(r, 5*time.Second, r.now())
		require.Equal(r, delivery.Pending, got.Delivery.State)
		synctest.Wait()
		require.Zero(r, r.stored(late).Tries, "it has not been attempted")

		r.at(8 * time.Second)
		next := r.new()
		go r.submit(5*time.Second, next)
		r.at(10*time.Second - 1)
		r.attempted(occupant)
		r.at(10 * time.Second)
		r.attempted(next) // for which somebody waits
		r.at(20 * time.Second)
		r.attempted(late)
		r.at(30 * time.Second)
		r.is(delivery.Delivered, late)
		require.Equal(r, 1, r.stored(late).Tries)
	})
}

func TestConcurrencyChanges(t *testing.T) {
	run(t, func(r *rig) {
		r.limit(1)
		r.upstream.replies(slowly(time.Hour, success))
		for range 5 {
			go r.submit(time.Minute, r.new())
		}
		synctest.Wait()
		require.Equal(r, 1, r.upstream.most)
		r.limit(3)
		require.Equal(r, 3, r.upstream.most, "those who wait go in")
		r.limit(1)
		r.passes(3 * time.Hour)
		require.Equal(r, 3, r.upstream.most)
		require.Len(r, r.upstream.take(), 5)
	})
}
