package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

const (
	// While deliveries are imported nobody else writes: what is to be in order is
	// taken from the table as it is.
	barSQL   = `LOCK TABLE @deliveries IN SHARE ROW EXCLUSIVE MODE`
	knownSQL = `SELECT id FROM @deliveries WHERE id = ANY($1)`
	// queuedSQL finds the chats, of those given, in which something is pending.
	queuedSQL = `
SELECT DISTINCT x.webhook, x.upstream, x.chat FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::uuid[]) t(webhook, upstream, chat)) c
JOIN @deliveries x ON x.webhook = c.webhook AND x.upstream = c.upstream AND x.chat = c.chat AND x.state = 0 AND NOT x.revived`
	claimKeySQL = `
INSERT INTO @keys AS k (key, expires, ids) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, ids = excluded.ids, asked = false WHERE k.expires <= $4 OR k.ids = '{}'`
	adoptSQL = `
INSERT INTO @deliveries (id, webhook, upstream, state, held, due, received, settled, elapsed, tries, chat, key, key_expires, sealer, details, answer, body, customer, transcript)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	noteSQL = `INSERT INTO @counts (webhook, upstream, pending, delivered, dead) VALUES ($1, $2, $3, $4, $5)`
)

// Import stores deliveries from another store as they are, in whatever state,
// under the same ids, all of them or none; limits do not hold for it. Those
// whose id is there already are left alone, and not counted. A key that is taken
// already stays with whom it is: the delivery that comes with it makes no
// duplicates then. Deliveries of a chat keep their order, and come behind those
// that are there. Nothing else is written meanwhile: a few hundred at once are
// a good measure.
func (s *Store) Import(ctx context.Context, deliveries []*delivery.Delivery) (imported int, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	keys := s.sealing.use()
	defer s.sealing.done(keys)
	entries := make([]*entry, 0, len(deliveries))
	for _, d := range deliveries {
		e, err := newEntry(d, keys, nil)
		if err != nil {
			return 0, err
		}
		entries = append(entries, e)
	}
	var fresh []*entry
	err = s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) (err error) {
			fresh, err = s.adopt(ctx, tx, entries)
			return err
		})
	})
	if err != nil {
		return 0, s.blame(ctx, err)
	}
	lanes := make(map[delivery.Lane]bool)
	for _, e := range fresh {
		if e.delivery.State == delivery.Pending {
			s.pending.add(1)
			lanes[e.delivery.Lane] = true
		}
	}
	for lane := range lanes {
		s.notify(lane)
	}
	return len(fresh), nil
}

// adopt stores those of the entries that are not there, and returns them.
func (s *Store) adopt(ctx context.Context, tx pgx.Tx, entries []*entry) (fresh []*entry, err error) {
	if _, err := tx.Exec(ctx, s.sql(barSQL)); err != nil {
		return nil, err
	}
	if fresh, err = s.unknown(ctx, tx, entries); err != nil || len(fresh) == 0 {
		return nil, err
	}
	queued, err := s.queued(ctx, tx, fresh)
	if err != nil {
		return nil, err
	}
	var b pgx.Batch
	now := s.now()
	s.adoptKeys(&b, fresh, now)
	counts := make(map[delivery.Lane]*[3]int)
	for _, e := range fresh {
		d := e.delivery
		held, settled := false, pgtype.Timestamptz{}
		if d.State != delivery.Pending {
			settled = stamp(settledAt(d, now))
		} else if e.chat != uuid.Nil {
			q := place{d.Lane, e.chat}
			held, queued[q] = queued[q], true
		}
		if counts[d.Lane] == nil {
			counts[d.Lane] = new([3]int)
		}
		counts[d.Lane][d.State]++
		b.Queue(s.sql(adoptSQL), idOf(d.ID), d.Lane.Webhook, d.Lane.Upstream, int16(d.State), held,
			stamp(d.DueAt), stamp(d.ReceivedAt), settled, int64(d.Elapsed), d.Tries, idOf(e.chat), keyOf(d.Key), stamp(d.KeyExpires),
			sealerArgument(e.sealer), e.details, e.content.answer, e.content.body, e.content.customer, e.content.transcript)
	}
	for lane, n := range counts {
		b.Queue(s.sql(noteSQL), lane.Webhook, lane.Upstream, n[delivery.Pending], n[delivery.Delivered], n[delivery.Dead])
	}
	return fresh, tx.SendBatch(ctx, &b).Close()
}

// adoptKeys gives to each webhook whose key is neither expired nor taken its
// deliveries.
func (s *Store) adoptKeys(b *pgx.Batch, entries []*entry, now time.Time) {
	var keys []delivery.Key
	ids, expires := make(map[delivery.Key][]pgtype.UUID), make(map[delivery.Key]time.Time)
	for _, e := range entries {
		d := e.delivery
		if d.Key == (delivery.Key{}) || !d.KeyExpires.After(now) {
			continue
		}
		if ids[d.Key] == nil {
			keys = append(keys, d.Key)
		}
		ids[d.Key] = append(ids[d.Key], idOf(d.ID))
		if d.KeyExpires.After(expires[d.Key]) {
			expires[d.Key] = d.KeyExpires
		}
	}
	for _, key := range keys {
		b.Queue(s.sql(claimKeySQL), key[:], stamp(expires[key]), ids[key], stamp(now))
	}
}

// settledAt is when a delivery was settled, as far as it says so itself: its
// retention goes on from there.
func settledAt(d *delivery.Delivery, now time.Time) time.Time {
	if n := len(d.Attempts); n > 0 && !d.Attempts[n-1].At.IsZero() {
		return d.Attempts[n-1].At.Add(d.Attempts[n-1].Duration)
	}
	return now
}

// unknown returns the entries whose ids are not there, each id once.
func (s *Store) unknown(ctx context.Context, tx pgx.Tx, entries []*entry) (fresh []*entry, err error) {
	ids := make([]uuid.UUID, len(entries))
	for i, e := range entries {
		ids[i] = e.delivery.ID
	}
	rows, err := tx.Query(ctx, s.sql(knownSQL), idsOf(ids))
	if err != nil {
		return nil, err
	}
	known := make(map[uuid.UUID]bool)
	var id pgtype.UUID
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		known[id.Bytes] = true
		return nil
	}); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !known[e.delivery.ID] {
			known[e.delivery.ID] = true
			fresh = append(fresh, e)
		}
	}
	return fresh, nil
}

// place is a chat in a lane.
type place struct {
	lane delivery.Lane
	chat uuid.UUID
}

// queued returns in which of the entries' chats something is pending.
func (s *Store) queued(ctx context.Context, tx pgx.Tx, entries []*entry) (map[place]bool, error) {
	var webhooks, upstreams []string
	var chats []pgtype.UUID
	for _, e := range entries {
		if e.chat != uuid.Nil {
			webhooks, upstreams = append(webhooks, e.delivery.Lane.Webhook), append(upstreams, e.delivery.Lane.Upstream)
			chats = append(chats, idOf(e.chat))
		}
	}
	rows, err := tx.Query(ctx, s.sql(queuedSQL), webhooks, upstreams, chats)
	if err != nil {
		return nil, err
	}
	found := make(map[place]bool)
	var lane delivery.Lane
	var chat pgtype.UUID
	_, err = pgx.ForEachRow(rows, []any{&lane.Webhook, &lane.Upstream, &chat}, func() error {
		found[place{lane, chat.Bytes}] = true
		return nil
	})
	return found, err
}
