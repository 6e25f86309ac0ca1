// Package memory keeps deliveries in the process's memory: they survive a
// reload of the configuration, but not the process.
package memory

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Options of a [Store]. Zero values mean the defaults.
type Options struct {
	// Retention is how long delivered deliveries are kept, DeadRetention the
	// same of dead letters; both default to one hour. While its key makes
	// duplicates, a delivery is kept anyhow.
	Retention, DeadRetention time.Duration
	// MaxPending bounds the pending deliveries; default 1,000,000.
	MaxPending int
	// MaxBytes bounds what pending deliveries hold of webhooks and
	// transcripts, and again what dead letters hold; default 256 MiB. At the
	// first bound new webhooks are refused, at the second the oldest settled
	// deliveries are forgotten.
	MaxBytes int64
	// MaxSettled bounds the delivered and dead ones (some 700 bytes each);
	// beyond it the oldest are forgotten before their time. Default 250,000.
	MaxSettled int
	// Now is the clock; default [time.Now].
	Now func() time.Time
}

// Store is a [delivery.Store] in memory.
type Store struct {
	options Options

	mu      sync.Mutex
	closed  bool
	byID    map[uuid.UUID]*record
	byKey   map[delivery.Key][]*record
	ids     index
	lanes   map[delivery.Lane]*lane
	settled expiries
	pending int
	bytes   int64 // of pending records
	kept    int64 // of settled records
	puts    uint64
}

// Limits are those options that can be changed while the store is in use.
type Limits struct {
	Retention, DeadRetention time.Duration
	MaxPending               int
}

func (o *Options) limit(l Limits) {
	o.Retention = cmp.Or(l.Retention, time.Hour)
	o.DeadRetention = cmp.Or(l.DeadRetention, time.Hour)
	o.MaxPending = cmp.Or(l.MaxPending, 1_000_000)
}

// record is a delivery with what the store needs to find and order it.
type record struct {
	delivery.Delivery
	number  uint64 // of its Put
	settled time.Time
	expires time.Time
	revived bool // out of its chat's order
	index   int  // in the heap that it is in: due or settled
	age     int  // in the heap of the pending ones
}

func (r *record) size() int64 { return int64(len(r.Body) + len(r.Transcript) + len(r.ChatID)) }

// lane has the pending deliveries of one lane: in due those that can be
// claimed, in chats the queue of each chat, whose head is either due or
// claimed, in ages all of them.
type lane struct {
	due    dues
	chats  map[string][]*record
	ages   ages
	counts [3]int // by state
}

// held tells whether an older delivery of its chat is pending.
func (l *lane) held(r *record) bool {
	return r.ChatID != "" && !r.revived && l.chats[r.ChatID][0] != r
}

// New returns an empty store.
func New(options Options) *Store {
	options.limit(Limits{options.Retention, options.DeadRetention, options.MaxPending})
	options.MaxBytes = cmp.Or(options.MaxBytes, 256<<20)
	options.MaxSettled = cmp.Or(options.MaxSettled, 250_000)
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Store{
		options: options,
		byID:    make(map[uuid.UUID]*record),
		byKey:   make(map[delivery.Key][]*record),
		lanes:   make(map[delivery.Lane]*lane),
	}
}

var _ delivery.Store = (*Store)(nil)

// Put implements [delivery.Store].
func (s *Store) Put(ctx context.Context, deliveries []*delivery.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	now := s.options.Now()
	s.expire(now)
	if err := s.room(deliveries, now); err != nil {
		return err
	}
	for _, d := range deliveries {
		s.puts++
		r := &record{Delivery: *d, number: s.puts}
		r.Memo, r.State = nil, delivery.Pending
		s.byID[r.ID] = r
		s.ids.add(r.ID)
		if r.Key != (delivery.Key{}) {
			s.byKey[r.Key] = append(s.byKey[r.Key], r)
		}
		s.enqueue(r)
		d.Claimed = r.Claimed
	}
	return nil
}

// room tells whether the deliveries can be stored.
func (s *Store) room(deliveries []*delivery.Delivery, now time.Time) error {
	var bytes int64
	for _, d := range deliveries {
		if d.Key != (delivery.Key{}) && len(s.live(d.Key, now)) > 0 {
			return delivery.ErrDuplicate
		}
		if l := s.lanes[d.Lane]; l != nil && d.ChatID != "" && len(l.chats[d.ChatID]) >= delivery.MaxPendingPerChat {
			return delivery.ErrFull
		}
		bytes += (&record{Delivery: *d}).size()
	}
	if s.pending+len(deliveries) > s.options.MaxPending || s.bytes+bytes > s.options.MaxBytes {
		return delivery.ErrFull
	}
	return nil
}

// enqueue enters a pending record into its lane, and into due unless it is
// claimed or held back.
func (s *Store) enqueue(r *record) {
	s.pending++
	s.bytes += r.size()
	l := s.lanes[r.Lane]
	if l == nil {
		l = &lane{chats: make(map[string][]*record)}
		s.lanes[r.Lane] = l
	}
	l.counts[delivery.Pending]++
	heap.Push(&l.ages, r)
	if r.ChatID != "" {
		queue := l.chats[r.ChatID]
		l.chats[r.ChatID] = append(queue, r)
		if len(queue) > 0 {
			r.Claimed = false
			return
		}
	}
	if !r.Claimed {
		heap.Push(&l.due, r)
	}
}

// Find implements [delivery.Store].
func (s *Store) Find(ctx context.Context, key delivery.Key) ([]*delivery.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var found []*delivery.Delivery
	for _, r := range s.live(key, s.options.Now()) {
		found = append(found, r.copy())
	}
	return found, nil
}

// live returns the records that make a webhook with key a duplicate.
func (s *Store) live(key delivery.Key, now time.Time) []*record {
	records := s.byKey[key]
	for i, r := range records { // in the order of their Put
		if r.KeyExpires.After(now) {
			return records[i:]
		}
	}
	return nil
}

func (r *record) copy() *delivery.Delivery {
	d := r.Delivery
	return &d
}

// Claim implements [delivery.Store].
func (s *Store) Claim(ctx context.Context, name delivery.Lane, now time.Time, limit int) ([]*delivery.Delivery, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, time.Time{}, err
	}
	s.expire(s.options.Now())
	l := s.lanes[name]
	if l == nil {
		return nil, time.Time{}, nil
	}
	var claimed []*delivery.Delivery
	for len(l.due) > 0 && len(claimed) < limit && !l.due[0].DueAt.After(now) {
		r := heap.Pop(&l.due).(*record)
		r.Claimed = true
		claimed = append(claimed, r.copy())
	}
	if len(l.due) == 0 {
		return claimed, time.Time{}, nil
	}
	return claimed, l.due[0].DueAt, nil
}

// Save implements [delivery.Store].
func (s *Store) Save(ctx context.Context, d *delivery.Delivery) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	r := s.byID[d.ID]
	if r == nil || !r.Claimed {
		return false, delivery.ErrNotFound
	}
	s.bytes -= r.size()
	r.Delivery = *d
	r.Memo, r.Claimed = nil, false
	l := s.lanes[r.Lane]
	if r.State == delivery.Pending {
		if s.bytes+r.size() > s.options.MaxBytes {
			r.Transcript = nil // it can be fetched again
		}
		s.bytes += r.size()
		heap.Push(&l.due, r)
		return false, nil
	}
	s.settle(l, r)
	return s.dequeue(l, r), nil
}

// dequeue takes a record that is no longer pending out of its lane and its
// chat's queue, and tells whether the next one of the chat became due by that.
func (s *Store) dequeue(l *lane, r *record) bool {
	s.pending--
	l.counts[delivery.Pending]--
	heap.Remove(&l.ages, r.age)
	if r.ChatID == "" || r.revived {
		return false
	}
	queue := l.chats[r.ChatID]
	place := slices.Index(queue, r)
	queue = slices.Delete(queue, place, place+1)
	if len(queue) == 0 {
		delete(l.chats, r.ChatID)
		return false
	}
	l.chats[r.ChatID] = queue
	if place > 0 {
		return false
	}
	heap.Push(&l.due, queue[0])
	return true
}

// settle starts the time for which a record is kept.
func (s *Store) settle(l *lane, r *record) {
	l.counts[r.State]++
	r.settled = s.options.Now()
	r.expires = s.expiry(r)
	heap.Push(&s.settled, r)
	s.kept += r.size()
}

// expiry is when a settled record is forgotten.
func (s *Store) expiry(r *record) time.Time {
	retention := s.options.Retention
	if r.State == delivery.Dead {
		retention = s.options.DeadRetention
	}
	at := r.settled.Add(retention)
	if r.KeyExpires.After(at) {
		return r.KeyExpires
	}
	return at
}

// SetLimits changes the limits from now on; zero values mean the defaults.
func (s *Store) SetLimits(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.limit(l)
	for _, r := range s.settled {
		r.expires = s.expiry(r)
	}
	heap.Init(&s.settled)
}

// Revive implements [delivery.Store].
func (s *Store) Revive(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	r := s.byID[id]
	if r == nil || r.State != delivery.Dead {
		return nil, delivery.ErrNotFound
	}
	s.unsettle(r)
	s.bytes += r.size()
	r.State, r.Claimed, r.revived, r.Answer = delivery.Pending, true, true, nil
	r.DueAt, r.Elapsed = s.options.Now(), 0
	s.pending++
	l := s.lanes[r.Lane]
	l.counts[delivery.Pending]++
	heap.Push(&l.ages, r)
	return r.copy(), nil
}

// unsettle takes a record from those that are delivered or dead.
func (s *Store) unsettle(r *record) {
	heap.Remove(&s.settled, r.index)
	s.kept -= r.size()
	s.lanes[r.Lane].counts[r.State]--
}

// Take implements [delivery.Store].
func (s *Store) Take(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	r := s.byID[id]
	if r == nil || r.State != delivery.Pending {
		return nil, delivery.ErrNotFound
	}
	l := s.lanes[r.Lane]
	if r.Claimed || l.held(r) {
		return nil, delivery.ErrBusy
	}
	heap.Remove(&l.due, r.index)
	r.Claimed = true
	return r.copy(), nil
}

// Drop implements [delivery.Store].
func (s *Store) Drop(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	r := s.byID[id]
	if r == nil {
		return nil, delivery.ErrNotFound
	}
	s.drop(r)
	return r.summary(), nil
}

// Erase implements [delivery.Store].
func (s *Store) Erase(ctx context.Context, chatID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil || chatID == "" {
		return 0, err
	}
	erased := 0
	for _, r := range s.byID {
		if r.ChatID == chatID {
			s.drop(r)
			erased++
		}
	}
	return erased, nil
}

// drop removes a record in whatever state.
func (s *Store) drop(r *record) {
	defer s.forget(r)
	if r.State != delivery.Pending {
		s.unsettle(r)
		return
	}
	l := s.lanes[r.Lane]
	if !r.Claimed && !l.held(r) {
		heap.Remove(&l.due, r.index)
	}
	s.bytes -= r.size()
	s.dequeue(l, r)
}

// Close implements [delivery.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.byID, s.byKey, s.ids, s.lanes, s.settled = nil, nil, nil, nil, nil
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return delivery.ErrClosed
	}
	return ctx.Err()
}

// expire forgets settled records whose time has passed, and others when they
// are too many.
func (s *Store) expire(now time.Time) {
	for len(s.settled) > 0 && (!s.settled[0].expires.After(now) ||
		len(s.settled) > s.options.MaxSettled || s.kept > s.options.MaxBytes) {
		r := s.settled[0]
		s.unsettle(r)
		s.forget(r)
	}
}

// forget makes a record one that was never put.
func (s *Store) forget(r *record) {
	delete(s.byID, r.ID)
	s.ids.removed(s.byID)
	siblings := s.byKey[r.Key]
	siblings = slices.DeleteFunc(siblings, func(o *record) bool { return o == r })
	if len(siblings) == 0 {
		delete(s.byKey, r.Key)
	} else {
		s.byKey[r.Key] = siblings
	}
}
