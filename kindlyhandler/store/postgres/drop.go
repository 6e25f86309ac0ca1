package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// dropSQL removes deliveries, whatever their state is; with an instance, only if
// all of them are pending, no other one has claimed any, and Find has given them
// to nobody. The locks of their chats are held.
const dropSQL = `
WITH d AS (
	DELETE FROM @deliveries x WHERE x.id = ANY($1) AND ($2::uuid IS NULL
		OR (SELECT true FROM @deliveries o WHERE o.id = ANY($1) AND (o.state <> 0 OR o.claim <> $2) LIMIT 1) IS NULL
		AND (SELECT true FROM @keys k WHERE k.key = x.key AND k.asked AND k.ids && $1 LIMIT 1) IS NULL)
	RETURNING x.*
), next AS (
	SELECT n.id FROM (SELECT DISTINCT webhook, upstream, chat FROM d WHERE state = 0 AND NOT revived AND chat IS NOT NULL) g CROSS JOIN LATERAL (
		SELECT x.id, x.held FROM @deliveries x
		WHERE x.webhook = g.webhook AND x.upstream = g.upstream AND x.chat = g.chat AND x.state = 0 AND NOT x.revived AND NOT EXISTS (SELECT FROM d WHERE d.id = x.id)
		ORDER BY x.seq LIMIT 1
	) n WHERE n.held
), freed AS (
	UPDATE @deliveries x SET held = false FROM next WHERE x.id = next.id
), emptied AS (
	DELETE FROM @keys k USING d WHERE k.key = d.key AND k.ids <@ $1
), shortened AS (
	UPDATE @keys k SET ids = ARRAY(SELECT i FROM unnest(k.ids) WITH ORDINALITY u(i, n) WHERE i <> ALL($1) ORDER BY n)
	FROM (SELECT DISTINCT key FROM d WHERE key IS NOT NULL) g WHERE k.key = g.key AND k.ids && $1 AND NOT k.ids <@ $1
), counted AS (
	INSERT INTO @counts (webhook, upstream, pending, delivered, dead)
	SELECT webhook, upstream, -count(*) FILTER (WHERE state = 0), -count(*) FILTER (WHERE state = 1), -count(*) FILTER (WHERE state = 2) FROM d GROUP BY webhook, upstream
)
SELECT ` + summaryColumns + ` FROM d`

const placeSQL = `SELECT id, webhook, upstream, chat FROM @deliveries WHERE id = ANY($1)`

const placesSQL = `SELECT id, webhook, upstream, chat FROM @deliveries WHERE chat = $1`

// Drop implements [delivery.Store].
func (s *Store) Drop(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	dropped, err := s.dropWhere(ctx, placeSQL, idsOf([]uuid.UUID{id}))
	if err != nil {
		return nil, s.blame(ctx, err)
	}
	if len(dropped) == 0 {
		return nil, delivery.ErrNotFound
	}
	return dropped[0], nil
}

// Erase implements [delivery.Store].
func (s *Store) Erase(ctx context.Context, chatID string) (int, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	if chatID == "" {
		return 0, nil
	}
	dropped, err := s.dropWhere(ctx, placesSQL, idOf(chatOf(chatID)))
	return len(dropped), s.blame(ctx, err)
}

// dropWhere removes what a query finds.
func (s *Store) dropWhere(ctx context.Context, sql string, argument any) (dropped []*delivery.Delivery, err error) {
	err = s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		dropped = nil
		ids, locks, err := s.places(ctx, c, sql, argument)
		if err != nil || len(ids) == 0 {
			return err
		}
		var b pgx.Batch
		b.Queue(s.sql(lockSQL), sorted(locks))
		b.Queue(s.sql(dropSQL), ids, idOf(uuid.Nil)).Query(func(rows pgx.Rows) (err error) {
			dropped, err = collect(rows, false, s.sealing.current(), func(*delivery.Delivery, error) bool { return true })
			return err
		})
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	for _, d := range dropped {
		s.claims.remove(d.ID)
		if d.State == delivery.Pending {
			s.pending.add(-1)
			if d.ChatID != "" {
				s.notify(d.Lane)
			}
		}
	}
	return dropped, nil
}

// places returns the deliveries that a query finds, and the locks of their
// chats, neither of which ever change.
func (s *Store) places(ctx context.Context, c *pgxpool.Conn, sql string, argument any) (ids []pgtype.UUID, locks []int64, err error) {
	rows, err := c.Query(ctx, s.sql(sql), argument)
	if err != nil {
		return nil, nil, err
	}
	var id, chat pgtype.UUID
	var lane delivery.Lane
	_, err = pgx.ForEachRow(rows, []any{&id, &lane.Webhook, &lane.Upstream, &chat}, func() error {
		ids = append(ids, id)
		if chat.Valid {
			locks = append(locks, s.chatLock(lane, chat.Bytes))
		}
		return nil
	})
	return ids, locks, err
}
