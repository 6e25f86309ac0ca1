package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

func TestImport(t *testing.T) {
	_, stores := fleet(t, 2)
	s := stores[0]
	there := newDelivery(zendesk, "chat")
	put(t, s, there)

	at := func(state delivery.State, lane delivery.Lane, chat string) *delivery.Delivery {
		d := newDelivery(lane, chat)
		d.State, d.Answer = state, []byte("an answer")
		d.Attempts = []delivery.Attempt{{At: time.Now().Add(-time.Hour).UTC(), Stage: delivery.StageUpstream, Status: 503}}
		d.Elapsed, d.Tries, d.Transcript = time.Minute, 3, []byte("a transcript")
		return d
	}
	behind, first, second := at(delivery.Pending, zendesk, "chat"), at(delivery.Pending, slack, "chat"), at(delivery.Pending, slack, "chat")
	dead, delivered := at(delivery.Dead, slack, "chat"), at(delivery.Delivered, zendesk, "")
	second.DueAt = first.DueAt.Add(-time.Hour)
	twin := at(delivery.Pending, zendesk, "")
	twin.Key = first.Key // of the same webhook
	taken := at(delivery.Pending, zendesk, "")
	taken.Key = there.Key
	again := *there
	again.State = delivery.Dead

	all := []*delivery.Delivery{&again, behind, first, twin, second, dead, delivered, taken}
	n, err := s.Import(t.Context(), all)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	n, err = s.Import(t.Context(), all)
	require.NoError(t, err)
	require.Zero(t, n, "all are there")

	got, err := stores[1].Get(t.Context(), dead.ID)
	require.NoError(t, err)
	want := *dead
	for _, at := range []*time.Time{&want.KeyExpires, &want.ReceivedAt, &want.DueAt} {
		*at = at.UTC().Truncate(time.Microsecond)
	}
	require.Equal(t, &want, got)
	require.Equal(t, delivery.Counts{Pending: 4, Delivered: 1}, count(t, s, zendesk))
	require.Equal(t, delivery.Counts{Pending: 2, Dead: 1}, count(t, s, slack))

	found, err := s.Find(t.Context(), first.Key)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{first.ID, twin.ID}, []uuid.UUID{found[0].ID, found[1].ID})
	found, err = s.Find(t.Context(), there.Key)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, there.ID, found[0].ID)
	d := newDelivery(zendesk, "")
	d.Key = delivered.Key
	require.ErrorIs(t, s.Put(t.Context(), []*delivery.Delivery{d}), delivery.ErrDuplicate)

	require.Equal(t, []uuid.UUID{first.ID}, claim(t, s, slack), "the other waits for it, though it is due longer")
	require.ElementsMatch(t, []uuid.UUID{there.ID, twin.ID, taken.ID}, claim(t, s, zendesk), "one waits for what was there")
	settle(t, s, there, delivery.Delivered)
	require.Equal(t, []uuid.UUID{behind.ID}, claim(t, s, zendesk))
	revived, err := s.Revive(t.Context(), dead.ID)
	require.NoError(t, err)
	require.Equal(t, dead.Body, revived.Body)
}

func TestImportOfAllOrNone(t *testing.T) {
	s := open(t, postgres.Options{DSN: pgtest.Schema(t)})
	bad := newDelivery(delivery.Lane{Webhook: "a\x00b"}, "")
	n, err := s.Import(t.Context(), []*delivery.Delivery{newDelivery(zendesk, ""), bad})
	require.Error(t, err)
	require.Zero(t, n)
	require.Zero(t, count(t, s, zendesk))
}
