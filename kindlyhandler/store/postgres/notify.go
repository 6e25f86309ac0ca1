package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

type commandTag = pgconn.CommandTag

// watch is who wants to know what others do.
type watch struct {
	mu sync.Mutex
	w  *delivery.Watch
}

func (w *watch) get() *delivery.Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w
}

// Watch implements [delivery.Shared].
func (s *Store) Watch(w delivery.Watch) {
	s.watch.mu.Lock()
	s.watch.w = &w
	s.watch.mu.Unlock()
	i := &s.identity
	i.mu.Lock()
	place, members := i.place, i.members
	i.mu.Unlock()
	if members > 0 && w.Members != nil {
		w.Members(place, members)
	}
}

func (s *Store) changed(lane delivery.Lane) {
	if w := s.watch.get(); w != nil && w.Changed != nil {
		w.Changed(lane)
	}
}

func (s *Store) changedAll() { s.changed(delivery.Lane{}) }

// notices are the lanes that the other instances are told of next.
type notices struct {
	mu    sync.Mutex
	lanes map[delivery.Lane]struct{}
	wake  chan struct{}
}

func (n *notices) init() {
	n.lanes = make(map[delivery.Lane]struct{})
	n.wake = make(chan struct{}, 1)
}

// notify tells the other instances, soon, that something of a lane can be
// claimed that could not be before.
func (s *Store) notify(lane delivery.Lane) {
	if s.identity.alone() {
		return // who enters looks for itself
	}
	s.notices.mu.Lock()
	s.notices.lanes[lane] = struct{}{}
	s.notices.mu.Unlock()
	select {
	case s.notices.wake <- struct{}{}:
	default:
	}
}

// quiet is how long after a notice the next one is sent: what comes in between
// goes with that. A transaction with NOTIFY takes a lock of the whole server at
// its commit, and would make all webhooks of all instances wait for each other's
// flush.
const quietInterval = 50 * time.Millisecond

// notifySQL sends notices. Nothing is flushed for them: after a crash, nobody
// is there to listen.
const notifySQL = `SELECT set_config('synchronous_commit', 'off', true), count(pg_notify($1, p)) FROM unnest($2::text[]) p`

// announce is the goroutine that sends what notify has noted.
func (s *Store) announce() {
	for {
		select {
		case <-s.notices.wake:
		case <-s.ctx.Done():
			return
		}
		s.notices.mu.Lock()
		id := s.identity.id()
		texts := make([]string, 0, len(s.notices.lanes))
		for lane := range s.notices.lanes {
			texts = append(texts, notice(id, lane))
		}
		clear(s.notices.lanes)
		s.notices.mu.Unlock()
		if len(texts) > 0 && s.health.err() == nil {
			err := s.call(s.ctx, func(ctx context.Context, c *pgxpool.Conn) error {
				_, err := c.Exec(ctx, notifySQL, s.names.Load().channel, texts)
				return err
			})
			if err != nil && s.ctx.Err() == nil { // the others' poll finds it
				_ = s.blame(s.ctx, err)
			}
		}
		if !sleep(s.ctx, quietInterval) {
			return
		}
	}
}

// notice says who has changed what: three lines. What is too long for a NOTIFY
// stands for all lanes.
func notice(id uuid.UUID, lane delivery.Lane) string {
	text := strings.Join([]string{id.String(), lane.Webhook, lane.Upstream}, "\n")
	if strings.Count(text, "\n") != 2 {
		return id.String() + "\n\n"
	}
	return text
}

// heard handles a notice.
func (s *Store) heard(text string) {
	parts := strings.Split(text, "\n")
	if len(parts) != 3 {
		s.changedAll()
		return
	}
	if parts[0] != s.identity.id().String() {
		s.changed(delivery.Lane{Webhook: parts[1], Upstream: parts[2]})
	}
}

// silence is after what time without a notice the connection that listens is
// tested.
const silence = 20 * time.Second

// listen is the goroutine that hears the other instances, by a connection of
// its own. When that was lost, something may have been missed.
func (s *Store) listen() {
	for wait := minReconnect; s.ctx.Err() == nil; {
		if s.health.wait(s.ctx) != nil {
			return
		}
		began := time.Now()
		err := s.hear()
		if s.ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxReconnect {
			wait = minReconnect
		}
		s.log.Debug("the connection that listens for other instances was lost", zap.Error(explain(err)))
		if !sleep(s.ctx, jittered(wait)) {
			return
		}
		wait = min(2*wait, maxReconnect)
	}
}

func (s *Store) hear() error {
	ctx, cancel := context.WithTimeout(s.ctx, s.timing.call)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{s.names.Load().channel}.Sanitize()); err != nil {
		return err
	}
	s.changedAll()
	for {
		ctx, cancel := context.WithTimeout(s.ctx, silence)
		n, err := c.WaitForNotification(ctx)
		cancel()
		switch {
		case err == nil:
			s.heard(n.Payload)
		case s.ctx.Err() != nil:
			return err
		case errors.Is(err, context.DeadlineExceeded):
			ctx, cancel := context.WithTimeout(s.ctx, s.timing.call/2)
			err := c.Ping(ctx)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// poll is the goroutine that looks for what nobody has told.
func (s *Store) poll() {
	for sleep(s.ctx, jittered(s.timing.poll)) {
		if s.health.err() != nil {
			continue
		}
		s.freeOrphans()
		s.releaseStrays(s.claims.suspected())
		s.changedAll()
	}
}
