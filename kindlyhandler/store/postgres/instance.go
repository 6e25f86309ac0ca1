package postgres

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// timing says how often an instance tells that it is alive, after what silence
// it is taken for dead, how often it looks for what nobody has told it, how
// often what is past its time is looked for, how long a call of the database may
// take, connecting included, for a dead peer answers nothing, and how long a
// caller waits for a call whose outcome is not known.
type timing struct{ beat, lease, poll, sweep, call, patience time.Duration }

const beatInterval = 2 * time.Second

func (t timing) orDefaults() timing {
	return timing{
		beat:     cmp.Or(t.beat, beatInterval),
		lease:    cmp.Or(t.lease, 15*time.Second),
		poll:     cmp.Or(t.poll, 5*time.Second),
		sweep:    cmp.Or(t.sweep, 10*time.Second),
		call:     cmp.Or(t.call, 10*time.Second),
		patience: cmp.Or(t.patience, 5*time.Second),
	}
}

// The times of instances are the server's: their own clocks may differ.
const (
	registerSQL = `INSERT INTO @instances (id, started, sealer, seen) VALUES ($1, clock_timestamp(), $2, clock_timestamp())`
	beatSQL     = `UPDATE @instances SET seen = clock_timestamp(), sealer = $2 WHERE id = $1`
	membersSQL  = `SELECT id FROM @instances WHERE seen > clock_timestamp() - make_interval(secs => $1) ORDER BY id`
	othersSQL   = `SELECT count(*) FROM @instances WHERE id IS DISTINCT FROM $1 AND seen > clock_timestamp() - make_interval(secs => $2)`
	totalSQL    = `SELECT coalesce(sum(pending), 0)::bigint FROM @counts`
	reapSQL     = `DELETE FROM @instances WHERE seen <= clock_timestamp() - make_interval(secs => $1) RETURNING id`
	leaveSQL    = `DELETE FROM @instances WHERE id = $1`
	// orphansSQL frees what is claimed by an instance that is not there any more,
	// also if it has claimed after it was taken for dead.
	orphansSQL = `
UPDATE @deliveries SET claim = NULL WHERE id IN (
	SELECT d.id FROM @deliveries d WHERE d.claim IS NOT NULL AND NOT EXISTS (SELECT FROM @instances i WHERE i.id = d.claim) FOR UPDATE SKIP LOCKED
) RETURNING webhook, upstream`
	heldSQL    = `SELECT id FROM @deliveries WHERE claim = $1`
	releaseSQL = `UPDATE @deliveries SET claim = NULL WHERE id = ANY($1) AND claim = $2 RETURNING webhook, upstream`
	// reclaimSQL claims for an instance that was taken for dead what it had, unless
	// that is another's by now: its callers are at it still.
	reclaimSQL = `UPDATE @deliveries SET claim = $1 WHERE id = ANY($2) AND state = 0 AND NOT held AND (claim IS NULL OR claim = $3)`
	unclaimSQL = `UPDATE @deliveries SET claim = NULL WHERE claim = $1`
)

// identity is who this instance is in the fleet.
type identity struct {
	mu         sync.Mutex
	current    uuid.UUID // Nil before it has entered
	registered time.Time
	// sound is since when it has beaten without a failure for as long as a lease.
	sound time.Time
	last  time.Time // beat
	// silence is for how long it had not beaten before sound: nor had others,
	// maybe, who come back later.
	silence time.Duration
	// members is how many there are, place its own among them; 0 members: it is
	// not known yet.
	place, members int
}

func (i *identity) id() uuid.UUID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.current
}

// alone tells whether nobody else is in the fleet, as far as is known.
func (i *identity) alone() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.members == 1
}

// enter registers the instance, unless it is registered still.
func (s *Store) enter(ctx context.Context, c *pgx.Conn) error {
	sealer := s.sealing.current().Sealer()
	was := s.identity.id()
	if was != uuid.Nil {
		tag, err := c.Exec(ctx, s.sql(beatSQL), idOf(was), sealerArgument(sealer))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 1 {
			s.identity.revived(s.timing.lease)
			return s.total(ctx, c)
		}
		s.log.Warn("this instance was taken for dead, for it could not reach the database for some time: what it was delivering may be delivered by others, too", zap.Stringer("instance", was))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	var b pgx.Batch
	b.Queue(s.sql(registerSQL), idOf(id), sealerArgument(sealer))
	if mine := s.claims.all(); len(mine) > 0 {
		b.Queue(s.sql(reclaimSQL), idOf(id), idsOf(mine), idOf(was))
	}
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	now := time.Now()
	s.identity.mu.Lock()
	s.identity.current, s.identity.registered, s.identity.last, s.identity.sound, s.identity.silence = id, now, now, now, 0
	s.identity.mu.Unlock()
	return s.total(ctx, c)
}

func (s *Store) total(ctx context.Context, c *pgx.Conn) error {
	var n int
	asked := s.pending.changed()
	err := c.QueryRow(ctx, s.sql(totalSQL)).Scan(&n)
	if err == nil {
		s.pending.set(n, asked)
	}
	return err
}

// beaten notes that the database has heard of this instance.
func (i *identity) beaten(lease time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.last) >= lease/2 { // nor has it heard of others, maybe
		i.resume(lease)
	}
	i.last = time.Now()
}

// revived notes the same after the database was away.
func (i *identity) revived(lease time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.resume(lease)
	i.last = time.Now()
}

// resume notes that nothing was heard since the last beat. The mutex is held.
func (i *identity) resume(lease time.Duration) {
	now := time.Now()
	if now.Sub(i.sound) >= lease {
		i.silence = 0
	}
	i.silence += now.Sub(i.last)
	i.sound = now
}

// mayReap tells whether silence of others is theirs: after the database was
// away nobody has been heard of, and nobody is dead. Others are members for so
// long, if they were before: patience is after what silence they are not.
func (i *identity) mayReap(lease time.Duration) (reap bool, patience time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.sound) >= lease {
		return true, lease
	}
	return false, lease + i.silence
}

// beat tells the others that this instance is alive, and learns who else is.
func (s *Store) beat() {
	id := s.identity.id()
	var alive int64
	var members []uuid.UUID
	var total int
	var dead int64
	asked := s.pending.changed()
	reap, patience := s.identity.mayReap(s.timing.lease)
	lease := s.timing.lease.Seconds()
	ctx, cancel := context.WithTimeout(s.ctx, max(s.timing.lease/3, time.Second))
	defer cancel()
	err := s.callAtOnce(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		members = nil
		var b pgx.Batch
		b.Queue(s.sql(beatSQL), idOf(id), sealerArgument(s.sealing.current().Sealer())).Exec(counter(&alive))
		if reap {
			b.Queue(s.sql(reapSQL), lease).Exec(counter(&dead))
		}
		b.Queue(s.sql(membersSQL), patience.Seconds()).Query(func(rows pgx.Rows) error {
			var member pgtype.UUID
			_, err := pgx.ForEachRow(rows, []any{&member}, func() error {
				members = append(members, member.Bytes)
				return nil
			})
			return err
		})
		b.Queue(s.sql(totalSQL)).QueryRow(func(row pgx.Row) error { return row.Scan(&total) })
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		_ = s.blame(s.ctx, err)
		return
	}
	s.identity.beaten(s.timing.lease)
	s.pending.set(total, asked)
	if alive == 0 {
		s.reenter()
		return
	}
	if dead > 0 {
		s.log.Warn("another instance has gone without a word: what it was delivering is delivered by the others", zap.Int64("instances", dead))
		s.freeOrphans()
	}
	s.meet(members)
}

// Others counts the other instances that are alive: who delivers what this one
// leaves.
func (s *Store) Others(ctx context.Context) (n int, err error) {
	err = s.ask(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, s.sql(othersSQL), idOf(s.identity.id()), s.timing.lease.Seconds()).Scan(&n)
	})
	return n, err
}

func counter(n *int64) func(commandTag) error {
	return func(tag commandTag) error {
		*n = tag.RowsAffected()
		return nil
	}
}

// reenter registers an instance anew that was taken for dead.
func (s *Store) reenter() {
	err := s.call(s.ctx, func(ctx context.Context, c *pgxpool.Conn) error { return s.enter(ctx, c.Conn()) })
	if err != nil {
		_ = s.blame(s.ctx, err)
	}
	s.changedAll()
}

// meet tells how many the instances are. A newcomer counts itself when the
// others do: their shares of a rate must not be more than the whole.
func (s *Store) meet(members []uuid.UUID) {
	i := &s.identity
	i.mu.Lock()
	place := slices.Index(members, i.current)
	known := place >= 0 && time.Since(i.registered) >= s.timing.beat
	news := known && (place != i.place || len(members) != i.members)
	if news {
		i.place, i.members = place, len(members)
	}
	i.mu.Unlock()
	if w := s.watch.get(); w != nil && w.Members != nil && news {
		w.Members(place, len(members))
	}
}

// freeOrphans frees what nobody has that is there.
func (s *Store) freeOrphans() {
	s.free(orphansSQL)
}

// releaseStrays frees what this instance has claimed without any caller that
// knows of it: the connection was lost when it was to be told. What is late may
// still be on its way, so that it is looked for again and again; only if there
// is a suspicion, calls that claim have to wait for it.
func (s *Store) releaseStrays(suspected bool) {
	if suspected {
		s.claims.granting.Lock()
	} else if !s.claims.granting.TryLock() {
		return
	}
	defer s.claims.granting.Unlock()
	id := s.identity.id()
	var stray []pgtype.UUID
	err := s.call(s.ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		stray = nil
		rows, err := c.Query(ctx, s.sql(heldSQL), idOf(id))
		if err != nil {
			return err
		}
		var held pgtype.UUID
		_, err = pgx.ForEachRow(rows, []any{&held}, func() error {
			if !s.claims.has(held.Bytes) {
				stray = append(stray, held)
			}
			return nil
		})
		return err
	})
	if err != nil {
		s.claims.suspect()
		_ = s.blame(s.ctx, err)
		return
	}
	if len(stray) > 0 && !s.free(releaseSQL, stray, idOf(id)) {
		s.claims.suspect()
	}
}

// free frees claims, and tells everybody.
func (s *Store) free(sql string, arguments ...any) (ok bool) {
	freed := make(map[delivery.Lane]bool)
	err := s.call(s.ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		clear(freed)
		rows, err := c.Query(ctx, s.sql(sql), arguments...)
		if err != nil {
			return err
		}
		var lane delivery.Lane
		_, err = pgx.ForEachRow(rows, []any{&lane.Webhook, &lane.Upstream}, func() error {
			freed[lane] = true
			return nil
		})
		return err
	})
	if err != nil {
		_ = s.blame(s.ctx, err)
		return false
	}
	for lane := range freed {
		s.changed(lane)
		s.notify(lane)
	}
	return true
}

// leave ends all claims and the instance's part in the fleet.
func (s *Store) leave() {
	id := s.identity.id()
	if id == uuid.Nil || s.health.err() != nil || s.working.Err() != nil {
		return // the others find out
	}
	err := s.call(s.working, func(ctx context.Context, c *pgxpool.Conn) error {
		var b pgx.Batch
		b.Queue(s.sql(unclaimSQL), idOf(id))
		b.Queue(s.sql(leaveSQL), idOf(id))
		if !s.identity.alone() {
			b.Queue(notifySQL, s.names.Load().channel, []string{notice(id, delivery.Lane{})})
		}
		return c.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		s.log.Warn("the database was not told that this instance ends: the others find out, and deliver what it had, when its lease is over", zap.Error(explain(err)))
	}
}
