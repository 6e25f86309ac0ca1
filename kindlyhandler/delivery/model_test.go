package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// Whatever happens in whatever order, an accepted delivery is in the end
// delivered or dead, unless it was dropped, and delivered twice only if an
// attempt's outcome was unknown. Nothing is sent that is not stored, no delivery
// by two at once, and those of a chat in their order.
func TestPromise(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := story{
			steps:   rapid.SliceOfN(rapid.Custom(drawStep), 1, 40).Draw(rt, "steps"),
			replies: rapid.SliceOfN(rapid.SampledFrom(replies), 0, 60).Draw(rt, "replies"),
			faults:  rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 0, 100).Draw(rt, "faults"),
			elapsed: rapid.SampledFrom([]time.Duration{2 * time.Second, 72 * time.Hour}).Draw(rt, "max elapsed"),
		}
		// What goes wrong is told outside: rapid cannot end a test within.
		synctest.Test(t, func(t *testing.T) { s.run(t.Context()) })
		for _, wrong := range s.wrong {
			rt.Error(wrong)
		}
	})
}

type step struct {
	Do          string
	Chat        string        // submit, import
	Lanes       int           // submit, import, push, pause, resume: a set of bits
	Wait        time.Duration // submit, repeat, restart
	Of          int           // repeat, restart: which webhook; pop: which definition; retry, drop: which delivery
	Time        time.Duration // pass; restart: the grace period
	Concurrency int           // push
	Rate        int           // push: attempts per second; 0: no limit
	Clock       time.Duration // set clock: how far it is ahead then
}

var modelLanes = []delivery.Lane{lane, other}

func drawStep(t *rapid.T) step {
	return step{
		Do: rapid.SampledFrom([]string{
			"submit", "submit", "submit", "submit", "repeat", "repeat", "pass", "pass", "pass", "push", "pop", "restart",
			"set clock", "import", "retry", "retry", "retry all", "drop", "erase", "pause", "resume",
		}).Draw(t, "do"),
		Chat:        rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "chat"),
		Lanes:       rapid.IntRange(1, 3).Draw(t, "lanes"),
		Wait:        rapid.SampledFrom(seconds(0, 1, 5)).Draw(t, "wait"),
		Of:          rapid.IntRange(0, 5).Draw(t, "of"),
		Time:        rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 4 * time.Second, time.Minute, 10 * time.Minute}).Draw(t, "time"),
		Concurrency: rapid.IntRange(1, 3).Draw(t, "concurrency"),
		Rate:        rapid.SampledFrom([]int{0, 0, 1, 10}).Draw(t, "rate"),
		Clock:       rapid.SampledFrom([]time.Duration{0, time.Hour, -time.Hour, -100 * time.Hour}).Draw(t, "clock"),
	}
}

// What an upstream does with a request.
var replies = []string{
	"take", "take", "take", "take slowly", "take and say nothing", "lose", "be down", "be down", "be down",
	"refuse for good", "refuse", "refuse", "refuse us", "ask to wait", "ask all to wait", "panic", "have no transcript",
}

// story is one run of the model.
type story struct {
	steps   []step
	replies []string
	faults  []bool
	elapsed time.Duration

	clock    wallClock
	mu       sync.Mutex
	store    *memory.Store
	put      []*delivery.Delivery // as committed, in this order
	revived  map[uuid.UUID]bool
	dropped  map[uuid.UUID]bool
	tickets  map[uuid.UUID]int // in the help desk
	unknown  map[uuid.UUID]int // attempts after which nobody knew
	unsaved  map[uuid.UUID]bool
	sending  map[uuid.UUID]bool
	webhooks [][]*delivery.Delivery
	q        *delivery.Dispatcher
	pops     []func()
	wrong    []string
}

func (s *story) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *story) run(ctx context.Context) {
	s.store = memory.New(memory.Options{})
	s.revived, s.dropped, s.tickets = make(map[uuid.UUID]bool), make(map[uuid.UUID]bool), make(map[uuid.UUID]int)
	s.unknown, s.unsaved, s.sending = make(map[uuid.UUID]int), make(map[uuid.UUID]bool), make(map[uuid.UUID]bool)
	s.start()
	for _, step := range s.steps {
		switch step.Do {
		case "submit":
			s.webhooks = append(s.webhooks, s.webhook(step, byte(len(s.webhooks)+1)))
			go s.submit(ctx, s.q, s.webhooks[len(s.webhooks)-1], step.Wait)
		case "repeat":
			s.repeat(ctx, step)
		case "import":
			s.webhooks = append(s.webhooks, s.webhook(step, byte(len(s.webhooks)+1)))
			s.imports(ctx, s.webhooks[len(s.webhooks)-1])
		case "pass":
			time.Sleep(step.Time)
		case "push":
			s.push(step.Lanes, step.Concurrency, step.Rate)
		case "pop":
			if n := len(s.pops); n > 0 {
				s.pops[step.Of%n]()
			}
		case "set clock":
			s.clock.set(step.Clock)
		case "restart":
			s.stop(ctx, step)
			s.start()
		default:
			s.operate(ctx, step)
		}
	}
	s.heal()
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	s.check()
	s.stop(ctx, step{})
}

func (s *story) start() {
	s.q, s.pops = delivery.NewDispatcher((*recorder)(s), delivery.WithNow(s.clock.now)), nil
	s.push(3, 2, 0)
}

func (s *story) push(lanes, concurrency, rate int) {
	definitions := make(map[delivery.Lane]delivery.Definition)
	for i, lane := range modelLanes {
		if lanes&(1<<i) != 0 {
			d := definition((*helpDesk)(s))
			d.Concurrency, d.Retry.MaxElapsed = concurrency, s.elapsed
			if rate > 0 {
				d.Rate = delivery.Rate{Attempts: rate, Per: time.Second}
			}
			definitions[lane] = d
		}
	}
	s.pops = append(s.pops, s.q.Push(definitions))
}

// stop stops the dispatcher, which must leave nothing claimed but what it could
// not save. Such claims end with the store, and what came of the attempt is
// forgotten.
func (s *story) stop(ctx context.Context, step step) {
	grace, cancel := context.WithTimeout(ctx, step.Time)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		s.q.Shutdown(grace)
		close(stopped)
	}()
	s.repeat(ctx, step)
	<-stopped
	s.repeat(ctx, step)
	synctest.Wait()
	if err := s.q.Close(); err != nil {
		s.fail("closing: %v", err)
	}
	synctest.Wait()
	for _, d := range s.all() {
		if !d.Claimed {
			continue
		}
		if !s.unsaved[d.ID] {
			s.fail("%s is claimed after a shutdown", d.ID)
		}
		s.unknown[d.ID]++
		if _, err := s.store.Save(ctx, d); err != nil {
			s.fail("ending a claim: %v", err)
		}
	}
}

// operate does what an operator can.
func (s *story) operate(ctx context.Context, step step) {
	var err error
	switch step.Do {
	case "retry":
		if d := s.some(step.Of); d != nil {
			err = s.q.Retry(ctx, d.ID)
		}
	case "retry all":
		_, err = s.q.RetryAll(ctx, delivery.Query{ChatID: step.Chat})
	case "drop":
		if d := s.some(step.Of); d != nil {
			_, err = s.q.Drop(ctx, d.ID)
		}
	case "erase":
		_, err = s.q.Erase(ctx, step.Chat)
	case "pause", "resume":
		for i, lane := range modelLanes {
			if step.Lanes&(1<<i) == 0 {
				continue
			}
			if step.Do == "pause" {
				err = errors.Join(err, s.q.Pause(lane))
			} else {
				err = errors.Join(err, s.q.Resume(lane))
			}
		}
	}
	if err != nil && !errors.Is(err, delivery.ErrNotFound) && !errors.Is(err, delivery.ErrBusy) && !errors.Is(err, errDisk) {
		s.fail("%s: %v", step.Do, err)
	}
}

// some returns one of the latest deliveries.
func (s *story) some(of int) *delivery.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.put); n > 0 {
		return s.put[n-1-of%n]
	}
	return nil
}

// heal ends all trouble.
func (s *story) heal() {
	s.mu.Lock()
	s.replies, s.faults = nil, nil
	s.mu.Unlock()
	s.push(3, 2, 0)
	s.operate(context.Background(), step{Do: "resume", Lanes: 3})
}

func (s *story) webhook(step step, key byte) (deliveries []*delivery.Delivery) {
	for i, lane := range modelLanes {
		if step.Lanes&(1<<i) != 0 {
			deliveries = append(deliveries, &delivery.Delivery{
				ID:         uuid.Must(uuid.NewV7()),
				Lane:       lane,
				Key:        delivery.Key{key},
				KeyExpires: time.Now().Add(1000 * time.Hour),
				ChatID:     step.Chat,
				ReceivedAt: time.Now(),
				Body:       []byte("body"),
			})
		}
	}
	return deliveries
}

// repeat submits one of the latest webhooks once more.
func (s *story) repeat(ctx context.Context, step step) {
	if n := len(s.webhooks); n > 0 {
		go s.submit(ctx, s.q, s.webhooks[n-1-step.Of%n], step.Wait)
	}
}

// imports imports a webhook that another store has accepted, twice.
func (s *story) imports(ctx context.Context, webhook []*delivery.Delivery) {
	for range 2 {
		if _, err := s.q.Import(ctx, webhook); err != nil && !errors.Is(err, errDisk) {
			s.fail("importing: %v", err)
		}
	}
}

// submit submits a webhook and judges the receipt.
func (s *story) submit(ctx context.Context, q *delivery.Dispatcher, webhook []*delivery.Delivery, wait time.Duration) {
	var deliveries []*delivery.Delivery
	for _, d := range webhook {
		repeated := *d
		repeated.ID = uuid.Must(uuid.NewV7())
		deliveries = append(deliveries, &repeated)
	}
	started := time.Now()
	receipt, err := q.Submit(ctx, deliveries, wait)
	if took := time.Since(started); took > 5*time.Second { // the longest wait, which duplicates share
		s.fail("an answer took %s", took)
	}
	if err != nil {
		for _, d := range deliveries {
			if s.find(d) != nil {
				s.fail("%s is stored, but was not accepted: %v", d.ID, err)
			}
		}
		return
	}
	got := receipt.Delivery
	if s.find(&got) == nil && !s.wasDropped(got.ID) {
		s.fail("%s was accepted, but is not stored", got.ID)
	}
	if !receipt.Duplicate && got.ID != deliveries[0].ID {
		s.fail("%s was answered with %s", deliveries[0].ID, got.ID)
	}
	if (got.State == delivery.Pending) != (len(got.Answer) == 0) {
		s.fail("%s is %s, the answer %q", got.ID, got.State, got.Answer)
	}
	if got.State == delivery.Delivered && s.sent(got.ID) == 0 {
		s.fail("%s was answered as delivered, but is not", got.ID)
	}
}

func (s *story) wasDropped(id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped[id]
}

func (s *story) sent(id uuid.UUID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tickets[id]
}

func (s *story) find(d *delivery.Delivery) *delivery.Delivery {
	found, err := s.store.Find(context.Background(), d.Key)
	if err != nil {
		s.fail("finding: %v", err)
	}
	if i := slices.IndexFunc(found, func(f *delivery.Delivery) bool { return f.ID == d.ID }); i >= 0 {
		return found[i]
	}
	return nil
}

// all returns all accepted deliveries as they are now.
func (s *story) all() (deliveries []*delivery.Delivery) {
	s.mu.Lock()
	put := slices.Clone(s.put)
	s.mu.Unlock()
	for _, d := range put {
		if found := s.find(d); found != nil {
			deliveries = append(deliveries, found)
		} else if !s.wasDropped(d.ID) {
			s.fail("%s was lost", d.ID)
		}
	}
	return deliveries
}

// check judges the end.
func (s *story) check() {
	for _, d := range s.all() {
		tickets, unknown := s.sent(d.ID), s.unknown[d.ID]
		switch {
		case d.State == delivery.Pending:
			s.fail("%s is still pending, due in %s", d.ID, time.Until(d.DueAt))
		case d.State == delivery.Delivered && tickets == 0:
			s.fail("%s is delivered, but there is no ticket", d.ID)
		case tickets > 1+unknown:
			s.fail("%s made %d tickets, with %d attempts of unknown outcome", d.ID, tickets, unknown)
		case d.State == delivery.Dead && tickets > unknown:
			s.fail("%s is dead, but made %d tickets", d.ID, tickets)
		case d.State == delivery.Dead && d.Tries == 0:
			s.fail("%s died without an attempt", d.ID)
		}
	}
}

// helpDesk is the story as a Target.
type helpDesk story

func (h *helpDesk) Answer(d *delivery.Delivery) []byte { return []byte(d.State.String()) }

// Prefetch is slow at times. Nobody may attempt the delivery meanwhile.
func (h *helpDesk) Prefetch(ctx context.Context, d *delivery.Delivery) {
	h.enter(d)
	defer h.leave(d)
	if d.ID[15]%2 == 0 {
		_ = sleep(3 * time.Second)(ctx)
	}
	d.Transcript = []byte("transcript")
}

func (h *helpDesk) reply() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.replies) == 0 {
		return "take"
	}
	reply := h.replies[0]
	h.replies = h.replies[1:]
	return reply
}

func (h *helpDesk) Attempt(ctx context.Context, d *delivery.Delivery, proceed func() error) delivery.Outcome {
	reply := h.reply()
	if reply == "have no transcript" {
		return noTranscript
	}
	if err := proceed(); err != nil {
		return delivery.Outcome{Stage: delivery.StageUpstream, Err: err}
	}
	h.enter(d)
	defer h.leave(d)
	o := h.request(ctx, d, reply)
	if o.Unknown {
		h.mu.Lock()
		h.unknown[d.ID]++
		h.mu.Unlock()
	}
	return o
}

func (h *helpDesk) request(ctx context.Context, d *delivery.Delivery, reply string) delivery.Outcome {
	lost := unavailable
	lost.Status, lost.Unknown = 0, true
	switch reply {
	case "take slowly":
		if o := slowly(3*time.Second, success)(ctx, d); o.Verdict != delivery.Success {
			return o
		}
		h.take(d)
		return success
	case "take and say nothing":
		h.take(d)
		return lost
	case "lose":
		return lost
	case "be down":
		return unavailable
	case "refuse for good":
		return badRequest
	case "refuse":
		return forbidden
	case "refuse us":
		return unauthorized
	case "ask to wait":
		return after(5*time.Second, unavailable)
	case "ask all to wait":
		return held(5*time.Second, tooMany)
	case "panic":
		panic(errors.New("oh"))
	default:
		h.take(d)
		return success
	}
}

func (h *helpDesk) take(d *delivery.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tickets[d.ID]++
}

// enter judges whether d may be sent now.
func (h *helpDesk) enter(d *delivery.Delivery) {
	s := (*story)(h)
	stored := s.find(d)
	switch {
	case stored == nil && s.wasDropped(d.ID):
		// It is not called back.
	case stored == nil:
		s.fail("%s is sent, but not stored", d.ID)
	case stored.State != delivery.Pending || !stored.Claimed:
		s.fail("%s is sent, but %s and claimed: %t", d.ID, stored.State, stored.Claimed)
	}
	for _, older := range s.all() {
		s.mu.Lock()
		revived := s.revived[older.ID] || s.revived[d.ID]
		s.mu.Unlock()
		if older.ID == d.ID {
			break
		}
		if !revived && d.ChatID != "" && older.ChatID == d.ChatID && older.Lane == d.Lane && older.State == delivery.Pending {
			s.fail("%s is sent before %s of its chat", d.ID, older.ID)
		}
	}
	s.mu.Lock()
	twice := s.sending[d.ID]
	s.sending[d.ID] = true
	s.mu.Unlock()
	if twice {
		s.fail("%s is sent by two at once", d.ID)
	}
}

func (h *helpDesk) leave(d *delivery.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sending, d.ID)
}

// recorder is the story as a Store, which fails now and then.
type recorder story

func (r *recorder) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) == 0 {
		return nil
	}
	fault := r.faults[0]
	r.faults = r.faults[1:]
	if fault {
		return errDisk
	}
	return nil
}

func (r *recorder) Put(ctx context.Context, deliveries []*delivery.Delivery) error {
	if err := r.fault(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.store.Put(ctx, deliveries)
	if err == nil {
		for _, d := range deliveries {
			stored := *d
			r.put = append(r.put, &stored)
		}
	}
	return err
}

func (r *recorder) Import(ctx context.Context, deliveries []*delivery.Delivery) (int, error) {
	if err := r.fault(); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.store.Import(ctx, deliveries)
	if n > 0 { // they are of one webhook: all or none were there
		r.put = append(r.put, deliveries...)
	}
	return n, err
}

func (r *recorder) Find(ctx context.Context, key delivery.Key) ([]*delivery.Delivery, error) {
	if err := r.fault(); err != nil {
		return nil, err
	}
	return r.store.Find(ctx, key)
}

func (r *recorder) Claim(ctx context.Context, l delivery.Lane, now time.Time, limit int) ([]*delivery.Delivery, time.Time, error) {
	if err := r.fault(); err != nil {
		return nil, time.Time{}, err
	}
	return r.store.Claim(ctx, l, now, limit)
}

func (r *recorder) Save(ctx context.Context, d *delivery.Delivery) (bool, error) {
	err := r.fault()
	r.mu.Lock()
	r.unsaved[d.ID] = err != nil
	r.mu.Unlock()
	if err != nil {
		return false, err
	}
	return r.store.Save(ctx, d)
}

func (r *recorder) Revive(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if err := r.fault(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revived[id] = true
	return r.store.Revive(ctx, id)
}

func (r *recorder) Take(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if err := r.fault(); err != nil {
		return nil, err
	}
	return r.store.Take(ctx, id)
}

func (r *recorder) Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	return r.store.Get(ctx, id)
}

func (r *recorder) List(ctx context.Context, query delivery.Query) (delivery.Page, error) {
	if err := r.fault(); err != nil {
		return delivery.Page{}, err
	}
	return r.store.List(ctx, query)
}

func (r *recorder) Drop(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if err := r.fault(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.dropped[id] = true
	r.mu.Unlock()
	return r.store.Drop(ctx, id)
}

func (r *recorder) Erase(ctx context.Context, chatID string) (int, error) {
	if err := r.fault(); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.put {
		if d.ChatID == chatID && chatID != "" {
			r.dropped[d.ID] = true
		}
	}
	return r.store.Erase(ctx, chatID)
}

func (r *recorder) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	return r.store.Count(ctx)
}

// Close keeps the store for the next dispatcher.
func (r *recorder) Close() error { return nil }
