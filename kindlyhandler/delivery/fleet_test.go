package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// member is a rig's store as one process of several has it, who learns of the
// others what the test tells.
type member struct {
	delivery.Store
	watch delivery.Watch
}

func (m *member) Watch(w delivery.Watch) { m.watch = w }

// Close leaves the store to the others.
func (*member) Close() error { return nil }

// joins adds a process to a rig's store.
func (r *rig) joins(d delivery.Definition) (*delivery.Dispatcher, delivery.Watch) {
	m := &member{Store: r.store.Store}
	q := delivery.NewDispatcher(m)
	r.Cleanup(func() { require.NoError(r, q.Close()) })
	q.Push(map[delivery.Lane]delivery.Definition{lane: d})
	synctest.Wait()
	return q, m.watch
}

func TestFleet_delivers_what_another_has_accepted(t *testing.T) {
	run(t, func(r *rig) {
		_, watch := r.joins(definition(r.upstream))
		r.pop() // the first one delivers nothing
		one := r.submits(0)
		r.passes(time.Second)
		r.attempted()
		watch.Changed(other)
		r.passes(time.Second)
		r.attempted()
		watch.Changed(lane)
		r.passes(0)
		r.attempted(one)

		two := r.submits(0)
		watch.Changed(delivery.Lane{})
		r.passes(0)
		r.attempted(two)
		r.is(delivery.Delivered, one, two)
	})
}

// A chat gets the first one's answer, whichever process its webhook reaches
// again, also while the first attempt is under way.
func TestFleet_answers_duplicates_alike(t *testing.T) {
	run(t, func(r *rig) {
		q, _ := r.joins(definition(r.upstream))
		r.upstream.replies(slowly(2*time.Second, success))
		d := r.new()
		first := make(chan delivery.Receipt)
		go func() { first <- r.submit(5*time.Second, d) }()
		r.passes(time.Second)

		for _, test := range []struct {
			wait, until time.Duration
			want        delivery.State
		}{
			{0, time.Second, delivery.Pending},
			{500 * time.Millisecond, 1500 * time.Millisecond, delivery.Pending},
			{5 * time.Second, 2 * time.Second, delivery.Delivered},
			{5 * time.Second, 2 * time.Second, delivery.Delivered},
		} {
			receipt, err := q.Submit(r.Context(), []*delivery.Delivery{r.again(d)}, test.wait)
			require.NoError(t, err)
			require.True(t, receipt.Duplicate)
			require.Equal(t, d.ID, receipt.Delivery.ID)
			require.Equal(t, test.want, receipt.Delivery.State)
			require.GreaterOrEqual(t, r.now(), test.until)
			require.Less(t, r.now(), test.until+time.Second)
		}
		require.Equal(t, "answer: delivered", string((<-first).Delivery.Answer))
		r.attempted(d)
	})
}

func TestFleet_shares_a_rate(t *testing.T) {
	for _, test := range []struct {
		rate    string
		members int
		per     time.Duration
	}{
		{"20/s", 2, time.Second},
		{"20/s", 3, time.Second},
		{"2/s", 3, time.Second},
		{"1/m", 2, time.Minute},
	} {
		t.Run(test.rate, func(t *testing.T) {
			run(t, func(r *rig) {
				r.pop()
				d := definition(r.upstream)
				var err error
				d.Rate, err = delivery.ParseRate(test.rate)
				require.NoError(t, err)
				var all []delivery.Watch
				for place := range test.members {
					_, watch := r.joins(d)
					watch.Members(place, test.members)
					all = append(all, watch)
				}
				n := 6 * d.Rate.Attempts
				for range n {
					r.submits(0)
				}
				for range 9 * 4 { // as the store tells from time to time
					for _, watch := range all {
						watch.Changed(lane)
					}
					r.passes(test.per / 4)
				}
				times := r.requireRate(d.Rate.Attempts, test.per)
				require.Len(t, times, n, "they make use of what they may")
			})
		})
	}
}

// A process that starts makes no attempt of which the others, who do not know
// of it yet, may make all.
func TestFleet_knows_its_share_before_it_makes_use_of_it(t *testing.T) {
	run(t, func(r *rig) {
		r.pop()
		d := definition(r.upstream)
		q, watch := r.joins(d)
		d.Rate = delivery.Rate{Attempts: 10, Per: time.Second}
		q.Push(map[delivery.Lane]delivery.Definition{lane: d})
		waiting := r.new()
		receipt, err := q.Submit(r.Context(), []*delivery.Delivery{waiting}, time.Second)
		require.NoError(t, err)
		require.Equal(t, delivery.Pending, receipt.Delivery.State)
		require.Zero(t, r.now(), "it does not wait for that")
		r.passes(time.Hour)
		r.attempted()
		watch.Members(1, 2)
		r.passes(time.Second)
		r.attempted(waiting)
	})
}

// How long a delivery was held back by one that another process had is not
// known: none of that counts.
func TestFleet_counts_no_time_before_a_turn(t *testing.T) {
	run(t, func(r *rig) {
		const held = 10*time.Hour + time.Second // at no minute at which lanes look by themselves
		r.upstream.replies(slowly(held, success))
		first, second := r.inChat("chat"), r.inChat("chat")
		r.submit(0, first)
		r.submit(0, second)
		d := definition(r.upstream)
		d.Retry.MaxElapsed = time.Hour
		_, watch := r.joins(d)
		r.pop() // so that the second is the other one's to deliver
		r.passes(held)
		r.upstream.take()
		r.upstream.replies(always(unavailable))
		watch.Changed(lane)
		r.passes(0)
		r.attempted(second)
		r.is(delivery.Pending, second)
	})
}

func TestFleet_loses_claims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Now)
		m := &member{Store: r.store}
		core, logs := observer.New(zap.InfoLevel)
		q := delivery.NewDispatcher(m, delivery.WithLogger(zap.New(core)))
		defer func() { require.NoError(t, errors.Join(q.Close(), r.q.Close())) }()
		q.Push(map[delivery.Lane]delivery.Definition{lane: definition(r.upstream)})
		r.store.on(&r.store.save, func(context.Context) error { return delivery.ErrNotFound })
		receipt, err := q.Submit(t.Context(), []*delivery.Delivery{r.new()}, time.Second)
		require.NoError(t, err)
		require.Equal(t, delivery.Delivered, receipt.Delivery.State, "the chat is told what has come of it")
		require.Len(t, logs.FilterMessageSnippet("another process has taken it over").All(), 1)
	})
}
