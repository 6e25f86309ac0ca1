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

const (
	// sweepChunk bounds what one transaction removes.
	sweepChunk = 500
	// deadWarning is how long before its end a dead letter is warned about.
	deadWarning = 24 * time.Hour
)

const (
	sweepLockSQL = `SELECT pg_try_advisory_xact_lock($1)`
	expireSQL    = `
WITH d AS (
	DELETE FROM @deliveries WHERE id IN (
		SELECT id FROM @deliveries WHERE state = $1 AND settled < $2 AND (key IS NULL OR key_expires <= $3) ORDER BY settled LIMIT $4 FOR UPDATE SKIP LOCKED
	) RETURNING webhook, upstream
), g AS (
	SELECT webhook, upstream, count(*) AS n FROM d GROUP BY webhook, upstream
), counted AS (
	INSERT INTO @counts (webhook, upstream, delivered, dead)
	SELECT webhook, upstream, CASE WHEN $1 = 1 THEN -n ELSE 0 END, CASE WHEN $1 = 2 THEN -n ELSE 0 END FROM g
)
SELECT webhook, upstream, n FROM g`
	expireKeysSQL = `DELETE FROM @keys WHERE key IN (SELECT key FROM @keys WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)`
	compactSQL    = `
WITH old AS (DELETE FROM @counts RETURNING *)
INSERT INTO @counts (webhook, upstream, pending, delivered, dead)
SELECT webhook, upstream, sum(pending), sum(delivered), sum(dead) FROM old GROUP BY webhook, upstream HAVING sum(pending) <> 0 OR sum(delivered) <> 0 OR sum(dead) <> 0`
	warnSQL = `
SELECT count(*), (SELECT id FROM @deliveries WHERE state = 2 AND settled < $1 AND settled >= $2 ORDER BY settled LIMIT 1)
FROM @deliveries WHERE state = 2 AND settled < $1 AND settled >= $2`
)

// sweep is the goroutine that removes what is past its time. Of all instances,
// one at a time does.
func (s *Store) sweep() {
	ticker := time.NewTicker(s.timing.sweep)
	defer ticker.Stop()
	var warned time.Time
	for {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
		if s.health.err() == nil {
			warned = s.sweepOnce(s.ctx, warned)
		}
	}
}

// sweepOnce removes what is past its time, and warns of the dead letters that
// soon will be. It returns until which of them it has warned.
func (s *Store) sweepOnce(ctx context.Context, warned time.Time) time.Time {
	now, limits := s.now(), s.limits.Load()
	err := s.learnSealers(ctx)
	if err == nil {
		err = s.expire(ctx, delivery.Delivered, now.Add(-limits.Retention), now)
	}
	if err == nil {
		err = s.expire(ctx, delivery.Dead, now.Add(-limits.DeadRetention), now)
	}
	if err == nil {
		err = s.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) (bool, error) {
			tag, err := tx.Exec(ctx, s.sql(expireKeysSQL), stamp(now), sweepChunk)
			return tag.RowsAffected() == sweepChunk, err
		})
	}
	if err == nil {
		err = s.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) (bool, error) {
			_, err := tx.Exec(ctx, s.sql(compactSQL))
			if err == nil {
				_, err = tx.Exec(ctx, s.sql(unfenceSQL))
			}
			return false, err
		})
	}
	until := now.Add(deadWarning - limits.DeadRetention)
	if err == nil {
		err = s.warn(ctx, until, warned)
	}
	if err != nil {
		if err = s.blame(ctx, err); ctx.Err() == nil && s.health.err() == nil {
			s.log.Error("cannot remove all that is past its time; it is tried again", zap.Error(err))
		}
		return warned
	}
	return until
}

// sweeping runs transactions until there is nothing more to do, or another
// instance is at it.
func (s *Store) sweeping(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) (more bool, err error)) error {
	for {
		more := false
		err := s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
			return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
				more = false
				var mine bool
				if err := tx.QueryRow(ctx, sweepLockSQL, s.lock("sweep")).Scan(&mine); err != nil || !mine {
					return err
				}
				var err error
				more, err = f(ctx, tx)
				return err
			})
		})
		if err != nil || !more {
			return err
		}
	}
}

// expire removes what was settled before a time. What still makes duplicates
// stays until it does not.
func (s *Store) expire(ctx context.Context, state delivery.State, before, now time.Time) error {
	for more := true; more; {
		removed := make(map[delivery.Lane]int)
		more = false
		if err := s.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) (bool, error) {
			clear(removed)
			total := 0
			rows, err := tx.Query(ctx, s.sql(expireSQL), int16(state), stamp(before), stamp(now), sweepChunk)
			if err != nil {
				return false, err
			}
			var lane delivery.Lane
			var n int
			_, err = pgx.ForEachRow(rows, []any{&lane.Webhook, &lane.Upstream, &n}, func() error {
				removed[lane] = n
				total += n
				return nil
			})
			more = total == sweepChunk
			return false, err
		}); err != nil {
			return err
		}
		if state == delivery.Dead {
			s.lost(removed)
		}
	}
	return nil
}

// lost counts dead letters that are gone.
func (s *Store) lost(removed map[delivery.Lane]int) {
	total := 0
	for lane, n := range removed {
		total += n
		s.losses.Add(lane, delivery.LossExpired, n)
	}
	if total > 0 {
		s.log.Warn("dead letters are past their retention and gone: these tickets were never delivered", zap.Int("dead_letters", total))
	}
}

// warn tells of the dead letters settled before a time, each of them once.
func (s *Store) warn(ctx context.Context, until, warned time.Time) error {
	return s.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		var n int
		var oldest pgtype.UUID
		err := tx.QueryRow(ctx, s.sql(warnSQL), stamp(until), stamp(warned)).Scan(&n, &oldest)
		if err == nil && n > 0 {
			s.log.Warn("dead letters will be gone within a day: retry them, or they are lost",
				zap.Int("dead_letters", n), zap.Stringer("oldest", uuid.UUID(oldest.Bytes)))
		}
		return false, err
	})
}
