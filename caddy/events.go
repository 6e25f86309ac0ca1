package kindly

import (
	"context"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// The events that Caddy's events app hears of.
const (
	eventDelivered = "kindly_delivered"
	eventDead      = "kindly_dead"
	eventPaused    = "kindly_upstream_paused"
)

// event is something that happened to an upstream or a delivery of it. There is
// nothing in it but ids and the operator's names.
type event struct {
	name     string
	lane     delivery.Lane
	delivery uuid.UUID
	attempts int
}

func (e event) data() map[string]any {
	data := map[string]any{"webhook": e.lane.Webhook, "upstream": e.lane.Upstream}
	if e.delivery != uuid.Nil {
		data["delivery"], data["attempts"] = e.delivery.String(), e.attempts
	}
	return data
}

// listeners are those of a configuration.
type listeners struct {
	ctx    caddy.Context
	events *caddyevents.App
	// ready says that all apps have started: the events app makes its
	// subscriptions then, and must not be asked about them before.
	ready atomic.Bool
	// got is called when they are.
	got func()
}

// setListeners finds the configuration's events app, and learns from it when all
// apps have started.
func (a *App) setListeners(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	a.listeners = &listeners{ctx: ctx, events: app.(*caddyevents.App)}
	return a.listeners.events.On("started", a.listeners)
}

// Handle implements [caddyevents.Handler].
func (l *listeners) Handle(context.Context, caddy.Event) error {
	l.ready.Store(true)
	if l.got != nil {
		l.got()
	}
	return nil
}

// maxEvents bounds the events that wait for their handlers.
const maxEvents = 1024

// teller emits the events of a runtime, one after the other, to the listeners of
// the newest configuration. Handlers may take their time: nobody waits for them.
type teller struct {
	queue     chan event
	listeners atomic.Pointer[listeners]
	// changed tells that the listeners have, or are ready now.
	changed chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

func newTeller() *teller {
	t := &teller{
		queue:   make(chan event, maxEvents),
		changed: make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go t.run()
	return t
}

// tell has an event emitted, unless nobody wants it or too many wait.
func (a *App) tell(e event) {
	t := a.runtime.teller
	if l := t.listeners.Load(); l != nil && l.ready.Load() && !l.events.ShouldEmit(e.name) {
		return
	}
	select {
	case t.queue <- e:
	default:
		eventsDroppedTotal.Inc()
	}
}

// turn makes the events go to other listeners.
func (t *teller) turn(l *listeners) {
	t.listeners.Store(l)
	t.poke()
}

func (t *teller) poke() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *teller) run() {
	defer close(t.stopped)
	for {
		select {
		case <-t.stop:
			return
		case e := <-t.queue:
			l := t.awaitListeners()
			if l == nil {
				return
			}
			l.events.Emit(l.ctx, e.name, e.data())
		}
	}
}

// awaitListeners returns the newest listeners when they are ready, nil
// at the end.
func (t *teller) awaitListeners() *listeners {
	for {
		if l := t.listeners.Load(); l != nil && l.ready.Load() && l.ctx.Err() == nil {
			return l
		}
		select {
		case <-t.stop:
			return nil
		case <-t.changed:
		}
	}
}

// close ends it when ctx does at the latest, with whatever handler it is in.
func (t *teller) close(ctx context.Context) {
	close(t.stop)
	select {
	case <-t.stopped:
	case <-ctx.Done():
	}
}

// Interface guard
var _ caddyevents.Handler = (*listeners)(nil)
