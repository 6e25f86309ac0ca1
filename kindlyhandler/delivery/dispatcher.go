package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

// commitTimeout is how long a commit may take when nobody waits for the
// result of an attempt.
const commitTimeout = 5 * time.Second

// Dispatcher takes deliveries in, stores them, and attempts them until they
// are delivered or dead. It is safe for concurrent use.
type Dispatcher struct {
	store  Store
	log    *zap.Logger
	clock  clock
	losses *Losses

	// ctx is the context of every attempt; it ends when a shutdown has waited
	// long enough.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// saving is the context of every Save until then; it ends lastSave later.
	saving context.Context
	// running ends when a shutdown begins.
	running context.Context
	stop    context.CancelFunc

	// submitting has the webhooks under way by their key, so that identical
	// ones share one submission.
	submitting singleflight.Group
	prefetches prefetches
	spares     spares

	mu          sync.RWMutex
	lanes       map[Lane]*lane
	definitions []*pushed // the last one holds
	holding     *pushed
	stopped     bool
	closed      bool
	// refuseWhileStopping: see the option.
	refuseWhileStopping bool
	// shared: other processes work with the store, too.
	shared     bool
	membership membership
	requests   sync.WaitGroup
	attempts   sync.WaitGroup
	loops      sync.WaitGroup
}

type pushed struct{ lanes map[Lane]Definition }

// Option changes a [Dispatcher] from its defaults.
type Option func(*Dispatcher)

// WithLogger sets where the dispatcher logs; by default nowhere.
func WithLogger(log *zap.Logger) Option { return func(q *Dispatcher) { q.log = log } }

// WithNow sets the wall clock; by default [time.Now].
func WithNow(now func() time.Time) Option { return func(q *Dispatcher) { q.clock.wall = now } }

// RefuseWhileStopping makes Submit refuse what comes after [Dispatcher.Shutdown]
// has begun: a store that does not outlive the process would lose it.
func RefuseWhileStopping() Option { return func(q *Dispatcher) { q.refuseWhileStopping = true } }

// NewDispatcher returns a dispatcher of the deliveries in store. It delivers
// nothing until lanes are defined with Push. The caller ends it with Close,
// which closes the store.
func NewDispatcher(store Store, options ...Option) *Dispatcher {
	q := &Dispatcher{
		store: store,
		log:   zap.NewNop(),
		clock: clock{wall: time.Now},
		lanes: make(map[Lane]*lane),

		prefetches: newPrefetches(),
		spares:     spares{next: make(chan *attempt)},
		membership: alone,
	}
	for _, option := range options {
		option(q)
	}
	q.clock.follow()
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
	saving, end := context.WithCancel(context.Background())
	context.AfterFunc(q.ctx, func() { time.AfterFunc(lastSave, end) })
	q.saving = saving
	q.running, q.stop = context.WithCancel(q.ctx)
	if shared, ok := store.(Shared); ok {
		q.watch(shared)
	}
	return q
}

// now is the time by which deliveries are due, see [clock].
func (q *Dispatcher) now() time.Time { return q.clock.now() }

// Push makes the dispatcher deliver by the given definitions, in place of all
// pushed before: deliveries of a lane that they do not name wait until it is
// named again, and a lane that is known not to work is probed at once. The
// function takes them back; what was pushed last of the rest holds then.
func (q *Dispatcher) Push(lanes map[Lane]Definition) (pop func()) {
	p := &pushed{lanes: lanes}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.definitions = append(q.definitions, p)
	q.define()
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		for i, d := range q.definitions {
			if d == p {
				q.definitions = append(q.definitions[:i:i], q.definitions[i+1:]...)
				break
			}
		}
		q.define()
	})
}

// define applies the newest definitions, unless they hold already. q.mu is
// held.
func (q *Dispatcher) define() {
	last := &pushed{}
	if n := len(q.definitions); n > 0 {
		last = q.definitions[n-1]
	}
	if q.stopped || q.holding == last {
		return
	}
	q.holding = last
	newest, now := last.lanes, q.now()
	if len(q.lanes) == 0 && len(newest) > 0 {
		for range prefetchesAtOnce {
			q.loops.Go(q.prefetch)
		}
	}
	for name := range newest {
		if q.lanes[name] == nil {
			l := &lane{Lane: name, dispatcher: q, wake: make(chan struct{}, 1), health: health{since: now, shared: q.shared}}
			l.gate.freed = l.poke
			l.health.restart(now)
			q.lanes[name] = l
			q.loops.Go(l.run)
		}
	}
	for name, l := range q.lanes {
		definition, ok := newest[name]
		if !ok {
			l.definition.Store(nil)
			l.health.define(false, now)
			continue
		}
		l.definition.Store(&definition)
		l.health.reconfigured(now)
		l.health.define(true, now)
		l.configure(&definition, q.membership)
	}
}

// lane returns nil for a lane that was never defined.
func (q *Dispatcher) lane(name Lane) *lane {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.lanes[name]
}

// Receipt tells what became of a webhook.
type Receipt struct {
	// Delivery is the first of the webhook's deliveries. Unless it is
	// pending, its Answer is set.
	Delivery Delivery
	// Duplicate says that the webhook had been accepted before.
	Duplicate bool
}

// Submit commits the deliveries of one webhook, makes their first attempts,
// and waits for the first one's result, at most as long as given; it does not
// wait where an attempt is not worth it. A wait of 0 returns when the
// deliveries are committed. If ctx ends, the commit fails, or the wait is over.
// Attempts go on when Submit has returned.
//
// An identical webhook (the deliveries share one Key) gets the same receipt
// while the first one waits, and a receipt of the present state later; if its
// delivery is a dead letter, it is attempted anew.
//
// Submit sets when the deliveries are due and whether they are claimed; there
// is at least one, and no two are of one lane. An error means that nothing was
// accepted.
func (q *Dispatcher) Submit(ctx context.Context, deliveries []*Delivery, wait time.Duration) (Receipt, error) {
	if !q.enterRequest() {
		return Receipt{}, ErrClosed
	}
	defer q.requests.Done()

	key := deliveries[0].Key
	if key == (Key{}) {
		return q.submit(ctx, deliveries, wait)
	}
	mine := false
	v, err, _ := q.submitting.Do(string(key[:]), func() (any, error) {
		mine = true
		return q.submit(ctx, deliveries, wait)
	})
	receipt, _ := v.(Receipt)
	receipt.Duplicate = receipt.Duplicate || !mine
	if err == nil && receipt.Duplicate {
		q.losses.Add(deliveries[0].Lane, LossDuplicate, 1)
	}
	return receipt, err
}

func (q *Dispatcher) submit(ctx context.Context, deliveries []*Delivery, wait time.Duration) (Receipt, error) {
	now := q.now()
	deadline := now.Add(wait)
	ctx, cancel := context.WithTimeout(ctx, orElse(wait, commitTimeout))
	defer cancel()

	if receipt, err := q.repeated(ctx, deliveries[0].Key, deadline); err != nil || receipt.Duplicate {
		return receipt, err
	}

	firsts := make([]*attempt, len(deliveries)) // nil where there is none
	for i, d := range deliveries {
		d.DueAt, d.Claimed = now, false
		if a := q.first(d, deadline); a != nil {
			a.awaited = wait > 0
			a.committed = make(chan struct{})
			d.Claimed, a.delivery.Claimed = true, true
			firsts[i] = a
			q.start(a)
		}
	}

	err := q.store.Put(ctx, deliveries)
	for i, a := range firsts {
		switch {
		case a == nil:
		case err != nil:
			a.abandon(errNotCommitted)
		case !deliveries[i].Claimed:
			a.abandon(errHeld)
			firsts[i] = nil
		default:
			close(a.committed)
		}
	}
	if errors.Is(err, ErrDuplicate) { // at the same moment, by another process
		receipt, failed := q.repeated(ctx, deliveries[0].Key, deadline)
		if failed != nil || receipt.Duplicate {
			return receipt, failed
		}
	}
	if err != nil {
		return Receipt{}, err
	}
	for _, d := range deliveries {
		if l := q.lane(d.Lane); l != nil && !d.Claimed {
			l.poke()
			if !l.worthwhile() {
				q.prefetchLater(l, d.ID)
			}
		}
	}
	return q.await(ctx, firsts[0], *deliveries[0], deadline), nil
}

// first prepares a first attempt, nil if none is worth it now. The caller runs
// it.
func (q *Dispatcher) first(d *Delivery, deadline time.Time) *attempt {
	l := q.lane(d.Lane)
	if l == nil {
		return nil
	}
	definition := l.definition.Load()
	if definition == nil || l.barred.Load() || !l.worthwhile() {
		return nil
	}
	a := l.begin(d, definition)
	if a != nil {
		a.deadline = deadline
	}
	return a
}

// repeated returns a receipt with Duplicate set if the webhook has been
// accepted before.
func (q *Dispatcher) repeated(ctx context.Context, key Key, deadline time.Time) (Receipt, error) {
	if key == (Key{}) {
		return Receipt{}, nil
	}
	found, err := q.store.Find(ctx, key)
	if err != nil || len(found) == 0 {
		return Receipt{}, err
	}
	var first *attempt
	for i, d := range found {
		if d.State != Dead {
			continue
		}
		revived, err := q.store.Revive(ctx, d.ID)
		if errors.Is(err, ErrNotFound) { // revived or dropped since a moment
			return q.repeated(ctx, key, deadline)
		}
		if err != nil {
			return Receipt{}, err
		}
		revived.DueAt = q.now() // by our clock
		found[i] = revived
		if a := q.retry(*revived, deadline); i == 0 {
			first = a
		}
	}
	if first == nil && q.now().Before(deadline) {
		found[0] = q.elsewhere(ctx, found[0])
	}
	receipt := q.await(ctx, first, *found[0], deadline)
	receipt.Duplicate = true
	return receipt, nil
}

// retry attempts a delivery that was claimed by reviving it. It returns nil if
// that is not worth it now: the delivery is pending then.
func (q *Dispatcher) retry(d Delivery, deadline time.Time) *attempt {
	a := q.first(&d, deadline)
	if a == nil {
		q.requests.Go(func() { q.save(&d) }) // Close waits for it, Submit does not
		return nil
	}
	q.start(a)
	return a
}

// await waits for an attempt, if there is one, until the deadline, at which ctx
// ends.
func (q *Dispatcher) await(ctx context.Context, a *attempt, d Delivery, deadline time.Time) Receipt {
	if a == nil || !q.now().Before(deadline) {
		return Receipt{Delivery: d}
	}
	select {
	case <-a.done:
		return Receipt{Delivery: a.delivery}
	case <-ctx.Done():
		return Receipt{Delivery: d}
	}
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
