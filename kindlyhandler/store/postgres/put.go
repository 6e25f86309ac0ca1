package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// putSQL stores the deliveries of many webhooks, each of which is numbered. It
// gives the key to one webhook alone, also if two instances put it at the same
// moment: the row of a key can be inserted once, and taken over when it has
// expired or leads to nothing any more. No two of the webhooks have a key or a
// chat in common. Who is ahead is asked for in order only so that the index of
// that order is used, also while the table is empty and all indexes seem alike.
const putSQL = `
WITH d AS (
	SELECT * FROM unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::bool[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::int[],
		$10::uuid[], $11::bytea[], $12::timestamptz[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bytea[], $17::bytea[], $18::bytea[])
	WITH ORDINALITY AS t(put, id, webhook, upstream, wanted, due, received, elapsed, tries, chat, key, key_expires, sealer, details, answer, body, customer, transcript, n)
), ahead AS MATERIALIZED (
	SELECT d.n, d.put, (SELECT count(*) FROM (
		SELECT FROM @deliveries x WHERE x.webhook = d.webhook AND x.upstream = d.upstream AND x.chat = d.chat AND x.state = 0 AND NOT x.revived ORDER BY x.seq LIMIT $19
	) q) AS pending FROM d WHERE d.chat IS NOT NULL
), crowded AS MATERIALIZED (
	SELECT DISTINCT put FROM ahead WHERE pending >= $19
), taken AS (
	INSERT INTO @keys AS k (key, expires, ids)
	SELECT d.key, max(d.key_expires), array_agg(d.id ORDER BY d.n) FROM d
	WHERE d.key IS NOT NULL AND d.put NOT IN (SELECT put FROM crowded) GROUP BY d.key ORDER BY d.key
	ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, ids = excluded.ids, asked = false WHERE k.expires <= $20 OR k.ids = '{}'
	RETURNING k.key
), stored AS (
	INSERT INTO @deliveries (id, webhook, upstream, state, held, claim, due, received, elapsed, tries, chat, key, key_expires, sealer, details, answer, body, customer, transcript)
	SELECT d.id, d.webhook, d.upstream, 0, coalesce(a.pending > 0, false), CASE WHEN d.wanted AND coalesce(a.pending, 0) = 0 THEN $21::uuid END,
		d.due, d.received, d.elapsed, d.tries, d.chat, d.key, d.key_expires, d.sealer, d.details, d.answer, d.body, d.customer, d.transcript
	FROM d LEFT JOIN ahead a ON a.n = d.n
	WHERE d.put NOT IN (SELECT put FROM crowded) AND (d.key IS NULL OR d.key IN (SELECT key FROM taken))
	ORDER BY d.n
	RETURNING id, webhook, upstream, claim, held
), counted AS (
	INSERT INTO @counts (webhook, upstream, pending) SELECT webhook, upstream, count(*) FROM stored GROUP BY webhook, upstream
)
SELECT d.n, s.id IS NOT NULL, s.claim IS NOT NULL, coalesce(s.held, false),
	CASE WHEN c.put IS NULL THEN false ELSE (SELECT true FROM @keys k WHERE k.key = d.key AND k.expires > $20 AND k.ids <> '{}' LIMIT 1) IS NULL END
FROM d LEFT JOIN stored s ON s.id = d.id LEFT JOIN crowded c ON c.put = d.put`

// Put implements [delivery.Store].
func (s *Store) Put(ctx context.Context, deliveries []*delivery.Delivery) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if !s.pending.fits(len(deliveries), s.limits.Load().MaxPending) {
		return delivery.ErrFull
	}
	o, keys := &operation{}, s.sealing.current()
	for _, d := range deliveries {
		e, err := newEntry(d, keys, nil)
		if err != nil {
			return err
		}
		o.put = append(o.put, e)
		o.marks = append(o.marks, d.ID)
		o.bytes += e.size()
		if e.chat != uuid.Nil {
			lock := s.chatLock(d.Lane, e.chat)
			o.locks, o.marks = append(o.locks, lock), append(o.marks, lock)
		}
		if e.wanted {
			s.claims.add(d.ID, e.sealer)
		}
	}
	if key := deliveries[0].Key; key != (delivery.Key{}) {
		o.marks = append(o.marks, key)
	}
	if err := s.perform(ctx, o); err != nil {
		return err
	}
	for i, e := range o.put {
		deliveries[i].Claimed = e.claimed
	}
	return nil
}

// queuePuts adds the statement that stores the deliveries of many webhooks.
func (s *Store) queuePuts(b *pgx.Batch, puts []*operation, instance uuid.UUID) {
	var c columns
	var operations []*operation // of each row
	for i, o := range puts {
		for _, e := range o.put {
			c.add(i, e)
			operations = append(operations, o)
		}
	}
	b.Queue(s.sql(putSQL), c.numbers, c.ids, c.webhooks, c.upstreams, c.wanted, c.due, c.received, c.elapsed, c.tries,
		c.chats, c.keys, c.expires, c.sealers, c.details, c.answers, c.bodies, c.customers, c.transcripts,
		delivery.MaxPendingPerChat, stamp(s.now()), idOf(instance),
	).Query(func(rows pgx.Rows) error {
		var n int64
		var stored, claimed, held, crowded bool
		_, err := pgx.ForEachRow(rows, []any{&n, &stored, &claimed, &held, &crowded}, func() error {
			c.entries[n-1].claimed, c.entries[n-1].held = claimed, held
			switch {
			case stored:
			case crowded:
				operations[n-1].err = delivery.ErrChatFull
			default:
				operations[n-1].err = delivery.ErrDuplicate
			}
			return nil
		})
		return err
	})
}

// stored sees to what follows from a Put.
func (s *Store) stored(o *operation, err error) {
	for _, e := range o.put {
		if err != nil || !e.claimed {
			s.claims.remove(e.delivery.ID)
		} else {
			s.claims.add(e.delivery.ID, e.sealer) // which may have changed on the way
		}
		if err == nil && !e.claimed && !e.held {
			s.notify(e.delivery.Lane)
		}
	}
	if err == nil {
		s.pending.add(len(o.put))
	}
}

// pending is how many deliveries are, as far as this instance knows: what the
// whole fleet had at the latest beat, and what has become of that here since.
type pending struct {
	mu      sync.Mutex
	known   int
	changes int // here, since the start
}

func (p *pending) fits(n, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known+n <= most
}

func (p *pending) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known += n
	p.changes += n
}

func (p *pending) changed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes
}

// set takes over what the database counts, and adds what has changed here since
// it was asked: it may not have counted that.
func (p *pending) set(n, asked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = n + p.changes - asked
}

// claims are the deliveries that the callers have, or are about to have.
type claims struct {
	mu     sync.Mutex
	mine   map[uuid.UUID]grant
	grants int // ever made
	// stray: a call that claims has failed, and may have claimed nevertheless.
	stray bool
	// granting is held for reading while a call claims what it does not know yet.
	granting sync.RWMutex
}

// grant is what a caller has of a delivery: its number is never another's.
type grant struct {
	sealer seal.ID
	number int
}

func (c *claims) init() { c.mine = make(map[uuid.UUID]grant) }

func (c *claims) add(id uuid.UUID, sealer seal.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grants++
	c.mine[id] = grant{sealer, c.grants}
}

// number returns that of a grant, 0 if there is none.
func (c *claims) number(id uuid.UUID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mine[id].number
}

// newer tells whether there is a later grant.
func (c *claims) newer(id uuid.UUID, number int) bool { return c.number(id) > number }

// end removes a grant, unless there is a newer one.
func (c *claims) end(id uuid.UUID, number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mine[id].number == number {
		delete(c.mine, id)
	}
}

// sealedBy returns what says whether a delivery, if a caller has it, has a sealer.
func (c *claims) sealedBy(id uuid.UUID) func(sealer seal.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine, ok := c.mine[id]
	return func(other seal.ID) bool { return ok && other == mine.sealer }
}

func (c *claims) remove(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mine, id)
}

func (c *claims) has(id uuid.UUID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.mine[id]
	return ok
}

func (c *claims) all() []uuid.UUID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.mine))
}

// settled waits until the calls that claim at this moment have noted what they
// have claimed.
func (c *claims) settled() {
	c.granting.Lock()
	c.granting.Unlock() //nolint:staticcheck // it is a barrier
}

func (c *claims) suspect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stray = true
}

// suspected tells whether there may be stray claims, once.
func (c *claims) suspected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.stray
	c.stray = false
	return was
}
