package kindly

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// listener is a handler of events for tests.
type listener struct{}

// heard has what listeners are told, or nothing if they are to be slow.
var heard atomic.Pointer[chan caddy.Event]

func init() { caddy.RegisterModule(listener{}) }

func (listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.kindly_listener", New: func() caddy.Module { return new(listener) }}
}

func (listener) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (listener) Handle(ctx context.Context, e caddy.Event) error {
	select {
	case *heard.Load() <- e:
	case <-ctx.Done():
	}
	return nil
}

// listens returns global options by which the test hears of all our events.
func listens(capacity int) (options string, events <-chan caddy.Event) {
	ch := make(chan caddy.Event, capacity)
	heard.Store(&ch)
	return "\tevents {\n\t\ton kindly_delivered kindly_listener\n\t\ton kindly_dead kindly_listener\n\t\ton kindly_upstream_paused kindly_listener\n\t}\n", ch
}

func (l *lifecycle) hears(events <-chan caddy.Event, name string, keys ...string) caddy.Event {
	l.t.Helper()
	select {
	case e := <-events:
		require.Equal(l.t, name, e.Name())
		require.Equal(l.t, "shop", e.Data["webhook"])
		require.Equal(l.t, "default", e.Data["upstream"])
		require.Len(l.t, e.Data, 2+len(keys))
		for _, key := range keys {
			require.Contains(l.t, e.Data, key)
		}
		require.Equal(l.t, caddy.ModuleID("kindly"), e.Origin().CaddyModule().ID)
		return e
	case <-time.After(20 * time.Second):
		l.t.Fatalf("nobody heard of %s", name)
		panic("unreachable")
	}
}

// TestEvents proves that each event is heard once, by the listeners of the
// newest configuration.
func TestEvents(t *testing.T) {
	l := newLifecycle(t)
	listening, events := listens(100)
	l.load(l.site(l.webhook("shop", l.desk.URL), listening))
	l.send("shop", "chat-1")
	delivered := l.hears(events, "kindly_delivered", "delivery", "attempts")
	require.Equal(t, 1, delivered.Data["attempts"])
	d, err := currentRuntime().dispatcher.Get(l.context(), uuid.MustParse(delivered.Data["delivery"].(string)))
	require.NoError(t, err)
	require.Equal(t, delivery.Delivered, d.State)

	l.desk.FailNext(1, kindlytest.Status(http.StatusBadRequest))
	l.send("shop", "chat-2")
	dead := l.hears(events, "kindly_dead", "delivery", "attempts")
	d, err = currentRuntime().dispatcher.Get(l.context(), uuid.MustParse(dead.Data["delivery"].(string)))
	require.NoError(t, err)
	require.Equal(t, delivery.Dead, d.State, "the store knew before")

	l.desk.FailNext(1, kindlytest.Status(http.StatusUnauthorized))
	l.send("shop", "chat-3")
	l.hears(events, "kindly_upstream_paused")

	l.load(l.site(l.webhook("shop", l.desk.URL), listening, "\tgrace_period 1s\n"))
	l.hears(events, "kindly_delivered", "delivery", "attempts") // by the probe after the reload

	l.load(l.site(l.webhook("shop", l.desk.URL)))
	l.send("shop", "chat-4")
	require.Empty(t, events, "nobody listens any more")
}

// TestEventsOfAFailedReload proves that the running configuration's listeners
// go on hearing.
func TestEventsOfAFailedReload(t *testing.T) {
	l := newLifecycle(t)
	listening, events := listens(100)
	l.load(l.site(l.webhook("shop", l.desk.URL), listening))
	siblingFails.Store(true)
	defer siblingFails.Store(false)
	_ = l.fail(l.site(l.webhook("shop", l.desk.URL)))
	l.send("shop", "chat-1")
	l.hears(events, "kindly_delivered", "delivery", "attempts")
}

// TestEventsAreDropped proves that a slow listener holds up nothing, and that
// what it misses is counted.
func TestEventsAreDropped(t *testing.T) {
	l := newLifecycle(t)
	listening, _ := listens(0) // it hangs
	l.load(l.site(l.webhook("shop", l.desk.URL), listening))
	dropped := l.metric("caddy_kindly_events_dropped_total")
	app := newestApp(t)
	for range maxEvents + 10 {
		app.tell(event{name: eventPaused})
	}
	l.send("shop", "chat-1")
	require.NoError(t, l.desk.Wait(l.context(), 1))
	// One is with the listener, if it was quick enough.
	require.GreaterOrEqual(t, l.metric("caddy_kindly_events_dropped_total"), dropped+10)
}

func newestApp(t *testing.T) *App {
	started.mu.Lock()
	defer started.mu.Unlock()
	app := newest()
	require.NotNil(t, app)
	return app
}

// TestEventsWaitForTheStart proves that what happens while apps start is heard.
func TestEventsWaitForTheStart(t *testing.T) {
	l := newLifecycle(t)
	listening, events := listens(100)
	l.load(l.site(l.webhook("shop", l.desk.URL), listening))
	app := newestApp(t)
	app.listeners.ready.Store(false)
	app.tell(event{name: eventPaused, lane: delivery.Lane{Webhook: "shop", Upstream: "default"}})
	require.Never(t, func() bool { return len(events) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, app.listeners.Handle(l.context(), caddy.Event{}))
	l.hears(events, "kindly_upstream_paused")
}
