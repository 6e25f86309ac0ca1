package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Hurried makes what takes its time happen soon.
func Hurried(o Options) Options {
	o.timing = timing{beat: 50 * time.Millisecond, lease: 600 * time.Millisecond, poll: 200 * time.Millisecond, sweep: time.Hour}
	return o
}

// WithPoll sets how often a store looks for what nobody has told it.
func WithPoll(o Options, poll time.Duration) Options {
	o.timing.poll = poll
	return o
}

// WithLease sets after what silence an instance is taken for dead.
func WithLease(o Options, lease time.Duration) Options {
	o.timing.lease = lease
	return o
}

// WithCall sets how long calls may take, and how long they wait for an outcome.
func WithCall(o Options, call, patience time.Duration) Options {
	o.timing.call, o.timing.patience = call, patience
	return o
}

// Instance is who the store is in the fleet.
func (s *Store) Instance() uuid.UUID { return s.identity.id() }

// Sweep removes what is past its time, and warns of the dead letters.
func (s *Store) Sweep(ctx context.Context) { s.sweepOnce(ctx, time.Time{}) }

// Suspect has claims looked for that no caller knows of.
func (s *Store) Suspect() { s.claims.suspect() }

// Forget makes the store forget that a caller has a delivery.
func (s *Store) Forget(id uuid.UUID) { s.claims.remove(id) }

// Mine counts the deliveries that callers have.
func (s *Store) Mine() int {
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	return len(s.claims.mine)
}

// TakeBack removes a webhook that was stored too late for its caller.
func (s *Store) TakeBack(deliveries ...*delivery.Delivery) error {
	o := &operation{}
	for _, d := range deliveries {
		e, err := newEntry(d, nil, nil)
		if err != nil {
			return err
		}
		o.put = append(o.put, e)
	}
	return s.revoke(o)
}

// Unresolved prepares a Save of which it will not be known whether it was
// committed, and returns what finds that out.
func (s *Store) Unresolved(d *delivery.Delivery) (resolve func(), err error) {
	o, err := s.saving(d)
	if err != nil {
		return nil, err
	}
	o.done = make(chan struct{})
	instance := s.identity.id()
	return func() { s.resolve([]*operation{o}, instance, 1) }, nil
}

// LockOf is the number of a chat's lock.
func (s *Store) LockOf(lane delivery.Lane, chat string) int64 { return s.chatLock(lane, chatOf(chat)) }

// Setting returns a setting of the store's sessions.
func (s *Store) Setting(ctx context.Context, name string) (value string) {
	_ = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value
}

// Plan returns how the database does a statement in a session of the store.
func (s *Store) Plan(ctx context.Context, name string) (string, error) {
	text := s.sql(Statements[name])
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer c.Release()
	parameters := 0
	for parameters < 30 && strings.Contains(text, fmt.Sprintf("$%d", parameters+1)) {
		parameters++
	}
	execute := "EXECUTE planned"
	if parameters > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", parameters-1) + ")"
	}
	if _, err := c.Exec(ctx, "PREPARE planned AS "+text, pgx.QueryExecModeSimpleProtocol); err != nil {
		return "", err
	}
	defer c.Exec(ctx, "DEALLOCATE planned", pgx.QueryExecModeSimpleProtocol)
	rows, err := c.Query(ctx, "EXPLAIN "+execute, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}

// Statements are those that must not read a whole table.
var Statements = map[string]string{
	"put": putSQL, "save": saveSQL, "look": lookSQL, "fence": fenceSQL, "fenced": fencedSQL, "hold key": holdKeySQL, "hold": holdSQL, "claim": claimSQL, "next": nextSQL, "take": takeSQL, "revive": reviveSQL, "state": stateSQL,
	"find": findSQL, "get": getSQL, "list": listSQL, "list of a chat": listChatSQL, "count": countSQL, "drop": dropSQL, "place": placeSQL, "places": placesSQL,
	"orphans": orphansSQL, "held": heldSQL, "release": releaseSQL, "reclaim": reclaimSQL, "unclaim": unclaimSQL, "expire": expireSQL, "expire keys": expireKeysSQL, "warn": warnSQL,
	"sealers": sealersSQL, "bury": burySQL, "known": knownSQL, "queued": queuedSQL,
}
