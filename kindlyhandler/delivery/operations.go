package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Get returns a delivery with all that is kept of it, or fails with
// ErrNotFound.
func (q *Dispatcher) Get(ctx context.Context, id uuid.UUID) (*Delivery, error) {
	d, err := q.store.Get(ctx, id)
	if err == nil {
		d.DueAt = q.clock.shown(d.DueAt)
	}
	return d, err
}

// List returns a page of deliveries, the newest first, as [Store.List] does.
func (q *Dispatcher) List(ctx context.Context, query Query) (Page, error) {
	page, err := q.store.List(ctx, query)
	for _, d := range page.Deliveries {
		d.DueAt = q.clock.shown(d.DueAt)
	}
	return page, err
}

// Count counts the deliveries of each lane that has any.
func (q *Dispatcher) Count(ctx context.Context) (map[Lane]Counts, error) {
	return q.store.Count(ctx)
}

// Preview returns what the next attempt of a pending or dead delivery would
// send, nil if that is not known: its lane is not defined, or its [Target]
// would have to ask somebody first.
func (q *Dispatcher) Preview(d *Delivery) []byte {
	l := q.lane(d.Lane)
	if l == nil || d.State == Delivered {
		return nil
	}
	definition := l.definition.Load()
	if definition == nil {
		return nil
	}
	previewer, ok := definition.Target.(Previewer)
	if !ok {
		return nil
	}
	of := *d
	return previewer.Preview(&of)
}

// Retry attempts a pending delivery or a dead letter at once, in the
// background, whatever a Retry-After, the breaker or a pause, also one by
// hand, say: the operator knows better, and its result tells as much as a
// probe's. If its lane is not defined, or the dispatcher stops meanwhile, the
// delivery is pending, and due.
//
// It fails with ErrNotFound if there is no delivery to retry, and with ErrBusy
// if that is being attempted, or waits for an earlier one of its chat.
func (q *Dispatcher) Retry(ctx context.Context, id uuid.UUID) error {
	if !q.enterRequest() {
		return ErrClosed
	}
	defer q.requests.Done()
	due := q.now()
	d, err := q.store.Revive(ctx, id)
	if errors.Is(err, ErrNotFound) {
		if d, err = q.store.Take(ctx, id); err == nil {
			due = earlier(due, d.DueAt) // what counts of it goes on counting
		}
	}
	if err != nil {
		return err
	}
	q.log.Info("delivery retried by hand", zap.Stringer("delivery", d.ID), zap.String("webhook", d.Lane.Webhook),
		zap.String("upstream", d.Lane.Upstream))
	d.DueAt = due
	if l := q.lane(d.Lane); l != nil && l.force(d) {
		return nil
	}
	q.release(d)
	return nil
}

// force makes an attempt of a claimed delivery now, unless the lane is not
// defined or the dispatcher stops.
func (l *lane) force(d *Delivery) bool {
	definition := l.definition.Load()
	if definition == nil {
		return false
	}
	a := l.begin(d, definition)
	if a == nil {
		return false
	}
	a.forced, a.probe, a.deadline = true, l.health.force(), l.dispatcher.now().Add(forcedPatience)
	go func() {
		a.run()
		l.poke() // it may have been the probe that the lane waited for
	}()
	return true
}

// forcedPatience is how long a retry by hand waits for its turn before it
// becomes one as all others.
const forcedPatience = time.Minute

// release gives back a claimed delivery, without waiting for that.
func (q *Dispatcher) release(d *Delivery) {
	q.requests.Go(func() { q.save(d) })
}

const (
	// retryPage is how many deliveries RetryAll lists at once,
	// retryConcurrency how many of them it changes at once: a store that
	// commits several changes together is much quicker that way.
	retryPage        = 256
	retryConcurrency = 64
)

// RetryAll makes all pending deliveries and dead letters that the query asks
// for due now, and lets their lanes attempt them as they attempt everything
// else; a lane that is known not to work is probed at once. The query's Limit
// has no meaning. It returns how many deliveries that were, also if it fails
// before the last one: those that are due already, or being attempted, do not
// count.
func (q *Dispatcher) RetryAll(ctx context.Context, query Query) (int, error) {
	if !q.enterRequest() {
		return 0, ErrClosed
	}
	defer q.requests.Done()
	if len(query.States) == 0 {
		query.States = []State{Pending, Dead}
	}
	query.Limit = retryPage
	probed := make(map[Lane]bool)
	total := 0
	for {
		page, err := q.store.List(ctx, query)
		if err != nil {
			return total, err
		}
		n, err := q.makeDue(ctx, page.Deliveries)
		total += n
		for _, d := range page.Deliveries {
			if l := q.lane(d.Lane); l != nil && !probed[d.Lane] {
				probed[d.Lane] = true
				l.health.probeNow(q.now())
				l.poke()
			}
		}
		if err != nil || page.Before == uuid.Nil {
			return total, err
		}
		query.Before = page.Before
	}
}

// makeDue makes deliveries due now, and returns how many were not.
func (q *Dispatcher) makeDue(ctx context.Context, deliveries []*Delivery) (int, error) {
	var made atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(retryConcurrency)
	for _, listed := range deliveries {
		if listed.State == Pending && (listed.Claimed || !listed.DueAt.After(q.now())) {
			continue
		}
		group.Go(func() error {
			if q.ending() {
				return ErrClosed
			}
			d, err := q.claim(ctx, listed)
			if err != nil || d == nil {
				return err
			}
			d.DueAt = q.now()
			made.Add(1)
			q.save(d)
			return nil
		})
	}
	err := group.Wait()
	return int(made.Load()), err
}

// claim claims a listed delivery to retry it, nil if it has changed since or
// cannot be read.
func (q *Dispatcher) claim(ctx context.Context, listed *Delivery) (d *Delivery, err error) {
	switch listed.State {
	case Dead:
		d, err = q.store.Revive(ctx, listed.ID)
	case Pending:
		d, err = q.store.Take(ctx, listed.ID)
	default:
		return nil, nil
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrBusy) || errors.Is(err, ErrUnreadable) {
		return nil, nil
	}
	return d, err
}

// Drop removes a delivery in whatever state, and returns it without Body,
// Customer and Transcript, or fails with ErrNotFound. An attempt that is under
// way is not called back.
func (q *Dispatcher) Drop(ctx context.Context, id uuid.UUID) (*Delivery, error) {
	d, err := q.store.Drop(ctx, id)
	if err != nil {
		return nil, err
	}
	q.log.Info("delivery dropped by hand", zap.Stringer("delivery", d.ID), zap.String("webhook", d.Lane.Webhook),
		zap.String("upstream", d.Lane.Upstream), zap.Stringer("state", d.State))
	if d.State != Delivered {
		q.losses.Add(d.Lane, LossDropped, 1)
	}
	if l := q.lane(d.Lane); l != nil {
		l.health.unblock(q.now())
		l.poke() // the next one of the chat may go
	}
	return d, nil
}

// Erase drops all deliveries of a chat, and returns how many there were.
// Attempts that are under way are not called back.
func (q *Dispatcher) Erase(ctx context.Context, chatID string) (int, error) {
	undelivered := q.undelivered(ctx, chatID)
	n, err := q.store.Erase(ctx, chatID)
	if err == nil {
		for lane, n := range undelivered {
			q.losses.Add(lane, LossErased, n)
		}
	}
	q.mu.RLock()
	for _, l := range q.lanes {
		l.poke() // one that came meanwhile may have waited for one that is gone
	}
	q.mu.RUnlock()
	if n > 0 { // which chat is what was to be forgotten
		q.log.Info("deliveries of a chat erased", zap.Int("deliveries", n))
	}
	return n, err
}

// undelivered counts the deliveries of a chat that are no tickets yet.
func (q *Dispatcher) undelivered(ctx context.Context, chatID string) map[Lane]int {
	n := make(map[Lane]int)
	query := Query{ChatID: chatID, States: []State{Pending, Dead}, Limit: retryPage}
	for chatID != "" {
		page, err := q.store.List(ctx, query)
		if err != nil {
			break
		}
		for _, d := range page.Deliveries {
			n[d.Lane]++
		}
		if query.Before = page.Before; query.Before == uuid.Nil {
			break
		}
	}
	return n
}
