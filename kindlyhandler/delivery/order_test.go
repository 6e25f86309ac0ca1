package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestOrderOfAChat(t *testing.T) {
	run(t, func(r *rig) {
		first, second, third := r.inChat("chat"), r.inChat("chat"), r.inChat("chat")
		elsewhere, none := r.inChat("elsewhere"), r.new()
		r.upstream.replies(only(first, inTurn(after(30*time.Second, unavailable), success), always(success)))
		r.submit(5*time.Second, first)
		for _, d := range []*delivery.Delivery{second, third} {
			got := r.submit(5*time.Second, d)
			require.Zero(r, r.now(), "nobody waits for what is held back")
			require.Equal(r, delivery.Pending, got.Delivery.State)
		}
		r.submit(5*time.Second, elsewhere)
		r.submit(5*time.Second, none)
		r.at(30*time.Second - 1)
		r.is(delivery.Pending, first, second, third)
		r.at(30 * time.Second)
		r.is(delivery.Delivered, first, second, third, elsewhere, none)
		r.attempted(first, elsewhere, none, first, second, third)
	})
}

func TestOrderWhileAnAttemptIsUnderWay(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(10*time.Second, success))
		first, second := r.inChat("chat"), r.inChat("chat")
		go r.submit(5*time.Second, first)
		synctest.Wait()
		r.submit(5*time.Second, second)
		require.Zero(r, r.now())
		require.Equal(r, []time.Duration{0}, r.upstream.times(r.start))
		r.at(10 * time.Second)
		require.Equal(r, []time.Duration{10 * time.Second}, r.upstream.times(r.start))
		r.at(20 * time.Second)
		r.is(delivery.Delivered, first, second)
	})
}

func TestOrderWithASlowTranscript(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(time.Hour, unavailable)))
		r.submit(5*time.Second, r.inChat("chat"))
		r.upstream.fetches(func(context.Context, *delivery.Delivery) *delivery.Outcome {
			time.Sleep(3 * time.Second) // whatever its context says
			return nil
		})
		r.submit(5*time.Second, r.inChat("chat"))
		require.Zero(r, r.now(), "nobody waits for what is held back")
	})
}

func TestOrderAfterADeadLetter(t *testing.T) {
	run(t, func(r *rig) {
		first, second, third := r.inChat("chat"), r.inChat("chat"), r.inChat("chat")
		r.upstream.replies(only(first, always(badRequest), always(success)))
		r.submit(5*time.Second, first)
		require.Equal(r, delivery.Delivered, r.submit(5*time.Second, second).Delivery.State, "it holds back none")

		r.upstream.replies(slowly(time.Minute, success))
		go r.submit(5*time.Second, third)
		synctest.Wait()
		r.submit(5*time.Second, r.again(first))
		r.attempted(first, second, third, first) // out of order
		r.at(time.Minute + 5*time.Second)
		r.is(delivery.Delivered, first, second, third)
	})
}

func TestOrderHoldsInOneLaneOnly(t *testing.T) {
	run(t, func(r *rig) {
		second := &upstream{reply: always(success)}
		r.q.Push(map[delivery.Lane]delivery.Definition{lane: definition(r.upstream), other: definition(second)})
		r.upstream.replies(always(after(time.Hour, unavailable)))
		for range 3 {
			one := r.inChat("chat")
			two := r.again(one)
			two.Lane = other
			r.submit(5*time.Second, one, two)
			synctest.Wait()
			r.is(delivery.Pending, one)
			r.is(delivery.Delivered, two)
		}
	})
}
