package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func (r *rig) drops(d *delivery.Delivery) *delivery.Delivery {
	r.Helper()
	dropped, err := r.q.Drop(r.Context(), d.ID)
	require.NoError(r, err)
	synctest.Wait()
	_, err = r.q.Get(r.Context(), d.ID)
	require.ErrorIs(r, err, delivery.ErrNotFound)
	return dropped
}

func TestDrop(t *testing.T) {
	run(t, func(r *rig) {
		dead := r.dead()
		require.Equal(r, delivery.Dead, r.drops(dead).State)
		_, err := r.q.Drop(r.Context(), dead.ID)
		require.ErrorIs(r, err, delivery.ErrNotFound)
		require.ErrorIs(r, r.q.Retry(r.Context(), dead.ID), delivery.ErrNotFound)

		r.upstream.replies(always(success))
		repeated := r.again(dead)
		require.False(r, r.submit(5*time.Second, repeated).Duplicate, "its key is free")
		r.attempted(repeated)
	})
}

func TestDropLetsTheNextOfTheChatGo(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(24*time.Hour, unavailable)))
		first, second := r.inChat("chat"), r.inChat("chat")
		r.submit(5*time.Second, first)
		r.submit(0, second)
		r.passes(time.Hour)
		r.attempted(first)
		r.upstream.replies(always(success))
		r.drops(first)
		r.attempted(second)
		r.is(delivery.Delivered, second)
		require.Equal(r, time.Hour, r.now())
	})
}

// What came of the attempt has nowhere to go, and that is nothing to worry
// about.
func TestDropDuringAnAttempt(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(time.Minute, unavailable))
		first, second := r.inChat("chat"), r.inChat("chat")
		r.submit(0, first)
		r.submit(0, second)
		synctest.Wait()
		r.upstream.replies(always(success))
		r.drops(first)
		r.attempted(first, second)
		r.passes(time.Hour)
		r.attempted()

		_, err := r.q.Get(r.Context(), first.ID)
		require.ErrorIs(r, err, delivery.ErrNotFound)
		logged := r.logs.FilterMessage("the delivery was dropped while it was being attempted").All()
		require.Len(r, logged, 1)
		require.Equal(r, zap.InfoLevel, logged[0].Level)
		require.Zero(r, r.levels()[zap.ErrorLevel])
	})
}

func TestErase(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(success))
		delivered, spared := r.inChat("chat of a person"), r.inChat("another")
		r.submit(5*time.Second, delivered)
		r.submit(5*time.Second, spared)
		r.upstream.replies(always(after(time.Hour, unavailable)))
		for range 3 {
			r.submit(5*time.Second, r.inChat("chat of a person"))
		}
		n, err := r.q.Erase(r.Context(), "chat of a person")
		require.NoError(r, err)
		require.Equal(r, 4, n)
		n, err = r.q.Erase(r.Context(), "chat of a person")
		require.NoError(r, err)
		require.Zero(r, n)

		r.upstream.take()
		r.passes(2 * time.Hour)
		r.attempted()
		page, err := r.q.List(r.Context(), delivery.Query{Limit: 10})
		require.NoError(r, err)
		require.Len(r, page.Deliveries, 1)
		require.Equal(r, spared.ID, page.Deliveries[0].ID)
		counts, err := r.q.Count(r.Context())
		require.NoError(r, err)
		require.Equal(r, map[delivery.Lane]delivery.Counts{lane: {Delivered: 1}}, counts)
		require.NotContains(r, r.logged(), "person", "which chat is what was to be forgotten")
		require.Len(r, r.logs.FilterMessage("deliveries of a chat erased").All(), 1)
	})
}

// slowEraser is a store to whose Erase one delivery comes too late.
type slowEraser struct {
	delivery.Store
	late uuid.UUID
}

func (s slowEraser) Erase(ctx context.Context, chatID string) (int, error) {
	page, err := s.List(ctx, delivery.Query{ChatID: chatID, Limit: 10})
	erased := 0
	for _, d := range page.Deliveries {
		if d.ID != s.late {
			_, dropErr := s.Drop(ctx, d.ID)
			err = errors.Join(err, dropErr)
			erased++
		}
	}
	return erased, err
}

func TestEraseLetsGoWhatCameMeanwhile(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(after(24*time.Hour, unavailable)))
		erased, late := r.inChat("chat"), r.inChat("chat")
		r.submit(5*time.Second, erased)
		r.submit(0, late)
		r.upstream.replies(always(success))
		synctest.Wait() // until the lane leaves the store alone
		r.store.Store = slowEraser{r.store.Store, late.ID}
		n, err := r.q.Erase(r.Context(), "chat")
		require.NoError(r, err)
		require.Equal(r, 1, n)
		synctest.Wait()
		r.attempted(erased, late)
		require.Zero(r, r.now())
	})
}

// clairvoyant is a Target that knows what it would send.
type clairvoyant struct{ *upstream }

func (clairvoyant) Preview(d *delivery.Delivery) []byte {
	sent := append([]byte("ticket of "), d.Body...)
	d.Body = nil
	return sent
}

func TestPreview(t *testing.T) {
	run(t, func(r *rig) {
		require.Nil(r, r.q.Preview(r.dead()), "its target does not know")
		r.define(definition(clairvoyant{r.upstream}))
		d := r.dead()
		require.Equal(r, "ticket of body", string(r.q.Preview(d)))
		require.Equal(r, "body", string(d.Body))

		delivered := *d
		delivered.State = delivery.Delivered
		require.Nil(r, r.q.Preview(&delivered))
		elsewhere := *d
		elsewhere.Lane = other
		require.Nil(r, r.q.Preview(&elsewhere))
		r.pop()
		require.Nil(r, r.q.Preview(d), "its lane is gone")
		r.define(definition(r.upstream)) // for the next pop
	})
}

func TestDropOfWhatIsNotThere(t *testing.T) {
	run(t, func(r *rig) {
		_, err := r.q.Drop(r.Context(), uuid.New())
		require.ErrorIs(r, err, delivery.ErrNotFound)
		_, err = r.q.Get(context.Background(), uuid.New())
		require.ErrorIs(r, err, delivery.ErrNotFound)
	})
}
