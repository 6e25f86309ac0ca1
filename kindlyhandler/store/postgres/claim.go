package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// claimSQL passes by what others are claiming or saving at this moment.
const claimSQL = `
WITH c AS MATERIALIZED (
	SELECT id FROM @deliveries
	WHERE webhook = $1 AND upstream = $2 AND state = 0 AND NOT held AND claim IS NULL AND due <= $3
	ORDER BY due, seq LIMIT $4 FOR UPDATE SKIP LOCKED
), d AS (
	UPDATE @deliveries d SET claim = $5 FROM c WHERE d.id = c.id RETURNING d.*
)
SELECT ` + allColumns + ` FROM d ORDER BY d.due, d.seq`

const nextSQL = `SELECT due FROM @deliveries WHERE webhook = $1 AND upstream = $2 AND state = 0 AND NOT held AND claim IS NULL ORDER BY due, seq LIMIT 1`

// contended is when to look again for what others are claiming.
const contended = 20 * time.Millisecond

// Claim implements [delivery.Store].
func (s *Store) Claim(ctx context.Context, lane delivery.Lane, now time.Time, limit int) (claimed []*delivery.Delivery, next time.Time, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer end()
	s.claims.granting.RLock()
	defer s.claims.granting.RUnlock()
	err = s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		claimed, next = nil, time.Time{}
		var b pgx.Batch
		b.Queue(s.sql(claimSQL), lane.Webhook, lane.Upstream, stamp(now), limit, idOf(s.identity.id())).Query(func(rows pgx.Rows) (err error) {
			claimed, err = collect(rows, true, s.broken)
			return err
		})
		b.Queue(s.sql(nextSQL), lane.Webhook, lane.Upstream).Query(func(rows pgx.Rows) error {
			var due pgtype.Timestamptz
			_, err := pgx.ForEachRow(rows, []any{&due}, func() error {
				next = timeOf(due)
				return nil
			})
			return err
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		s.claimFailed(err)
		return nil, time.Time{}, s.blame(ctx, err)
	}
	for _, d := range claimed {
		s.claims.add(d.ID)
	}
	if len(claimed) == 0 && !next.IsZero() && !next.After(now) {
		next = now.Add(contended)
	}
	return claimed, next, nil
}

// broken tells of a delivery that cannot be understood. It stays claimed, so
// that the others of its lane go on.
func (s *Store) broken(d *delivery.Delivery, err error) (keep bool) {
	s.log.Error("a delivery cannot be read, and waits", zap.Stringer("delivery", d.ID), zap.Error(err))
	return false
}

// claimFailed has what the call may have claimed looked for.
func (s *Store) claimFailed(err error) {
	if !definite(err) {
		s.claims.suspect()
	}
}

const takeSQL = `
WITH d AS (UPDATE @deliveries SET claim = $2 WHERE id = $1 AND state = 0 AND NOT held AND claim IS NULL RETURNING *)
SELECT ` + allColumns + ` FROM d`

const stateSQL = `SELECT state FROM @deliveries WHERE id = $1`

// Take implements [delivery.Store].
func (s *Store) Take(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	var state *int16
	d, err := s.claimOne(ctx, id, func(b *pgx.Batch) {
		state = nil
		b.Queue(s.sql(stateSQL), idOf(id)).Query(func(rows pgx.Rows) error {
			var found int16
			_, err := pgx.ForEachRow(rows, []any{&found}, func() error {
				state = &found
				return nil
			})
			return err
		})
	}, takeSQL, idOf(id), idOf(s.identity.id()))
	if err == nil && d == nil {
		if state != nil && delivery.State(*state) == delivery.Pending {
			return nil, delivery.ErrBusy
		}
		return nil, delivery.ErrNotFound
	}
	return d, err
}

const reviveSQL = `
WITH d AS (
	UPDATE @deliveries SET state = 0, revived = true, held = false, claim = $2, due = $3, settled = NULL, elapsed = 0, answer = NULL
	WHERE id = $1 AND state = 2 RETURNING *
), counted AS (
	INSERT INTO @counts (webhook, upstream, pending, dead) SELECT webhook, upstream, 1, -1 FROM d
)
SELECT ` + allColumns + ` FROM d`

// Revive implements [delivery.Store].
func (s *Store) Revive(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	d, err := s.claimOne(ctx, id, nil, reviveSQL, idOf(id), idOf(s.identity.id()), stamp(s.now()))
	if err == nil && d == nil {
		return nil, delivery.ErrNotFound
	}
	if err == nil {
		s.pending.add(1)
	}
	return d, err
}

// claimOne runs a statement that claims one delivery at the most, and, in the
// same transaction, what follows.
func (s *Store) claimOne(ctx context.Context, id uuid.UUID, then func(*pgx.Batch), sql string, arguments ...any) (*delivery.Delivery, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	s.claims.granting.RLock()
	defer s.claims.granting.RUnlock()
	var claimed []*delivery.Delivery
	err = s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		var b pgx.Batch
		b.Queue(s.sql(sql), arguments...).Query(func(rows pgx.Rows) (err error) {
			claimed, err = collect(rows, true, nil)
			return err
		})
		if then != nil {
			then(&b)
		}
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		s.claimFailed(err)
		return nil, s.blame(ctx, err)
	}
	if len(claimed) == 0 {
		return nil, nil
	}
	s.claims.add(id)
	return claimed[0], nil
}
