package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// holdKeySQL keeps Find from giving a webhook to anybody until it is taken
// back: what has been acknowledged to another caller stays.
const holdKeySQL = `SELECT key FROM @keys WHERE key = $1 FOR UPDATE`

// holdSQL keeps deliveries as they are until it is decided whether they stay.
const holdSQL = `SELECT id FROM @deliveries WHERE id = ANY($1) ORDER BY id FOR UPDATE`

// takeBack removes what was stored though its caller was told that it was not:
// its time was over, or the connection lost. A webhook of which another instance
// has claimed anything by then, or that Find has given to a caller with the same
// one, is left whole: the same webhook again is a duplicate of all of it.
func (s *Store) takeBack(o *operation) {
	for {
		err := s.health.wait(s.ctx)
		if err == nil || s.ctx.Err() != nil && s.health.err() == nil {
			err = s.revoke(o)
		}
		if err == nil {
			return
		}
		if s.ctx.Err() != nil {
			s.log.Warn("a webhook was refused, and could not be taken back: there may be a ticket all the same", zap.Stringer("delivery", o.put[0].delivery.ID))
			return
		}
		_ = s.blame(s.working, err)
		sleep(s.ctx, jittered(minReconnect))
	}
}

func (s *Store) revoke(o *operation) error {
	instance := s.identity.id()
	ids := make([]uuid.UUID, len(o.put))
	for i, e := range o.put {
		ids[i] = e.delivery.ID
	}
	var gone int64
	freed := make(map[delivery.Lane]bool)
	err := s.call(s.working, func(ctx context.Context, c *pgxpool.Conn) error {
		clear(freed)
		var b pgx.Batch
		b.Queue(s.sql(lockSQL), sorted(append([]int64{}, o.locks...)))
		b.Queue(s.sql(holdKeySQL), keyOf(o.put[0].delivery.Key))
		b.Queue(s.sql(holdSQL), idsOf(ids))
		b.Queue(s.sql(dropSQL), idsOf(ids), idOf(instance)).Exec(counter(&gone))
		b.Queue(s.sql(releaseSQL), idsOf(ids), idOf(instance)).Query(func(rows pgx.Rows) error {
			var lane delivery.Lane
			_, err := pgx.ForEachRow(rows, []any{&lane.Webhook, &lane.Upstream}, func() error {
				freed[lane] = true
				return nil
			})
			return err
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return err
	}
	s.pending.add(-int(gone))
	for _, e := range o.put {
		s.claims.remove(e.delivery.ID)
		freed[e.delivery.Lane] = true // the next of its chat
	}
	for lane := range freed {
		s.changed(lane)
		s.notify(lane)
	}
	return nil
}
