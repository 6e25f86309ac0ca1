package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// burySQL makes dead letters of deliveries that this instance has claimed, and
// leaves all else of them as it is. The locks of their chats are held.
const burySQL = `
WITH buried AS (
	UPDATE @deliveries SET state = 2, claim = NULL, settled = $2 WHERE id = ANY($1) AND claim = $3 AND state = 0 RETURNING id, webhook, upstream, chat, revived
), next AS (
	SELECT n.id FROM (SELECT DISTINCT webhook, upstream, chat FROM buried WHERE NOT revived AND chat IS NOT NULL) g CROSS JOIN LATERAL (
		SELECT x.id, x.held FROM @deliveries x
		WHERE x.webhook = g.webhook AND x.upstream = g.upstream AND x.chat = g.chat AND x.state = 0 AND NOT x.revived AND x.id <> ALL($1)
		ORDER BY x.seq LIMIT 1
	) n WHERE n.held
), freed AS (
	UPDATE @deliveries d SET held = false FROM next WHERE d.id = next.id
), counted AS (
	INSERT INTO @counts (webhook, upstream, pending, dead) SELECT webhook, upstream, -count(*), count(*) FROM buried GROUP BY webhook, upstream
)
SELECT id, webhook, upstream FROM buried`

// bury makes dead letters of what was claimed and cannot be read, so that it
// holds nobody up and is seen: it is listed and counted, can be retried when it
// can be read again, and is kept as long as others. If it fails, they are stray
// claims, which are claimed again.
func (s *Store) bury(ctx context.Context, why map[uuid.UUID]error) {
	buried := make(map[uuid.UUID]delivery.Lane)
	err := s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		clear(buried)
		ids, locks, err := s.places(ctx, c, placeSQL, idsOf(slices.Collect(maps.Keys(why))))
		if err != nil || len(ids) == 0 {
			return err
		}
		var b pgx.Batch
		b.Queue(s.sql(lockSQL), sorted(locks))
		b.Queue(s.sql(burySQL), ids, stamp(s.now()), idOf(s.identity.id())).Query(func(rows pgx.Rows) error {
			var id uuid.UUID
			var lane delivery.Lane
			_, err := pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &lane.Webhook, &lane.Upstream}, func() error {
				buried[id] = lane
				return nil
			})
			return err
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		_ = s.blame(ctx, err)
		s.claims.suspect()
		return
	}
	for id, lane := range buried {
		s.log.Error("a delivery cannot be read: it is a dead letter now", zap.Stringer("delivery", id),
			zap.String("webhook", lane.Webhook), zap.String("upstream", lane.Upstream), zap.Error(why[id]))
		s.losses.Add(lane, delivery.LossDamaged, 1)
		s.pending.add(-1)
		s.changed(lane)
		s.notify(lane)
	}
}
