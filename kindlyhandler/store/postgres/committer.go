package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// commit is a goroutine that commits puts and saves, many in a transaction. It
// ends when the queue is closed and empty.
func (s *Store) commit() {
	for {
		batch := s.queue.take()
		if batch == nil {
			return
		}
		s.transact(batch)
		s.queue.release(batch)
	}
}

// transact does operations in one transaction, or, if that fails for one of
// them, each in its own.
func (s *Store) transact(batch []*operation) {
	instance := s.identity.id()
	barrier := rand.Int64() //nolint:gosec // nobody gains by guessing it
	sent, known := false, true
	keys := s.sealing.use()
	defer func() {
		if known {
			s.sealing.done(keys)
		}
	}()
	err := s.call(s.working, func(ctx context.Context, c *pgxpool.Conn) error {
		sent = true
		return s.send(ctx, c, batch, keys, instance, barrier)
	})
	switch {
	case err == nil:
		for _, o := range batch {
			s.finish(o, o.err)
		}
		return
	case sent && !definite(err):
		if errors.Is(err, context.DeadlineExceeded) && s.working.Err() == nil {
			err = &problem{text: "the database cannot be reached: it did not answer in time", down: true}
		}
		_ = s.blame(s.working, err)
		known = false
		s.workers.Go(func() {
			defer s.sealing.done(keys)
			s.resolve(batch, instance, barrier)
		})
		return
	}
	explained := s.blame(s.working, err)
	if s.again(batch, explained) {
		for _, o := range batch {
			s.transact([]*operation{o})
		}
		return
	}
	for _, o := range batch {
		s.finish(o, explained)
	}
}

// again tells whether operations that have failed, and done nothing, may fare
// better each by itself: one of them may have been to blame, or a connection
// that was lost before.
func (s *Store) again(batch []*operation, err error) bool {
	if s.working.Err() != nil || s.health.brief(s.ctx) != nil {
		return false
	}
	p, ok := errors.AsType[*problem](err)
	again := len(batch) > 1 || ok && p.down
	for _, o := range batch {
		o.tries++
		again = again && o.tries < maxTries
	}
	return again
}

// send does a batch in one round trip, which is one transaction: it is
// committed by the message that ends it.
func (s *Store) send(ctx context.Context, c *pgxpool.Conn, batch []*operation, keys *seal.Keys, instance uuid.UUID, barrier int64) error {
	locks := []int64{barrier}
	var puts, saves []*operation
	for _, o := range batch {
		if err := o.encode(keys); err != nil {
			return err
		}
		o.err, o.unblocked = nil, false
		locks = append(locks, o.locks...)
		if o.save != nil {
			saves = append(saves, o)
		} else {
			puts = append(puts, o)
		}
	}
	var b pgx.Batch
	b.Queue(s.sql(lockSQL), sorted(locks))
	b.Queue(s.sql(fencedSQL), barrier)
	if len(puts) > 0 {
		s.queuePuts(&b, puts, instance)
	}
	if len(saves) > 0 {
		s.queueSaves(&b, saves, instance)
	}
	return c.SendBatch(ctx, &b).Close()
}

// finish tells the caller of an operation what has become of it, and whoever
// else is concerned.
func (s *Store) finish(o *operation, err error) {
	if o.save != nil {
		s.saved(o, err)
		s.queue.finish(o, err)
		return
	}
	s.stored(o, err)
	if s.queue.finish(o, err) {
		s.workers.Go(func() { s.takeBack(o) })
	}
}

const (
	// barrierSQL waits until a transaction is over, whatever has become of its
	// connection: it holds the lock until then. fenceSQL keeps it from beginning,
	// should it be on its way still, and fencedSQL, in it, fails then.
	barrierSQL = `SELECT pg_advisory_xact_lock($1)`
	fenceSQL   = `INSERT INTO @fences (id, made) VALUES ($1, clock_timestamp()) ON CONFLICT (id) DO NOTHING`
	fencedSQL  = `SELECT 1 / (1 - count(*)) FROM @fences WHERE id = $1`
	// unfenceSQL removes the fences of what no network delivers any more.
	unfenceSQL = `DELETE FROM @fences WHERE made < clock_timestamp() - interval '1 day'`
)

const lookSQL = `SELECT id, state, claim, details FROM @deliveries WHERE id = ANY($1)`

// found is what the database has of an operation whose outcome is not known.
type found struct {
	state   delivery.State
	claim   uuid.UUID
	details string
}

// resolve finds out what has become of operations when the connection was lost
// while they were committed. Who waits for them waits until patience has run
// out, or ctx has.
func (s *Store) resolve(batch []*operation, instance uuid.UUID, barrier int64) {
	impatient := time.AfterFunc(s.timing.patience, func() {
		for _, o := range batch {
			s.abandon(o)
		}
	})
	defer impatient.Stop()
	var ids []pgtype.UUID
	for _, o := range batch {
		for _, e := range o.entries() {
			ids = append(ids, idOf(e.delivery.ID))
		}
	}
	there := make(map[uuid.UUID]found)
	for {
		err := s.health.wait(s.ctx)
		if err == nil {
			err = s.call(s.working, func(ctx context.Context, c *pgxpool.Conn) error {
				clear(there)
				return s.lookUp(ctx, c, barrier, ids, there)
			})
		}
		if err == nil {
			break
		}
		if s.ctx.Err() != nil {
			s.log.Warn("it is not known whether the latest webhooks and results were stored: the database did not answer until the end", zap.Int("deliveries", len(ids)))
			for _, o := range batch {
				s.abandon(o)
			}
			return
		}
		_ = s.blame(s.working, err)
		sleep(s.ctx, jittered(minReconnect))
	}
	s.claims.settled()
	for _, o := range batch {
		switch {
		case o.save != nil && s.claims.newer(o.save.delivery.ID, o.grant), // the claim has ended
			o.committed(there, instance):
			s.finish(o, nil)
		case s.queue.isGone(o):
			s.finish(o, errOutcome)
		default:
			o.tries++
			if o.tries == maxTries || !s.queue.put(o) {
				s.finish(o, errOutcome)
			}
		}
	}
}

func (s *Store) lookUp(ctx context.Context, c *pgxpool.Conn, barrier int64, ids []pgtype.UUID, there map[uuid.UUID]found) error {
	var b pgx.Batch
	b.Queue(s.sql(barrierSQL), barrier)
	b.Queue(s.sql(fenceSQL), barrier)
	b.Queue(s.sql(lookSQL), ids).Query(func(rows pgx.Rows) error {
		var id, claim pgtype.UUID
		var state int16
		var details []byte
		_, err := pgx.ForEachRow(rows, []any{&id, &state, &claim, &details}, func() error {
			there[id.Bytes] = found{state: delivery.State(state), claim: claim.Bytes, details: string(details)}
			return nil
		})
		return err
	})
	return c.SendBatch(ctx, &b).Close()
}

// encode makes what is stored anew if the key that seals has changed since.
func (o *operation) encode(keys *seal.Keys) error {
	for _, e := range o.entries() {
		if e.sealer == keys.Sealer() {
			continue
		}
		if err := e.encode(keys); err != nil {
			return err
		}
	}
	return nil
}

func (o *operation) entries() []*entry {
	if o.save != nil {
		return []*entry{o.save}
	}
	return o.put
}

// committed tells whether what is there is what the operation has made.
func (o *operation) committed(there map[uuid.UUID]found, instance uuid.UUID) bool {
	for _, e := range o.entries() {
		f, ok := there[e.delivery.ID]
		if !ok {
			return false
		}
		e.claimed = f.claim == instance
		if o.save != nil && (f.claim == instance || f.state != e.delivery.State || f.details != string(e.details)) {
			return false
		}
	}
	o.unblocked = o.save != nil && o.save.delivery.State != delivery.Pending // it may have
	return true
}

// abandon tells the caller of an operation that it has failed, as far as is
// known. What has become of it is seen to later.
func (s *Store) abandon(o *operation) {
	if _, ok := s.queue.giveUp(o); ok {
		s.queue.finish(o, errOutcome)
	}
}
