package delivery_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	lane  = delivery.Lane{Webhook: "support", Upstream: "zendesk"}
	other = delivery.Lane{Webhook: "support", Upstream: "slack"}
)

// rig is a dispatcher over a store in memory, with a lane whose upstream does
// as the test says. Its time is virtual.
type rig struct {
	*testing.T
	start    time.Time
	store    *store
	q        *delivery.Dispatcher
	upstream *upstream
	pop      func()
	logs     *observer.ObservedLogs
	keys     byte
}

// definition is the rig's, with a retry policy after which what failed is due
// a second later at the most.
func definition(target delivery.Target) delivery.Definition {
	return delivery.Definition{
		Target:      target,
		Concurrency: 16,
		Retry: delivery.RetryPolicy{
			InitialInterval: time.Second,
			Multiplier:      1,
			MaxInterval:     time.Second,
			MaxElapsed:      72 * time.Hour,
		},
	}
}

// run runs a test in virtual time. At its end the dispatcher is closed.
func run(t *testing.T, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, time.Now)
		t.Cleanup(func() { require.NoError(t, r.q.Close()) })
		test(r)
	})
}

func newRig(t *testing.T, now func() time.Time) *rig {
	core, logs := observer.New(zap.DebugLevel)
	s := &store{Store: memory.New(memory.Options{Now: now})}
	r := &rig{
		T:        t,
		start:    time.Now(),
		store:    s,
		q:        delivery.NewDispatcher(s, delivery.WithLogger(zap.New(core)), delivery.WithNow(now)),
		upstream: &upstream{reply: always(success)},
		logs:     logs,
	}
	r.define(definition(r.upstream))
	return r
}

// define replaces the definition of the rig's lane.
func (r *rig) define(d delivery.Definition) {
	pop := r.pop
	r.pop = r.q.Push(map[delivery.Lane]delivery.Definition{lane: d})
	synctest.Wait()
	if pop != nil {
		pop()
	}
	synctest.Wait()
}

// new returns a delivery with a key of its own and of no chat.
func (r *rig) new() *delivery.Delivery {
	r.keys++
	return &delivery.Delivery{
		ID:         uuid.Must(uuid.NewV7()),
		Lane:       lane,
		Key:        delivery.Key{r.keys},
		KeyExpires: time.Now().Add(1000 * time.Hour),
		Event:      "dialogue",
		ReceivedAt: time.Now(),
		Body:       []byte("body"),
		Customer:   []byte("customer"),
	}
}

func (r *rig) inChat(chat string) *delivery.Delivery {
	d := r.new()
	d.ChatID = chat
	return d
}

// again returns another delivery with the key of d.
func (r *rig) again(d *delivery.Delivery) *delivery.Delivery {
	repeated := r.new()
	repeated.Key, repeated.ChatID = d.Key, d.ChatID
	return repeated
}

// submit submits a webhook that is accepted.
func (r *rig) submit(wait time.Duration, deliveries ...*delivery.Delivery) delivery.Receipt {
	r.Helper()
	receipt, err := r.q.Submit(r.Context(), deliveries, wait)
	assert.NoError(r, err)
	return receipt
}

// submits takes in a webhook of one delivery, which is returned.
func (r *rig) submits(wait time.Duration) *delivery.Delivery {
	r.Helper()
	d := r.new()
	r.submit(wait, d)
	return d
}

// stored returns what the store has of a delivery.
func (r *rig) stored(d *delivery.Delivery) *delivery.Delivery {
	r.Helper()
	found, err := r.store.Store.Find(r.Context(), d.Key)
	require.NoError(r, err)
	i := slices.IndexFunc(found, func(f *delivery.Delivery) bool { return f.ID == d.ID })
	require.GreaterOrEqual(r, i, 0, "the delivery is stored")
	return found[i]
}

func (r *rig) is(state delivery.State, deliveries ...*delivery.Delivery) {
	r.Helper()
	for i, d := range deliveries {
		require.Equal(r, state, r.stored(d).State, "delivery %d", i)
	}
}

// passes lets time pass, and what happens then come to rest.
func (r *rig) passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// at lets time pass until so long after the start.
func (r *rig) at(since time.Duration) {
	r.Helper()
	require.LessOrEqual(r, r.now(), since)
	r.passes(since - r.now())
}

// now is the time since the start.
func (r *rig) now() time.Duration { return time.Since(r.start) }

// attempted requires the upstream to have been asked for these deliveries, in
// this order, since the last time.
func (r *rig) attempted(want ...*delivery.Delivery) {
	r.Helper()
	names := make(map[uuid.UUID]int)
	var wanted, seen []int
	for i, d := range want {
		if _, ok := names[d.ID]; !ok {
			names[d.ID] = i
		}
		wanted = append(wanted, names[d.ID])
	}
	for _, request := range r.upstream.take() {
		i, ok := names[request.id]
		if !ok {
			i = -1
		}
		seen = append(seen, i)
	}
	require.Equal(r, wanted, seen, "by their place among the wanted ones")
}

// upstream is a Target.
type upstream struct {
	// before happens before proceed, as the fetching of a transcript does; if
	// it returns an outcome, the attempt ends with that.
	before func(ctx context.Context, d *delivery.Delivery) *delivery.Outcome
	// reply is what comes of a request.
	reply reply

	mu       sync.Mutex
	requests []request
	in, most int
}

type reply func(ctx context.Context, d *delivery.Delivery) delivery.Outcome

type request struct {
	id uuid.UUID
	at time.Time
}

func (u *upstream) Attempt(ctx context.Context, d *delivery.Delivery, proceed func() error) delivery.Outcome {
	u.mu.Lock()
	before, reply := u.before, u.reply
	u.mu.Unlock()
	if before != nil {
		if o := before(ctx, d); o != nil {
			return *o
		}
	}
	if err := proceed(); err != nil {
		return delivery.Outcome{Stage: delivery.StageTicket, Err: err}
	}
	u.mu.Lock()
	u.requests = append(u.requests, request{d.ID, time.Now()})
	u.in++
	u.most = max(u.most, u.in)
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.in--
	}()
	return reply(ctx, d)
}

func (u *upstream) Answer(d *delivery.Delivery) []byte { return []byte("answer: " + d.State.String()) }

func (u *upstream) replies(r reply) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reply = r
}

func (u *upstream) fetches(before func(ctx context.Context, d *delivery.Delivery) *delivery.Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before = before
}

// take returns the requests since the last time.
func (u *upstream) take() []request {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.requests
	u.requests = nil
	return taken
}

// times returns when the requests were made since the last time.
func (u *upstream) times(since time.Time) (times []time.Duration) {
	for _, r := range u.take() {
		times = append(times, r.at.Sub(since))
	}
	return times
}

// What upstreams answer.
var (
	success      = delivery.Outcome{Verdict: delivery.Success, Stage: delivery.StageUpstream, Status: 201, Ticket: delivery.Ticket{ID: "4711", URL: "https://help.example.com/4711"}}
	unavailable  = delivery.Outcome{Verdict: delivery.Transient, Stage: delivery.StageUpstream, Status: 503, Err: errors.New("503 Service Unavailable"), Down: true}
	tooMany      = delivery.Outcome{Verdict: delivery.Transient, Stage: delivery.StageUpstream, Status: 429, Err: errors.New("429 Too Many Requests")}
	badRequest   = delivery.Outcome{Verdict: delivery.Permanent, Stage: delivery.StageUpstream, Status: 400, Err: errors.New("400 Bad Request")}
	unauthorized = delivery.Outcome{Verdict: delivery.Misconfigured, Stage: delivery.StageUpstream, Status: 401, Err: errors.New("401 Unauthorized")}
	forbidden    = delivery.Outcome{Verdict: delivery.Refused, Stage: delivery.StageUpstream, Status: 403, Err: errors.New("403 Forbidden")}
	noTranscript = delivery.Outcome{Verdict: delivery.Transient, Stage: delivery.StageTranscript, Status: 500, Err: errors.New("no transcript")}
)

// after returns an outcome with a Retry-After.
func after(d time.Duration, o delivery.Outcome) delivery.Outcome {
	o.RetryAfter = d
	return o
}

// held returns an outcome with a Retry-After for the whole lane.
func held(d time.Duration, o delivery.Outcome) delivery.Outcome {
	o.RetryAfter, o.HoldLane = d, true
	return o
}

func always(o delivery.Outcome) reply {
	return func(context.Context, *delivery.Delivery) delivery.Outcome { return o }
}

// slowly replies after some time, or when it is cut off.
func slowly(d time.Duration, o delivery.Outcome) reply {
	return func(ctx context.Context, _ *delivery.Delivery) delivery.Outcome {
		select {
		case <-time.After(d):
			return o
		case <-ctx.Done():
			return delivery.Outcome{Stage: delivery.StageUpstream, Err: context.Cause(ctx), Down: true, Unknown: true}
		}
	}
}

// inTurn replies with each outcome once, and with the last one from then on.
func inTurn(outcomes ...delivery.Outcome) reply {
	var mu sync.Mutex
	return func(context.Context, *delivery.Delivery) delivery.Outcome {
		mu.Lock()
		defer mu.Unlock()
		o := outcomes[0]
		if len(outcomes) > 1 {
			outcomes = outcomes[1:]
		}
		return o
	}
}

// only replies to one delivery in its own way.
func only(d *delivery.Delivery, its, others reply) reply {
	return func(ctx context.Context, got *delivery.Delivery) delivery.Outcome {
		if got.ID == d.ID {
			return its(ctx, got)
		}
		return others(ctx, got)
	}
}

// store is a Store that fails, or does something else first, as the test
// says. What it is told for a method happens before each of its calls.
type store struct {
	delivery.Store
	mu                                    sync.Mutex
	put, find, claim, save, revive, count func(context.Context) error
	puts                                  int
}

func (s *store) before(ctx context.Context, f *func(context.Context) error) error {
	s.mu.Lock()
	do := *f
	s.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(ctx)
}

// on sets what happens before the calls of a method.
func (s *store) on(method *func(context.Context) error, do func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*method = do
}

func (s *store) Put(ctx context.Context, deliveries []*delivery.Delivery) error {
	s.mu.Lock()
	s.puts++
	s.mu.Unlock()
	if err := s.before(ctx, &s.put); err != nil {
		return err
	}
	return s.Store.Put(ctx, deliveries)
}

func (s *store) Find(ctx context.Context, key delivery.Key) ([]*delivery.Delivery, error) {
	if err := s.before(ctx, &s.find); err != nil {
		return nil, err
	}
	return s.Store.Find(ctx, key)
}

func (s *store) Claim(ctx context.Context, l delivery.Lane, now time.Time, limit int) ([]*delivery.Delivery, time.Time, error) {
	if err := s.before(ctx, &s.claim); err != nil {
		return nil, time.Time{}, err
	}
	return s.Store.Claim(ctx, l, now, limit)
}

func (s *store) Save(ctx context.Context, d *delivery.Delivery) (bool, error) {
	if err := s.before(ctx, &s.save); err != nil {
		return false, err
	}
	return s.Store.Save(ctx, d)
}

func (s *store) Revive(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if err := s.before(ctx, &s.revive); err != nil {
		return nil, err
	}
	return s.Store.Revive(ctx, id)
}

func (s *store) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	if err := s.before(ctx, &s.count); err != nil {
		return nil, err
	}
	return s.Store.Count(ctx)
}

// sleep is a slow store's way.
func sleep(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fails is a broken store's way.
func fails(after time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		_ = sleep(after)(ctx)
		return errDisk
	}
}
