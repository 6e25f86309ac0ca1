package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// ask reads, again if the connection was lost: that changes nothing.
func (s *Store) ask(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	err = s.call(ctx, f)
	if err != nil && !definite(err) && ctx.Err() == nil && s.health.err() == nil {
		err = s.call(ctx, f)
	}
	return s.blame(ctx, err)
}

// query reads deliveries.
func (s *Store) query(ctx context.Context, all bool, sql string, arguments ...any) (found []*delivery.Delivery, err error) {
	err = s.ask(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, s.sql(sql), arguments...)
		if err != nil {
			return err
		}
		found, err = collect(rows, all, s.sealing.current(), nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

const findSQL = `
WITH live AS MATERIALIZED (
	SELECT ids, asked FROM @keys WHERE key = $1 AND expires > $2
), marked AS (
	UPDATE @keys SET asked = true WHERE key = $1 AND expires > $2 AND NOT asked RETURNING key
)
SELECT (SELECT count(*) FROM live WHERE NOT asked) > (SELECT count(*) FROM marked), ` + allColumns + `
FROM (VALUES (1)) one LEFT JOIN (live CROSS JOIN LATERAL unnest(live.ids) WITH ORDINALITY u(id, n) JOIN @deliveries d ON d.id = u.id) ON true ORDER BY u.n`

// Find implements [delivery.Store]. It notes that somebody knows of the webhook
// now: it is not taken back any more. Of what is encrypted with a key that is not
// here it returns the rest.
func (s *Store) Find(ctx context.Context, key delivery.Key) (all []*delivery.Delivery, err error) {
	for again := true; again && err == nil; {
		again = false
		err = s.ask(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
			all, again, err = s.find(ctx, c, key)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// find asks for a webhook. It must be asked again if the webhook was there, but
// was noted, or taken back, by somebody else at this moment.
func (s *Store) find(ctx context.Context, c *pgxpool.Conn, key delivery.Key) (all []*delivery.Delivery, again bool, err error) {
	rows, err := c.Query(ctx, s.sql(findSQL), key[:], stamp(s.now()))
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(append([]any{&again}, r.fields(true)...)...); err != nil {
			return nil, false, err
		}
		if !r.id.Valid {
			continue
		}
		d, err := r.delivery(s.sealing.current())
		if err != nil && !isUnknownKey(err) {
			return nil, false, err
		}
		all = append(all, d)
	}
	return all, again, rows.Err()
}

// isUnknownKey tells whether something cannot be read for want of its key.
func isUnknownKey(err error) bool {
	_, ok := errors.AsType[*seal.UnknownKeyError](err)
	return ok
}

const getSQL = `SELECT ` + allColumns + ` FROM @deliveries d WHERE d.id = $1`

// Get implements [delivery.Store].
func (s *Store) Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	found, err := s.query(ctx, true, getSQL, pgtype.UUID{Bytes: id, Valid: true})
	if err == nil && len(found) == 0 {
		return nil, delivery.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// lookedThrough is how many deliveries a call of List looks at, at the most.
const lookedThrough = 10_000

// The lists give, in each row, how many deliveries were looked at and the last
// of them, and a delivery, if there is any.
const (
	listColumns = `
SELECT (SELECT count(*) FROM w), (SELECT w.id FROM w ORDER BY w.id LIMIT 1), ` + summaryColumns + `
FROM (VALUES (1)) one LEFT JOIN (m JOIN @deliveries d ON d.id = m.id) ON true ORDER BY d.id DESC`
	listFilters = ` (cardinality($3::smallint[]) = 0 OR state = ANY($3)) AND ($4 = '' OR webhook = $4) AND ($5 = '' OR upstream = $5) `

	listSQL = `
WITH w AS MATERIALIZED (
	SELECT id, state, webhook, upstream FROM @deliveries WHERE id < $1 ORDER BY id DESC LIMIT $6
), m AS MATERIALIZED (
	SELECT id FROM w WHERE` + listFilters + `ORDER BY id DESC LIMIT $2
)` + listColumns

	listChatSQL = `
WITH w AS MATERIALIZED (
	SELECT id, state, webhook, upstream FROM @deliveries WHERE chat = $7 AND id < $1 ORDER BY id DESC LIMIT $6
), m AS MATERIALIZED (
	SELECT id FROM w WHERE` + listFilters + `ORDER BY id DESC LIMIT $2
)` + listColumns
)

// highest is above all ids that are used.
var highest = uuid.Max

// List implements [delivery.Store]. Of a delivery that cannot be read, all that
// can be is in the list.
func (s *Store) List(ctx context.Context, q delivery.Query) (page delivery.Page, err error) {
	if !nameable(delivery.Lane{Webhook: q.Webhook, Upstream: q.Upstream}) {
		return delivery.Page{}, nil // there can be none
	}
	before := q.Before
	if before == uuid.Nil {
		before = highest
	}
	states := make([]int16, 0, len(q.States))
	for _, state := range q.States {
		states = append(states, int16(state))
	}
	look := lookedThrough
	if len(q.States) == 0 && q.Webhook == "" && q.Upstream == "" {
		look = min(look, q.Limit)
	}
	sql, arguments := listSQL, []any{idOf(before), q.Limit, states, q.Webhook, q.Upstream, look}
	if q.ChatID != "" {
		sql, arguments = listChatSQL, append(arguments, idOf(chatOf(q.ChatID)))
	}
	var looked int
	var last pgtype.UUID
	err = s.ask(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		page = delivery.Page{}
		rows, err := c.Query(ctx, s.sql(sql), arguments...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			if err := rows.Scan(append([]any{&looked, &last}, r.fields(false)...)...); err != nil {
				return err
			}
			if !r.id.Valid {
				continue
			}
			d, err := r.delivery(s.sealing.current())
			if err != nil && !errors.Is(err, delivery.ErrUnreadable) {
				return err
			}
			page.Deliveries = append(page.Deliveries, d)
		}
		return rows.Err()
	})
	if err != nil {
		return delivery.Page{}, err
	}
	switch n := len(page.Deliveries); {
	case n == q.Limit:
		page.Before = page.Deliveries[n-1].ID
	case looked == look:
		page.Before = last.Bytes
	}
	return page, nil
}

// countSQL sums up what each transaction has noted: no two of them wait for
// one counter.
const countSQL = `
SELECT c.webhook, c.upstream, c.pending, c.delivered, c.dead, (
	SELECT d.received FROM @deliveries d WHERE d.webhook = c.webhook AND d.upstream = c.upstream AND d.state = 0 ORDER BY d.received LIMIT 1
) FROM (
	SELECT webhook, upstream, sum(pending)::bigint AS pending, sum(delivered)::bigint AS delivered, sum(dead)::bigint AS dead FROM @counts GROUP BY webhook, upstream
) c WHERE (c.pending, c.delivered, c.dead) <> (0, 0, 0)`

// Count implements [delivery.Store].
func (s *Store) Count(ctx context.Context) (counts map[delivery.Lane]delivery.Counts, err error) {
	err = s.ask(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		counts = make(map[delivery.Lane]delivery.Counts)
		rows, err := c.Query(ctx, s.sql(countSQL))
		if err != nil {
			return err
		}
		var lane delivery.Lane
		var n delivery.Counts
		var oldest pgtype.Timestamptz
		_, err = pgx.ForEachRow(rows, []any{&lane.Webhook, &lane.Upstream, &n.Pending, &n.Delivered, &n.Dead, &oldest}, func() error {
			n.OldestPending = timeOf(oldest)
			counts[lane] = n
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
