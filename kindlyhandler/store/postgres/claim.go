package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// claimSQL passes by what others are claiming or saving at this moment. It looks
// at each sealer by itself: however much there is that only others have the key
// of, nobody reads through it.
const claimSQL = `
WITH c AS MATERIALIZED (
	SELECT x.id FROM unnest($6::bytea[]) k(sealer) CROSS JOIN LATERAL (
		SELECT id, due, seq FROM @deliveries
		WHERE webhook = $1 AND upstream = $2 AND sealer = k.sealer AND state = 0 AND NOT held AND claim IS NULL AND due <= $3
		ORDER BY due, seq LIMIT $4 FOR UPDATE SKIP LOCKED
	) x ORDER BY x.due, x.seq LIMIT $4
), d AS (
	UPDATE @deliveries d SET claim = $5 FROM c WHERE d.id = c.id RETURNING d.*
)
SELECT ` + allColumns + ` FROM d ORDER BY d.due, d.seq`

const nextSQL = `
SELECT x.due FROM unnest($3::bytea[]) k(sealer) CROSS JOIN LATERAL (
	SELECT due FROM @deliveries WHERE webhook = $1 AND upstream = $2 AND sealer = k.sealer AND state = 0 AND NOT held AND claim IS NULL ORDER BY due, seq LIMIT 1
) x ORDER BY x.due LIMIT 1`

// contended is when to look again for what others are claiming.
const contended = 20 * time.Millisecond

// Claim implements [delivery.Store].
func (s *Store) Claim(ctx context.Context, lane delivery.Lane, now time.Time, limit int) (due []*delivery.Delivery, next time.Time, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer end()
	s.claims.granting.RLock()
	defer s.claims.granting.RUnlock()
	keys := s.sealing.current()
	var found []claimed
	var unreadable map[uuid.UUID]error
	err = s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		next, unreadable = time.Time{}, make(map[uuid.UUID]error)
		var b pgx.Batch
		b.Queue(s.sql(claimSQL), lane.Webhook, lane.Upstream, stamp(now), limit, idOf(s.identity.id()), legible(keys)).Query(func(rows pgx.Rows) (err error) {
			found, err = collectClaims(rows, true, keys, func(d *delivery.Delivery, err error) (keep bool) {
				unreadable[d.ID] = err
				return false
			})
			return err
		})
		b.Queue(s.sql(nextSQL), lane.Webhook, lane.Upstream, legible(keys)).Query(func(rows pgx.Rows) error {
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
	for _, c := range found {
		s.claims.add(c.ID, c.sealer)
		due = append(due, c.Delivery)
	}
	if len(unreadable) > 0 {
		s.bury(ctx, unreadable)
	}
	if len(due) == 0 && !next.IsZero() && !next.After(now) {
		next = now.Add(contended)
	}
	return due, next, nil
}

// claimFailed has what the call may have claimed looked for.
func (s *Store) claimFailed(err error) {
	if !definite(err) {
		s.claims.suspect()
	}
}

const takeSQL = `
WITH d AS (UPDATE @deliveries SET claim = $2 WHERE id = $1 AND state = 0 AND NOT held AND claim IS NULL AND sealer = ANY($3) RETURNING *)
SELECT ` + allColumns + ` FROM d`

// Take implements [delivery.Store].
func (s *Store) Take(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	return s.claimOne(ctx, id, delivery.Pending, delivery.ErrBusy, takeSQL, idOf(id), idOf(s.identity.id()))
}

const reviveSQL = `
WITH d AS (
	UPDATE @deliveries SET state = 0, revived = true, held = false, claim = $2, due = $4, settled = NULL, elapsed = 0, answer = NULL
	WHERE id = $1 AND state = 2 AND sealer = ANY($3) RETURNING *
), counted AS (
	INSERT INTO @counts (webhook, upstream, pending, dead) SELECT webhook, upstream, 1, -1 FROM d
)
SELECT ` + allColumns + ` FROM d`

// Revive implements [delivery.Store].
func (s *Store) Revive(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	return s.claimOne(ctx, id, delivery.Dead, delivery.ErrNotFound, reviveSQL, idOf(id), idOf(s.identity.id()), stamp(s.now()))
}

const stateSQL = `SELECT state, sealer FROM @deliveries WHERE id = $1`

// claimOne runs a statement that claims a delivery in a state, whose third
// parameter is what sealers can be read. It fails with otherwise if the delivery
// is in that state, but not claimed all the same.
func (s *Store) claimOne(ctx context.Context, id uuid.UUID, in delivery.State, otherwise error, sql string, arguments ...any) (*delivery.Delivery, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	s.claims.granting.RLock()
	defer s.claims.granting.RUnlock()
	keys := s.sealing.current()
	arguments = slices.Insert(arguments, 2, any(legible(keys)))
	var found []claimed
	var unreadable, failed error
	err = s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		unreadable, failed = nil, delivery.ErrNotFound
		var b pgx.Batch
		b.Queue(s.sql(sql), arguments...).Query(func(rows pgx.Rows) (err error) {
			found, err = collectClaims(rows, true, keys, func(_ *delivery.Delivery, err error) (keep bool) {
				unreadable = err
				return false
			})
			return err
		})
		b.Queue(s.sql(stateSQL), idOf(id)).Query(func(rows pgx.Rows) error {
			var state int16
			var sealer []byte
			_, err := pgx.ForEachRow(rows, []any{&state, &sealer}, func() error {
				if delivery.State(state) == in {
					failed = otherwise
					if err := keys.Require(sealerOf(sealer)); err != nil {
						failed = fmt.Errorf("%w: %w", delivery.ErrUnreadable, err)
					}
				}
				return nil
			})
			return err
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		s.claimFailed(err)
		return nil, s.blame(ctx, err)
	}
	if in == delivery.Dead && (unreadable != nil || len(found) > 0) { // it was revived
		s.pending.add(1)
	}
	switch {
	case unreadable != nil:
		s.bury(ctx, map[uuid.UUID]error{id: unreadable})
		return nil, unreadable
	case len(found) == 0:
		return nil, failed
	}
	s.claims.add(id, found[0].sealer)
	return found[0].Delivery, nil
}
