package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

const (
	// committers is how many transactions of puts and saves are under way at
	// once. Each takes what waits: while the database flushes for one, the next
	// one's is prepared.
	committers = 3
	// maxBatch and maxBatchBytes bound a transaction. Each of its chats is a lock
	// in a table of the server, that has room for 64 for each connection.
	maxBatch      = 60
	maxBatchBytes = 8 << 20
)

// operation is a Put or a Save that waits for its transaction.
type operation struct {
	put  []*entry
	save *entry
	// grant is the number of the claim that the Save ends.
	grant int

	// marks are what no two operations under way have in common: chats, keys,
	// ids. A statement sees nothing of what it does itself.
	marks []any
	locks []int64
	bytes int
	tries int

	// The result, which is the caller's when done is closed.
	err       error
	unblocked bool
	done      chan struct{}

	// Guarded by the queue. gone: nobody waits any more.
	queued, finished, gone bool
}

// entry is a delivery as it is stored.
type entry struct {
	delivery *delivery.Delivery // nobody changes it
	chat     uuid.UUID
	sealer   seal.ID // of details and content
	details  []byte
	content  content
	// bodied: the body that is there is sealed so already, and not in content.
	bodied  func(sealer seal.ID) bool
	wanted  bool // the claim
	claimed bool // granted
	held    bool // behind an older one of its chat
}

func newEntry(d *delivery.Delivery, keys *seal.Keys, bodied func(sealer seal.ID) bool) (*entry, error) {
	if !nameable(d.Lane) {
		return nil, errName
	}
	kept := *d
	kept.Memo = nil
	e := &entry{delivery: &kept, chat: chatOf(d.ChatID), wanted: d.Claimed, bodied: bodied}
	return e, e.encode(keys)
}

// encode makes what is stored of the delivery with keys.
func (e *entry) encode(keys *seal.Keys) (err error) {
	d := e.delivery
	if e.details, err = encodeDetails(d, keys); err != nil {
		return err
	}
	e.sealer = keys.Sealer()
	e.content = content{
		customer:   sealed(d.Customer, keys, d.ID, kindCustomer),
		transcript: sealed(d.Transcript, keys, d.ID, kindTranscript),
		answer:     sealed(d.Answer, keys, d.ID, kindAnswer),
	}
	if e.bodied == nil || !e.bodied(e.sealer) {
		e.content.body = sealed(d.Body, keys, d.ID, kindBody)
	}
	return nil
}

func (e *entry) size() int {
	return len(e.details) + len(e.content.body) + len(e.content.customer) + len(e.content.transcript) + len(e.content.answer)
}

// queue has the operations that wait for a transaction.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting []*operation
	busy    map[any]struct{} // marks of what is under way
	closed  bool
}

func (q *queue) init() {
	q.changed = sync.NewCond(&q.mu)
	q.busy = make(map[any]struct{})
}

// put is false when the queue is closed.
func (q *queue) put(o *operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	o.queued = true
	q.waiting = append(q.waiting, o)
	q.changed.Signal()
	return true
}

// take waits for operations that have nothing in common with each other or with
// what is under way. It returns none when the queue is closed and empty.
func (q *queue) take() []*operation {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if batch := q.pick(); len(batch) > 0 {
			if len(q.waiting) > 0 {
				q.changed.Signal()
			}
			return batch
		}
		if q.closed && len(q.waiting) == 0 {
			return nil
		}
		q.changed.Wait()
	}
}

func (q *queue) pick() (batch []*operation) {
	bytes, chats := 0, 0
	left := q.waiting[:0]
	for i, o := range q.waiting {
		if len(batch) > 0 && (chats+len(o.locks) > maxBatch || len(batch) == maxBatch || bytes+o.bytes > maxBatchBytes) {
			left = append(left, q.waiting[i:]...)
			break
		}
		if slices.ContainsFunc(o.marks, func(mark any) bool { _, busy := q.busy[mark]; return busy }) {
			left = append(left, o)
			continue
		}
		for _, mark := range o.marks {
			q.busy[mark] = struct{}{}
		}
		o.queued = false
		bytes, chats = bytes+o.bytes, chats+len(o.locks)
		batch = append(batch, o)
	}
	clear(q.waiting[len(left):]) // and keep none of their bodies
	q.waiting = left
	return batch
}

// release lets others have what a batch had in common with them.
func (q *queue) release(batch []*operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range batch {
		for _, mark := range o.marks {
			delete(q.busy, mark)
		}
	}
	q.changed.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}

// finish gives an operation its result. It tells whether the caller thinks that
// it has failed, though it has not.
func (q *queue) finish(o *operation, err error) (unwanted bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !o.finished {
		o.finished, o.err = true, err
		close(o.done)
	}
	return err == nil && o.gone
}

// giveUp says that nobody waits for an operation any more. It is not ok if that
// has a result; never says that it is not begun and will not be.
func (q *queue) giveUp(o *operation) (never, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o.finished {
		return false, false
	}
	o.gone = true
	if never = o.queued; never {
		o.queued, o.finished = false, true
		q.waiting = slices.DeleteFunc(q.waiting, func(other *operation) bool { return other == o })
		close(o.done)
	}
	return never, true
}

// isGone tells whether nobody waits for an operation.
func (q *queue) isGone(o *operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return o.gone
}

// perform has an operation done in a transaction, and waits for that. If ctx
// ends first, it fails; a put is taken back then, if it is too late to leave it.
func (s *Store) perform(ctx context.Context, o *operation) error {
	o.done = make(chan struct{})
	if !s.queue.put(o) {
		return delivery.ErrClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
	}
	if o.save != nil { // it cannot be taken back
		select {
		case <-o.done:
			return o.err
		case <-time.After(time.Second):
		}
	}
	if never, ok := s.queue.giveUp(o); ok {
		if never && o.put != nil {
			s.stored(o, ctx.Err())
		}
		return ctx.Err()
	}
	<-o.done
	return o.err
}
