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
	// MaxSettled bounds the delivered and dead ones (some 400 bytes each, and
	// what a dead letter keeps); beyond it the oldest are forgotten before
	// their time. Default 250,000.
	MaxSettled int
	// Now is the clock; default [time.Now].
	Now func() time.Time
	// Losses counts the dead letters that are forgotten; default nothing.
	Losses *delivery.Losses
}

// Store is a [delivery.Store] in memory.
type Store struct {
	options Options

	mu        sync.Mutex
	closed    bool
	byID      map[uuid.UUID]*record // pending and dead
	delivered *archive
	// byKey has the youngest of the deliveries with a key; each of them names
	// the one before it.
	byKey   map[delivery.Key]uuid.UUID
	ids     index
	lanes   map[delivery.Lane]*lane
	settled expiries // dead
	pending int
	bytes   int64 // of pending records
	kept    int64 // of settled records
	puts    uint64
}

// Limits are those options that can be changed while the store is in use.
type Limits = delivery.Limits

func (o *Options) limit(l Limits) {
	l = l.Or(Limits{Retention: time.Hour, DeadRetention: time.Hour, MaxPending: 1_000_000})
	o.Retention, o.DeadRetention, o.MaxPending = l.Retention, l.DeadRetention, l.MaxPending
}

// record is a delivery with what the store needs to find and order it.
type record struct {
	delivery.Delivery
	number  uint64    // of its Put
	older   uuid.UUID // see [Store.byKey]
	settled time.Time
	expires time.Time
	revived bool // out of its chat's order
	index   int  // in the heap that it is in: due or settled
	age     int  // in the heap of the pending ones
}

func (r *record) size() int64 {
	return int64(len(r.Body) + len(r.Customer) + len(r.Transcript) + len(r.ChatID) + len(r.Trace))
}

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
	options.limit(Limits{Retention: options.Retention, DeadRetention: options.DeadRetention, MaxPending: options.MaxPending})
	options.MaxBytes = cmp.Or(options.MaxBytes, 256<<20)
	options.MaxSettled = cmp.Or(options.MaxSettled, 250_000)
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Store{
		options:   options,
		byID:      make(map[uuid.UUID]*record),
		delivered: newArchive(),
		byKey:     make(map[delivery.Key]uuid.UUID),
		lanes:     make(map[delivery.Lane]*lane),
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
		r := s.add(d)
		r.State = delivery.Pending
		s.linkYoungest(r)
		s.enqueue(r)
		d.Claimed = r.Claimed
	}
	return nil
}

// add makes a record of a delivery that is not there.
func (s *Store) add(d *delivery.Delivery) *record {
	s.puts++
	r := &record{Delivery: *d, number: s.puts}
	r.Memo = nil
	s.byID[r.ID] = r
	s.ids.add(r.ID)
	return r
}

// linkYoungest makes a record the youngest of those with its key.
func (s *Store) linkYoungest(r *record) {
	if r.Key != (delivery.Key{}) {
		r.older = s.byKey[r.Key]
		s.byKey[r.Key] = r.ID
	}
}

// room tells whether the deliveries can be stored.
func (s *Store) room(deliveries []*delivery.Delivery, now time.Time) error {
	var bytes int64
	for _, d := range deliveries {
		if d.Key != (delivery.Key{}) && len(s.live(d.Key, now)) > 0 {
			return delivery.ErrDuplicate
		}
		if l := s.lanes[d.Lane]; l != nil && d.ChatID != "" && len(l.chats[d.ChatID]) >= delivery.MaxPendingPerChat {
			return delivery.ErrChatFull
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
	l := s.lane(r.Lane)
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

// lane returns a lane, also one that has had no deliveries.
func (s *Store) lane(name delivery.Lane) *lane {
	l := s.lanes[name]
	if l == nil {
		l = &lane{chats: make(map[string][]*record)}
		s.lanes[name] = l
	}
	return l
}

// Find implements [delivery.Store].
func (s *Store) Find(ctx context.Context, key delivery.Key) ([]*delivery.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var found []*delivery.Delivery
	for _, id := range s.live(key, s.options.Now()) {
		found = append(found, s.get(id))
	}
	return found, nil
}

// live returns the deliveries that make a webhook with key a duplicate, in the
// order of their Put.
func (s *Store) live(key delivery.Key, now time.Time) []uuid.UUID {
	var ids []uuid.UUID
	live := 0
	for id := s.byKey[key]; id != uuid.Nil; {
		ids = append(ids, id)
		older, expires := s.link(id)
		if expires.After(now) {
			live = len(ids)
		}
		id = older
	}
	ids = ids[:live]
	slices.Reverse(ids)
	return ids
}

// link returns what a delivery with a key is known by.
func (s *Store) link(id uuid.UUID) (older uuid.UUID, keyExpires time.Time) {
	if r := s.byID[id]; r != nil {
		return r.older, r.KeyExpires
	}
	e := s.delivered.entries[id]
	return e.older, timeOf(e.keyExpires)
}

// get returns a copy of a delivery, nil if there is none.
func (s *Store) get(id uuid.UUID) *delivery.Delivery {
	if r := s.byID[id]; r != nil {
		return r.copy()
	}
	return s.delivered.get(id)
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
	key, expires := r.Key, r.KeyExpires // which never change
	r.Delivery = *d
	r.Key, r.KeyExpires, r.Memo, r.Claimed = key, expires, nil, false
	l := s.lanes[r.Lane]
	if r.State == delivery.Pending {
		if s.bytes+r.size() > s.options.MaxBytes {
			r.Transcript = nil // it can be fetched again
		}
		s.bytes += r.size()
		heap.Push(&l.due, r)
		return false, nil
	}
	s.settle(l, r, s.options.Now())
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
func (s *Store) settle(l *lane, r *record, at time.Time) {
	l.counts[r.State]++
	r.settled = at
	r.expires = s.expiry(r)
	if r.State == delivery.Delivered {
		delete(s.byID, r.ID)
		s.delivered.add(&r.Delivery, r.older, r.expires)
		return
	}
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
// What is delivered already is kept as long as it was to be.
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

// unsettle takes a record from those that are dead.
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
	d := s.get(id)
	if d == nil {
		return nil, delivery.ErrNotFound
	}
	s.drop(id)
	return summary(d), nil
}

// Erase implements [delivery.Store].
func (s *Store) Erase(ctx context.Context, chatID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil || chatID == "" {
		return 0, err
	}
	var erased []uuid.UUID
	for id, r := range s.byID {
		if r.ChatID == chatID {
			erased = append(erased, id)
		}
	}
	for id, e := range s.delivered.entries {
		if string(s.delivered.chat(e)) == chatID {
			erased = append(erased, id)
		}
	}
	for _, id := range erased {
		s.drop(id)
	}
	return len(erased), nil
}

// drop removes a delivery in whatever state.
func (s *Store) drop(id uuid.UUID) {
	r := s.byID[id]
	switch {
	case r == nil:
		s.forgetDelivered(id)
		return
	case r.State == delivery.Dead:
		s.unsettle(r)
	default:
		l := s.lanes[r.Lane]
		if !r.Claimed && !l.held(r) {
			heap.Remove(&l.due, r.index)
		}
		s.bytes -= r.size()
		s.dequeue(l, r)
	}
	s.forget(r)
}

// Close implements [delivery.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.byID, s.delivered, s.byKey, s.ids, s.lanes, s.settled = nil, nil, nil, nil, nil, nil
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return delivery.ErrClosed
	}
	return ctx.Err()
}

// expire forgets settled deliveries whose time has passed, and others when they
// are too many.
func (s *Store) expire(now time.Time) {
	for {
		tooMany := len(s.settled)+len(s.delivered.entries) > s.options.MaxSettled
		id, expires, ok := s.delivered.first()
		if ok && (!expires.After(now) || tooMany && (len(s.settled) == 0 || expires.Before(s.settled[0].expires))) {
			s.forgetDelivered(id)
			continue
		}
		if len(s.settled) == 0 || s.settled[0].expires.After(now) && !tooMany && s.kept <= s.options.MaxBytes {
			return
		}
		r := s.settled[0]
		s.unsettle(r)
		s.forget(r)
	}
}

// forget makes a record one that was never put.
func (s *Store) forget(r *record) {
	s.unlink(r.Key, r.ID)
	delete(s.byID, r.ID)
	s.tidyIndex()
}

// forgetDelivered makes a delivery of the archive one that was never put.
func (s *Store) forgetDelivered(id uuid.UUID) {
	a := s.delivered
	e := a.entries[id]
	s.lanes[a.lanes[e.lane]].counts[delivery.Delivered]--
	s.unlink(packedKey(a.packed(e)), id)
	a.remove(id)
	s.tidyIndex()
}

// unlink takes a delivery from those with its key.
func (s *Store) unlink(key delivery.Key, id uuid.UUID) {
	older, _ := s.link(id)
	younger := s.byKey[key]
	switch {
	case younger == uuid.Nil:
		return // it has no key
	case younger == id && older == uuid.Nil:
		delete(s.byKey, key)
		return
	case younger == id:
		s.byKey[key] = older
		return
	}
	for {
		next, _ := s.link(younger)
		if next == id {
			break
		}
		younger = next
	}
	s.setOlder(younger, older)
}

// setOlder makes a delivery follow another one of the same key.
func (s *Store) setOlder(id, older uuid.UUID) {
	if r := s.byID[id]; r != nil {
		r.older = older
		return
	}
	e := s.delivered.entries[id]
	e.older = older
	s.delivered.entries[id] = e
}

// tidyIndex drops the ids of deliveries that are gone when they are the most.
func (s *Store) tidyIndex() {
	if len(s.ids) > 2*(len(s.byID)+len(s.delivered.entries))+1000 {
		s.ids = slices.DeleteFunc(s.ids, func(id uuid.UUID) bool {
			_, delivered := s.delivered.entries[id]
			return s.byID[id] == nil && !delivered
		})
	}
}
