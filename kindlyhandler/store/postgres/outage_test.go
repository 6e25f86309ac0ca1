package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// Whatever was acknowledged when the database crashed is there, and nothing
// that was refused.
func TestCrashesOfTheDatabase(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	dsn := pgtest.SchemaIn(t, server.DSN())
	log, logs := logger()
	s := open(t, postgres.Options{DSN: dsn, Log: log})

	var mu sync.Mutex
	acknowledged, refused := make(map[uuid.UUID]bool), make(map[uuid.UUID]bool)
	saved := make(map[uuid.UUID]bool)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for ctx.Err() == nil {
				d := newDelivery(zendesk, "")
				d.Claimed = worker%2 == 0
				patience, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond*time.Duration(1+worker))
				err := s.Put(patience, []*delivery.Delivery{d})
				cancel()
				mu.Lock()
				if err == nil {
					acknowledged[d.ID] = true
				} else {
					refused[d.ID] = true
				}
				mu.Unlock()
				if err == nil && d.Claimed && worker%4 == 0 {
					settled := *d
					settled.State = delivery.Delivered
					if _, err := s.Save(t.Context(), &settled); err == nil {
						mu.Lock()
						saved[d.ID] = true
						mu.Unlock()
					}
				}
				if err != nil {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	for _, down := range []time.Duration{0, 1500 * time.Millisecond, 0} {
		time.Sleep(700 * time.Millisecond)
		require.NoError(t, server.Stop(true))
		time.Sleep(down)
		require.NoError(t, server.Start())
	}
	soon(t, func() bool { return s.Put(t.Context(), []*delivery.Delivery{newDelivery(slack, "")}) == nil }, "it recovers")
	time.Sleep(300 * time.Millisecond)
	stop()
	all.Wait()
	require.NotEmpty(t, refused)
	require.NotEmpty(t, acknowledged)

	there := func() map[uuid.UUID]delivery.State {
		found := make(map[uuid.UUID]delivery.State)
		for q := (delivery.Query{Limit: 1000, Upstream: "zendesk"}); ; {
			page, err := s.List(t.Context(), q)
			require.NoError(t, err)
			for _, d := range page.Deliveries {
				found[d.ID] = d.State
			}
			if q.Before = page.Before; q.Before == uuid.Nil {
				return found
			}
		}
	}
	soon(t, func() bool { // what was refused is taken back when the database answers
		found := there()
		for id := range refused {
			if _, ok := found[id]; ok {
				return false
			}
		}
		return true
	}, "nothing that was refused is there")
	found := there()
	for id := range acknowledged {
		require.Contains(t, found, id, "acknowledged")
	}
	for id := range saved {
		require.Equal(t, delivery.Delivered, found[id])
	}
	require.Len(t, found, len(acknowledged))
	counts, err := s.Count(t.Context())
	require.NoError(t, err)
	c := counts[zendesk]
	require.Equal(t, len(found), c.Pending+c.Delivered)
	t.Logf("%d acknowledged, %d refused, %d saved", len(acknowledged), len(refused), len(saved))

	require.LessOrEqual(t, logs.FilterMessageSnippet("not available").Len(), 12, "an outage is told of, not each call")
	require.Positive(t, logs.FilterMessageSnippet("available again").Len())
}

func TestOpenWithoutTheDatabase(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	dsn := server.DSN()
	require.NoError(t, server.Stop(true))
	log, logs := logger()
	began := time.Now()
	s := open(t, postgres.Options{DSN: dsn, Log: log})
	require.Less(t, time.Since(began), 3*time.Second)
	w := watch(s)
	for range 5 {
		err := s.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")})
		require.ErrorContains(t, err, "the database cannot be reached")
	}
	status := s.Status().(postgres.Status)
	require.False(t, status.Ready)
	require.Contains(t, status.Error, "cannot be reached")
	require.Equal(t, 1, logs.Len(), "it is told once: %v", logs.All())

	require.NoError(t, server.Start())
	soon(t, func() bool { return s.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}) == nil }, "it recovers by itself")
	require.Positive(t, w.changed(delivery.Lane{}))
	require.True(t, s.Status().(postgres.Status).Ready)

	require.NoError(t, server.Stop(true))
	began = time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), 8*time.Second)
}

// After the database was away, all are silent for long, and nobody is dead.
func TestAnOutageReapsNobody(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	dsn := pgtest.SchemaIn(t, server.DSN())
	one := open(t, postgres.Hurried(postgres.Options{DSN: dsn}))
	two := open(t, postgres.Hurried(postgres.Options{DSN: dsn}))
	d := claimed(newDelivery(zendesk, ""))
	put(t, one, d)
	ids := [2]uuid.UUID{one.Instance(), two.Instance()}
	time.Sleep(700 * time.Millisecond) // both may reap
	require.NoError(t, server.Stop(true))
	time.Sleep(1500 * time.Millisecond) // twice a lease
	require.NoError(t, server.Start())
	for _, s := range []*postgres.Store{one, two} {
		soon(t, func() bool { _, err := s.Count(t.Context()); return err == nil }, "it recovers")
	}
	require.Equal(t, ids, [2]uuid.UUID{one.Instance(), two.Instance()})
	settle(t, one, d, delivery.Delivered)
}

// After the database was away, who is back first does not think that it is
// alone: its share of a rate would be more than all of it.
func TestAnOutageMakesNobodyAlone(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	dsn := pgtest.SchemaIn(t, server.DSN())
	const lease = 1500 * time.Millisecond
	witnesses := make([]*witness, 3)
	for i := range witnesses {
		witnesses[i] = watch(open(t, postgres.WithLease(postgres.Hurried(postgres.Options{DSN: dsn}), lease)))
	}
	for _, w := range witnesses {
		soon(t, func() bool { return w.place()[1] == 3 }, "all are known")
	}
	known := make([]int, len(witnesses))
	for i, w := range witnesses {
		known[i] = w.news()
	}
	for range 2 {
		require.NoError(t, server.Stop(true))
		time.Sleep(2 * lease)
		require.NoError(t, server.Start())
		time.Sleep(1200 * time.Millisecond) // all are back, and have beaten
	}
	for i, w := range witnesses {
		require.Equal(t, known[i], w.news(), "nobody has come or gone: %v", w.members)
	}
}

// deafProxy is in the way to a server, and can stop to carry anything, as a
// dead peer does.
type deafProxy struct {
	net.Listener
	to   string
	mu   sync.Mutex
	deaf chan struct{} // closed while it carries
}

func newDeafProxy(t *testing.T, to string) *deafProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &deafProxy{Listener: l, to: to, deaf: make(chan struct{})}
	close(p.deaf)
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			mu.Lock()
			open = append(open, c, up)
			mu.Unlock()
			all.Go(func() { p.carry(up, c) })
			all.Go(func() { p.carry(c, up) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.hear(true)
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *deafProxy) carry(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		carries := p.deaf
		p.mu.Unlock()
		<-carries
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *deafProxy) hear(hears bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.deaf:
		if !hears {
			p.deaf = make(chan struct{})
		}
	default:
		if hears {
			close(p.deaf)
		}
	}
}

// farAway starts a server with a proxy in the way.
func farAway(t *testing.T) (dsn string, proxy *deafProxy) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	address := fmt.Sprintf("127.0.0.1:%d", server.Port)
	proxy = newDeafProxy(t, address)
	return strings.Replace(server.LoopbackDSN(pgtest.Superuser, pgtest.Password), "@"+address, "@"+proxy.Addr().String(), 1), proxy
}

// What was sent, and answered to nobody in time, arrives late: it must not have
// an effect when its caller was told that it has none.
func TestWhatArrivesLate(t *testing.T) {
	dsn, proxy := farAway(t)
	s := open(t, postgres.WithCall(postgres.WithPoll(postgres.Options{DSN: dsn}, 300*time.Millisecond), 500*time.Millisecond, 300*time.Millisecond))
	there, known := newDelivery(zendesk, ""), claimed(newDelivery(slack, ""))
	put(t, s, there)
	put(t, s, known)
	proxy.hear(false)

	var all sync.WaitGroup
	refused := claimed(newDelivery(slack, ""))
	all.Go(func() {
		began := time.Now()
		if err := s.Put(t.Context(), []*delivery.Delivery{refused}); err == nil {
			t.Error("nothing can be stored")
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	all.Go(func() {
		if _, _, err := s.Claim(t.Context(), zendesk, time.Now(), 1); err == nil {
			t.Error("nothing can be claimed")
		}
	})
	all.Go(func() {
		dead := *known
		dead.State = delivery.Dead
		if _, err := s.Save(t.Context(), &dead); err == nil {
			t.Error("nothing can be saved")
		}
	})
	all.Wait()
	proxy.hear(true)
	soon(t, func() bool { _, err := s.Count(t.Context()); return err == nil }, "it recovers")
	time.Sleep(300 * time.Millisecond) // for what is late
	_, err := s.Get(t.Context(), refused.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	d := *refused
	put(t, s, &d)
	require.True(t, d.Claimed)
	soon(t, func() bool { return len(claim(t, s, zendesk)) == 1 }, "nobody has it")
	if _, err := s.Save(t.Context(), known); err != nil { // or the first one was
		require.ErrorIs(t, err, delivery.ErrNotFound)
	}
	require.Equal(t, 2, s.Mine())
}

// A webhook that was stored too late for its caller may have been found by
// another one, who was told that it is stored: then it stays.
func TestWhatOthersWereToldOfIsNotTakenBack(t *testing.T) {
	dsn, proxy := farAway(t)
	s, other := open(t, postgres.Options{DSN: dsn}), open(t, postgres.Options{DSN: strings.Replace(dsn, proxy.Addr().String(), proxy.to, 1)})
	told := 0
	for range 30 {
		d := claimed(newDelivery(zendesk, "chat"))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		proxy.hear(false)
		err := s.Put(ctx, []*delivery.Delivery{d})
		cancel()
		require.Error(t, err)
		proxy.hear(true)
		found := false
		for until := time.Now().Add(60 * time.Millisecond); !found && time.Now().Before(until); {
			got, err := other.Find(t.Context(), d.Key)
			require.NoError(t, err)
			found = len(got) > 0
		}
		time.Sleep(20 * time.Millisecond)
		if !found {
			_, err := other.Get(t.Context(), d.ID)
			require.ErrorIs(t, err, delivery.ErrNotFound)
			continue
		}
		told++
		soon(t, func() bool { return len(claim(t, other, zendesk)) == 1 }, "it can be claimed")
		settle(t, other, d, delivery.Delivered)
	}
	t.Logf("%d of 30 were found by others", told)
}

// A webhook is taken back whole, or not at all: of one that stays, the same
// webhook is a duplicate, whose sender is told that all of it is delivered.
func TestAWebhookIsTakenBackWhole(t *testing.T) {
	_, stores := fleet(t, 2)
	webhook := func() []*delivery.Delivery {
		first, second := newDelivery(zendesk, "chat"), newDelivery(slack, "chat")
		second.Key = first.Key
		return []*delivery.Delivery{first, second}
	}
	free, begun := webhook(), webhook()
	begun[0].Claimed = true
	put(t, stores[0], begun...)
	require.Equal(t, []uuid.UUID{begun[1].ID}, claim(t, stores[1], slack))
	require.NoError(t, stores[0].TakeBack(begun...))
	found, err := stores[1].Find(t.Context(), begun[0].Key)
	require.NoError(t, err)
	require.Len(t, found, 2)
	settle(t, stores[1], begun[1], delivery.Delivered)
	require.Equal(t, []uuid.UUID{begun[0].ID}, claim(t, stores[1], zendesk), "it is nobody's")
	settle(t, stores[1], begun[0], delivery.Delivered)

	put(t, stores[0], free...)
	require.NoError(t, stores[0].TakeBack(free...))
	found, err = stores[1].Find(t.Context(), free[0].Key)
	require.NoError(t, err)
	require.Empty(t, found)
}

// A Save whose outcome is not known is not repeated when the delivery has been
// claimed again here since: that would end the new claim.
func TestALateResultEndsNoOtherClaim(t *testing.T) {
	_, stores := fleet(t, 1)
	s := stores[0]
	d := claimed(newDelivery(zendesk, ""))
	put(t, s, d)
	resolve, err := s.Unresolved(d)
	require.NoError(t, err)
	settle(t, s, d, delivery.Pending) // it was committed
	require.Equal(t, []uuid.UUID{d.ID}, claim(t, s, zendesk))

	resolve()
	time.Sleep(300 * time.Millisecond) // more than a poll, which frees what is nobody's
	require.Empty(t, claim(t, s, zendesk), "it is being attempted")
	settle(t, s, d, delivery.Delivered)
}

func TestADeadPeerHangsNobody(t *testing.T) {
	dsn, proxy := farAway(t)
	s := open(t, postgres.Options{DSN: dsn})
	put(t, s, newDelivery(zendesk, ""))
	proxy.hear(false)

	var all sync.WaitGroup
	refused := make([]*delivery.Delivery, 12)
	for i := range refused {
		refused[i] = newDelivery(slack, "")
		refused[i].Claimed = i%2 == 0
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			err := s.Put(ctx, []*delivery.Delivery{refused[i]})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a put into nothing: %v", err)
			}
			if _, err := s.Find(ctx, refused[i].Key); err == nil {
				t.Error("nothing can be found")
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	all.Wait()
	proxy.hear(true) // and what was sent arrives late
	soon(t, func() bool {
		counts, err := s.Count(t.Context())
		return err == nil && counts[slack].Pending == 0 && counts[zendesk].Pending == 1
	}, "what was refused is not there")
	for _, d := range refused {
		soon(t, func() bool { _, err := s.Get(t.Context(), d.ID); return errors.Is(err, delivery.ErrNotFound) }, "it is not there")
	}
	for _, d := range refused {
		d.Claimed = false
		soon(t, func() bool { return s.Put(t.Context(), []*delivery.Delivery{d}) == nil }, "its key is free")
	}
	require.Zero(t, s.Mine())

	proxy.hear(false)
	began := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), 9*time.Second)
}
