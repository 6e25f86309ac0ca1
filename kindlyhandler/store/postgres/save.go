package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// saveSQL saves deliveries that this instance has claimed, no two of them of
// one chat's order. What is settled lets the next one of its chat go. A body
// never changes, and is sent again only to be sealed anew.
const saveSQL = `
WITH s AS (
	SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::int[],
		$8::bytea[], $9::bytea[], $10::bool[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[])
	AS t(id, state, due, received, key_expires, elapsed, tries, details, answer, keep, customer, transcript, body, sealer)
), saved AS (
	UPDATE @deliveries d SET state = s.state, claim = NULL, due = s.due, received = s.received, key_expires = s.key_expires,
		settled = CASE WHEN s.state <> 0 THEN $15::timestamptz END, elapsed = s.elapsed, tries = s.tries, details = s.details, answer = s.answer,
		sealer = s.sealer, body = CASE WHEN s.keep THEN coalesce(s.body, d.body) END, customer = s.customer, transcript = s.transcript
	FROM s WHERE d.id = s.id AND d.claim = $16 AND d.state = 0
		AND (NOT s.keep OR s.body IS NOT NULL OR d.sealer = s.sealer)
	RETURNING d.id, d.webhook, d.upstream, d.chat, d.state, d.revived
), next AS (
	SELECT v.id AS after, n.id FROM saved v CROSS JOIN LATERAL (
		SELECT x.id, x.held FROM @deliveries x
		WHERE x.webhook = v.webhook AND x.upstream = v.upstream AND x.chat = v.chat AND x.state = 0 AND NOT x.revived AND x.id <> v.id
		ORDER BY x.seq LIMIT 1
	) n WHERE v.state <> 0 AND NOT v.revived AND n.held
), freed AS (
	UPDATE @deliveries d SET held = false FROM next WHERE d.id = next.id RETURNING next.after
), counted AS (
	INSERT INTO @counts (webhook, upstream, pending, delivered, dead)
	SELECT webhook, upstream, -count(*), count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2) FROM saved WHERE state <> 0 GROUP BY webhook, upstream
)
SELECT v.id, f.after IS NOT NULL FROM saved v LEFT JOIN freed f ON f.after = v.id`

// Save implements [delivery.Store].
func (s *Store) Save(ctx context.Context, d *delivery.Delivery) (unblocked bool, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	o, err := s.saving(d)
	if err != nil {
		return false, err
	}
	err = s.perform(ctx, o)
	return err == nil && o.unblocked, err
}

// saving prepares a Save.
func (s *Store) saving(d *delivery.Delivery) (*operation, error) {
	e, err := newEntry(d, s.sealing.current(), s.claims.sealedBy(d.ID))
	if err != nil {
		return nil, err
	}
	o := &operation{save: e, grant: s.claims.number(d.ID), bytes: e.size(), marks: []any{d.ID}}
	if e.chat != uuid.Nil && d.State != delivery.Pending {
		lock := s.chatLock(d.Lane, e.chat)
		o.locks, o.marks = append(o.locks, lock), append(o.marks, lock)
	}
	return o, nil
}

// queueSaves adds the statement that saves many deliveries.
func (s *Store) queueSaves(b *pgx.Batch, saves []*operation, instance uuid.UUID) {
	var c columns
	byID := make(map[uuid.UUID]*operation, len(saves))
	for _, o := range saves {
		c.add(0, o.save)
		byID[o.save.delivery.ID] = o
		o.err = delivery.ErrNotFound
	}
	b.Queue(s.sql(saveSQL), c.ids, c.states, c.due, c.received, c.expires, c.elapsed, c.tries, c.details, c.answers, c.keep, c.customers, c.transcripts, c.bodies, c.sealers,
		stamp(s.now()), idOf(instance),
	).Query(func(rows pgx.Rows) error {
		var id pgtype.UUID
		var unblocked bool
		_, err := pgx.ForEachRow(rows, []any{&id, &unblocked}, func() error {
			o := byID[id.Bytes]
			o.err, o.unblocked = nil, unblocked
			return nil
		})
		return err
	})
}

// saved sees to what follows from a Save.
func (s *Store) saved(o *operation, err error) {
	d := o.save.delivery
	switch {
	case errors.Is(err, delivery.ErrNotFound):
		s.claims.end(d.ID, o.grant)
		return
	case err != nil:
		return
	}
	s.claims.end(d.ID, o.grant)
	if d.State != delivery.Pending {
		s.pending.add(-1)
	}
	// What is due later is found by the poll before that.
	if o.unblocked || d.State == delivery.Pending && d.DueAt.Sub(s.now()) <= s.timing.poll {
		s.notify(d.Lane)
	}
}
