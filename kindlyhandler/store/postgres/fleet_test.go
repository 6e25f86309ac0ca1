package postgres_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

func fleet(t *testing.T, n int) (dsn string, stores []*postgres.Store) {
	t.Helper()
	dsn = pgtest.Schema(t)
	for range n {
		stores = append(stores, open(t, postgres.Hurried(postgres.Options{DSN: dsn})))
	}
	return dsn, stores
}

func TestFleetOpensAtOnce(t *testing.T) {
	dsn := pgtest.Schema(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			s, err := postgres.Open(postgres.Options{DSN: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Count(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestOneOfIdenticalWebhooksIsStoredByTheFleet(t *testing.T) {
	_, stores := fleet(t, 3)
	for range 30 {
		key := newDelivery(zendesk, "").Key
		var stored atomic.Int32
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				d := newDelivery(zendesk, "")
				d.Key = key
				switch err := stores[i%3].Put(t.Context(), []*delivery.Delivery{d}); {
				case err == nil:
					stored.Add(1)
				case !errors.Is(err, delivery.ErrDuplicate):
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, stored.Load())
		for _, s := range stores {
			found, err := s.Find(t.Context(), key)
			require.NoError(t, err)
			require.Len(t, found, 1)
		}
	}
}

func TestFleetKeepsTheOrderOfChats(t *testing.T) {
	_, stores := fleet(t, 3)
	const perStore = 30
	var mu sync.Mutex
	var order, delivered []uuid.UUID
	var granted atomic.Int32
	var all sync.WaitGroup
	for _, s := range stores {
		all.Go(func() {
			for range perStore {
				d := claimed(newDelivery(zendesk, "chat"))
				mu.Lock() // so that the order is known
				err := s.Put(t.Context(), []*delivery.Delivery{d})
				order = append(order, d.ID)
				mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				if d.Claimed {
					granted.Add(1)
					mu.Lock()
					delivered = append(delivered, d.ID)
					mu.Unlock()
					settled := *d
					settled.State = delivery.Delivered
					if _, err := s.Save(t.Context(), &settled); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	require.Positive(t, granted.Load())
	for len(delivered) < len(order) {
		got, _, err := stores[len(delivered)%3].Claim(t.Context(), zendesk, time.Now(), 10)
		require.NoError(t, err)
		require.Len(t, got, 1)
		delivered = append(delivered, got[0].ID)
		settle(t, stores[(len(delivered)-1)%3], got[0], delivery.Delivered)
	}
	require.Equal(t, order, delivered)
}

func TestOthersHearOfWhatTheyCanClaim(t *testing.T) {
	dsn := pgtest.Schema(t)
	o := postgres.WithPoll(postgres.Hurried(postgres.Options{DSN: dsn}), time.Hour)
	one, two := open(t, o), open(t, o)
	mine, theirs := watch(one), watch(two)
	soon(t, func() bool { return mine.place()[1] == 2 && theirs.place()[1] == 2 }, "the fleet knows itself")
	soon(t, func() bool {
		return query[int](t, dsn, `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND application_name = 'caddy-kindly'`) >= 2
	}, "both listen")

	put(t, one, newDelivery(zendesk, ""))
	soon(t, func() bool { return theirs.changed(zendesk) > 0 }, "of a put")
	require.Zero(t, mine.changed(zendesk), "one's own put is no news")

	first, second := claimed(newDelivery(slack, "chat")), newDelivery(slack, "chat")
	put(t, one, first)
	put(t, one, second)
	put(t, one, claimed(newDelivery(slack, "")))
	time.Sleep(100 * time.Millisecond) // twice as long as notices wait for each other
	require.Zero(t, theirs.changed(slack), "nobody else can claim any of these")
	settle(t, one, first, delivery.Delivered)
	soon(t, func() bool { return theirs.changed(slack) > 0 }, "of what waited for an older one")
	require.Equal(t, []uuid.UUID{second.ID}, claim(t, two, slack))
}

func TestMembers(t *testing.T) {
	_, stores := fleet(t, 3)
	witnesses := make([]*witness, len(stores))
	for i, s := range stores {
		witnesses[i] = watch(s)
	}
	places := func(n int) bool {
		seen := make(map[int]bool)
		for _, w := range witnesses[:n] {
			if p := w.place(); p[1] == n {
				seen[p[0]] = true
			}
		}
		return len(seen) == n
	}
	soon(t, func() bool { return places(3) }, "each has a place of its own")
	require.NoError(t, stores[2].Close())
	soon(t, func() bool { return places(2) }, "who leaves has none")
}

func TestCloseFreesTheClaims(t *testing.T) {
	dsn, stores := fleet(t, 2)
	d := claimed(newDelivery(zendesk, ""))
	put(t, stores[0], d)
	require.Empty(t, claim(t, stores[1], zendesk))
	w := watch(stores[1])
	before := w.changed(delivery.Lane{})
	require.NoError(t, stores[0].Close())
	soon(t, func() bool { return w.changed(delivery.Lane{}) > before }, "the others hear of it")
	require.Equal(t, []uuid.UUID{d.ID}, claim(t, stores[1], zendesk))
	require.Equal(t, 1, query[int](t, dsn, `SELECT count(*) FROM kindly_instances`))
}

func TestTheDeadAreReaped(t *testing.T) {
	dsn, stores := fleet(t, 1)
	put(t, stores[0], claimed(newDelivery(zendesk, "chat")))
	ghost := uuid.New()
	require.NoError(t, pgtest.Do(dsn, `INSERT INTO kindly_instances VALUES ('`+ghost.String()+`', now(), now()); UPDATE kindly_deliveries SET claim = '`+ghost.String()+`'`))
	w := watch(stores[0])
	require.Empty(t, claim(t, stores[0], zendesk), "it is silent, but not for long enough")
	soon(t, func() bool { return len(claim(t, stores[0], zendesk)) == 1 }, "it is dead")
	require.Positive(t, w.changed(zendesk))
	require.Equal(t, 1, query[int](t, dsn, `SELECT count(*) FROM kindly_instances`))
}

func TestWhoWasTakenForDeadIsFenced(t *testing.T) {
	dsn, stores := fleet(t, 2)
	d := claimed(newDelivery(zendesk, ""))
	put(t, stores[0], d)
	was := stores[0].Instance()
	require.NoError(t, pgtest.Do(dsn, `UPDATE kindly_deliveries SET claim = NULL`))
	require.Len(t, claim(t, stores[1], zendesk), 1, "its claim is another's")
	require.NoError(t, pgtest.Do(dsn, `DELETE FROM kindly_instances WHERE id = '`+was.String()+`'`))
	soon(t, func() bool { return stores[0].Instance() != was }, "it enters anew")

	_, err := stores[0].Save(t.Context(), d)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	settle(t, stores[1], d, delivery.Delivered)
	put(t, stores[0], claimed(newDelivery(zendesk, "")))
	require.Equal(t, 1, stores[0].Mine())
}

// Who was taken for dead and is not keeps what nobody else has claimed by then:
// a ticket that it has made meanwhile is not made again.
func TestWhoWasTakenForDeadKeepsWhatIsLeft(t *testing.T) {
	dsn, stores := fleet(t, 2)
	freed, late := claimed(newDelivery(zendesk, "")), claimed(newDelivery(slack, ""))
	put(t, stores[0], freed)
	put(t, stores[0], late)
	was := stores[0].Instance()
	require.NoError(t, pgtest.Do(dsn, `DELETE FROM kindly_instances WHERE id = '`+was.String()+`';
UPDATE kindly_deliveries SET claim = NULL WHERE id = '`+freed.ID.String()+`'`))
	soon(t, func() bool { return stores[0].Instance() != was }, "it enters anew")
	time.Sleep(500 * time.Millisecond) // more than a poll, which frees what is nobody's
	require.Empty(t, claim(t, stores[1], zendesk))
	require.Empty(t, claim(t, stores[1], slack))
	settle(t, stores[0], freed, delivery.Delivered)
	settle(t, stores[0], late, delivery.Delivered)
}

// Who has all its connections busy, as while somebody locks a table, is not taken
// for dead by those that have not.
func TestABusyPoolIsNoDeath(t *testing.T) {
	dsn := pgtest.Schema(t)
	const lease = 1500 * time.Millisecond
	o := postgres.WithLease(postgres.Hurried(postgres.Options{DSN: dsn}), lease)
	busy, _ := open(t, o), open(t, o)
	was := busy.Instance()
	time.Sleep(lease) // the other one may reap
	var locked sync.WaitGroup
	begun := make(chan struct{})
	locked.Go(func() {
		close(begun)
		if err := pgtest.Do(dsn, `BEGIN; LOCK TABLE kindly_deliveries IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT`); err != nil {
			t.Error(err)
		}
	})
	<-begun
	soon(t, func() bool {
		return query[int](t, dsn, `SELECT count(*) FROM pg_locks WHERE relation = 'kindly_deliveries'::regclass AND mode = 'AccessExclusiveLock' AND granted`) > 0
	}, "it is locked")
	for range 20 {
		locked.Go(func() { _, _ = busy.Get(t.Context(), uuid.New()) })
	}
	locked.Wait()
	require.Equal(t, was, busy.Instance())
}

func TestClaimsThatNobodyKnowsOfAreReleased(t *testing.T) {
	_, stores := fleet(t, 1)
	known, stray := claimed(newDelivery(zendesk, "")), claimed(newDelivery(zendesk, ""))
	put(t, stores[0], known)
	put(t, stores[0], stray)
	stores[0].Forget(stray.ID) // as if the answer to a claim had been lost
	stores[0].Suspect()
	soon(t, func() bool {
		got := claim(t, stores[0], zendesk)
		return len(got) == 1 && got[0] == stray.ID
	}, "it can be claimed again")
}
