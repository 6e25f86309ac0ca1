package bolt

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

const (
	// sweepInterval is how often the store looks for what is past its time.
	sweepInterval = time.Minute
	// sweepChunk and maxSweeping bound what one transaction removes, so that
	// webhooks do not wait long for it.
	sweepChunk  = 200
	maxSweeping = 5 * time.Millisecond
	// deadWarning is how long before its end a dead letter is warned about.
	deadWarning = 24 * time.Hour
)

// sweep is the goroutine that removes what is past its time.
func (s *Store) sweep() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	var warned int64 = never
	for {
		if s.usable(s.ctx) == nil {
			warned = s.sweepOnce(s.ctx, warned)
		}
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// sweepOnce removes what is past its time, and warns of the dead letters that
// soon will be. It returns until which of them it has warned.
func (s *Store) sweepOnce(ctx context.Context, warned int64) int64 {
	now, limits := s.now(), s.limits.Load()
	s.mu.Lock()
	s.index.keys.forget(nanos(now))
	s.mu.Unlock()
	_, err := s.expire(ctx, delivered, now.Add(-limits.Retention))
	gone, failed := s.expire(ctx, dead, now.Add(-limits.DeadRetention))
	if gone > 0 {
		s.log.Warn("dead letters are past their retention and gone: these tickets were never delivered", zap.Int("dead_letters", gone))
	}
	err = errors.Join(err, failed, s.forgetSpilled(ctx, nanos(now)), s.forgetSealers(ctx), s.removeAsides(now.Add(-limits.DeadRetention)))
	if err != nil && s.ctx.Err() == nil {
		s.log.Error("cannot remove all that is past its time; it is tried again", zap.Error(err))
	}
	return s.warn(now.Add(deadWarning-limits.DeadRetention), warned)
}

// expire removes what was settled before a time, and returns how many that
// were. What still makes duplicates stays until it does not.
func (s *Store) expire(ctx context.Context, t table, before time.Time) (total int, err error) {
	for more := true; more; {
		n, expired := 0, make(map[delivery.Lane]int)
		err := s.perform(ctx, operation{do: func(w *writer) error {
			n, more = 0, false
			clear(expired)
			b := w.bucket(t)
			if b == nil {
				return nil
			}
			var keys, ids [][]byte
			c := b.Cursor()
			for key, id := c.First(); key != nil && timeOfKey(key) < nanos(before); key, id = c.Next() {
				if more = len(keys) == sweepChunk; more {
					break
				}
				keys, ids = append(keys, bytes.Clone(key)), append(ids, bytes.Clone(id))
			}
			until := time.Now().Add(maxSweeping)
			for i, id := range ids {
				if i > 0 && time.Now().After(until) {
					more = true
					break
				}
				if lane, ok := s.expireOne(w, t, keys[i], id, before); ok {
					expired[lane]++
					n++
				}
			}
			return w.fault
		}})
		if err != nil {
			return total, err
		}
		if t == dead {
			for lane, n := range expired {
				s.losses.Add(lane, delivery.LossExpired, n)
			}
		}
		total += n
	}
	return total, nil
}

func (s *Store) expireOne(w *writer, t table, key, b []byte, before time.Time) (lane delivery.Lane, removed bool) {
	id, err := idOf(b)
	r, ok := w.record(id)
	if err != nil || !ok || r.settled != timeOfKey(key) || settled(r.state) != t {
		w.delete(t, key) // leads nowhere: damage can do that
		return lane, false
	}
	if now := nanos(s.now()); r.keyExpires > now && r.keyHead != 0 {
		unplace(w, &r)
		// As if settled so late that it is past its time when the key is.
		r.settled = timeOf(r.keyExpires).Add(before.Sub(s.now())).UnixNano() + 1
		w.put(t, timeKey(r.settled, r.sequence), id[:])
		w.write(id, &r)
		return lane, false
	}
	s.remove(w, id, &r)
	return r.lane, true
}

// warn tells of the dead letters settled before a time, each of them once.
func (s *Store) warn(before time.Time, warned int64) int64 {
	until := nanos(before)
	n := 0
	var oldest uuid.UUID
	err := s.each(dead, func(_ *bbolt.Tx, key, id []byte) error {
		at := timeOfKey(key)
		if at >= until {
			return errEnough
		}
		if at >= warned {
			if n++; n == 1 && len(id) == idSize {
				oldest = uuid.UUID(id)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return warned
	}
	if n > 0 {
		s.log.Warn("dead letters will be gone within a day: retry them, or they are lost",
			zap.Int("dead_letters", n), zap.Stringer("oldest", oldest))
	}
	return max(until, warned)
}

var errEnough = errors.New("enough was read")
