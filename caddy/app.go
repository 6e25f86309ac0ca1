package kindly

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

func init() {
	caddy.RegisterModule(new(App))
}

// defaultGracePeriod is how long a shutdown waits for attempts under way.
const defaultGracePeriod = 10 * time.Second

// App keeps what outlives a request of the kindly_webhook handlers: the queue
// of deliveries. It goes on over reloads, and by default over crashes. It needs
// no configuration; without one, it opens its store only if a kindly_webhook
// has an upstream.
//
// Deliveries follow the newest configuration with the same names, and wait if
// it has none such. When another store is configured, those in the old one stay
// there: the log tells how many there are.
type App struct {
	// Where deliveries are kept. Default: `bolt`, in a file of Caddy's data
	// directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=kindly.stores inline_key=engine"`

	// How long a delivery is kept when its ticket was delivered: times,
	// attempts, the ticket's id and link, and the chat's answer; the webhook
	// and the transcript are dropped at once. While it makes duplicates, a
	// delivery is kept anyhow. Default: 24 hours.
	Retention caddy.Duration `json:"retention,omitempty"`

	// How long a dead letter is kept, with all that a retry needs. A day before
	// the end, the log warns. Default: 720 hours.
	DeadRetention caddy.Duration `json:"dead_retention,omitempty"`

	// How many deliveries may be pending; beyond that webhooks are refused.
	// Default: 1000000.
	MaxPending int `json:"max_pending,omitempty"`

	// How long a shutdown waits for attempts under way, if the http app has no
	// grace period of its own. Default: 10 seconds.
	GracePeriod caddy.Duration `json:"grace_period,omitempty"`

	// The keys that what quotes people is encrypted with where deliveries are
	// kept (AES-256-GCM): each is 32 bytes, in base64 or as 64 hexadecimal
	// digits, such as `openssl rand -base64 32` makes. The first one encrypts,
	// all of them decrypt; when there is another key, write it before the old
	// one, and leave out the old one when the status says that it is not needed
	// any more. Where several Caddys share a store, all of them get a new key
	// behind the old one first, so that each can read what the others write.
	// `off` in the place of the first one encrypts nothing more. Write
	// them as `{env.NAME}` or `{file.path}`: as they are, they get into the saved
	// configuration. Default: none, so that nothing is encrypted.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// Whether attempts have spans, in the trace of their webhook, however late
	// they are made. They are exported as OpenTelemetry's environment variables
	// say (`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT` and so on). A
	// webhook's trace is that of Caddy's directive `tracing`, which decides
	// whether a caller's `traceparent` is trusted; without it, each webhook
	// begins a trace. Default: false; `traceparent` goes on to Kindly's API and
	// to the upstream all the same.
	Tracing bool `json:"tracing,omitempty"`

	ctx      caddy.Context
	log      *zap.Logger
	explicit bool // the configuration names the app
	engine   Engine
	keys     *seal.Keys               // nil without encryption
	provider *sdktrace.TracerProvider // nil without tracing
	webhooks map[string]*Handler      // by name
	twins    []*Handler               // configured like one of webhooks

	listeners *listeners
	runtime   *runtime // nil unless Start took it
	taken     bool     // it is to be released
	exports   bool     // so are the spans
	pop       func()
	shutdown  func() // ends what the runtime has under way

	requests requests
	ended    atomic.Bool // Cleanup was called
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "kindly",
		New: func() caddy.Module { return new(App) },
	}
}

// UnmarshalJSON implements [json.Unmarshaler]. It is not called for an app that
// only a handler asks for.
func (a *App) UnmarshalJSON(b []byte) error {
	type plain App
	a.explicit = true
	return caddy.StrictUnmarshalJSON(b, (*plain)(a))
}

// Provision implements [caddy.Provisioner]. It does not touch the store: the
// configuration may only be validated, beside a server that runs.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	a.webhooks = make(map[string]*Handler)
	if err := a.provision(ctx); err != nil {
		return fmt.Errorf("kindly: %w", err)
	}
	return nil
}

func (a *App) provision(ctx caddy.Context) error {
	for _, field := range []struct {
		name, example string
		value         caddy.Duration
	}{
		{"retention", "24h", a.Retention},
		{"dead_retention", "720h", a.DeadRetention},
		{"grace_period", "10s", a.GracePeriod},
	} {
		if field.value < 0 {
			return fmt.Errorf("%s is negative: write a duration such as %s", field.name, field.example)
		}
	}
	if a.MaxPending < 0 {
		return fmt.Errorf("max_pending is negative: write a whole number such as %d", delivery.DefaultLimits.MaxPending)
	}
	if err := registerMetrics(ctx); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := a.setListeners(ctx); err != nil {
		return err
	}
	if a.Tracing {
		var err error
		if a.provider, err = newTracerProvider(); err != nil {
			return err
		}
	}
	if err := a.loadEngine(ctx); err != nil {
		return err
	}
	return a.setKeys()
}

func (a *App) loadEngine(ctx caddy.Context) error {
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"engine": "bolt"}`)
	}
	var store struct {
		Engine string `json:"engine"`
	}
	if err := json.Unmarshal(a.StoreRaw, &store); err != nil || store.Engine == "" {
		return errors.New("store has no engine: write an object with the engine bolt, postgres or memory")
	}
	if _, err := caddy.GetModule(stores + "." + store.Engine); err != nil {
		return fmt.Errorf("store: there is no engine %q: write bolt, postgres or memory", store.Engine)
	}
	module, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	engine, ok := module.(Engine)
	if !ok {
		return fmt.Errorf("store: the module %s is no engine: write bolt, postgres or memory", caddy.GetModuleID(module))
	}
	a.engine = engine
	return nil
}

// register enters a handler. One site under two addresses provisions its
// handler twice; that is one webhook.
func (a *App) register(h *Handler) error {
	if len(h.Upstreams) == 0 {
		return nil // nothing of it outlives a request
	}
	other := a.webhooks[h.name]
	if other == nil {
		a.webhooks[h.name] = h
		return nil
	}
	if !bytes.Equal(h.config, other.config) {
		return errors.New("another kindly_webhook with different settings has the same name: give each a name of its own (kindly_webhook [<matcher>] <name>)")
	}
	a.twins = append(a.twins, h)
	return nil
}

// Start implements [caddy.App]. It takes the runtime, which the configuration
// before this one may have left, and makes it deliver by this configuration.
func (a *App) Start() error {
	if !a.explicit && len(a.webhooks) == 0 {
		return nil // there will be nothing to store
	}
	if a.provider != nil {
		processor, err := takeSpans()
		if err != nil {
			return err
		}
		a.exports = true
		a.provider.RegisterSpanProcessor(processor)
	}
	runtime, err := takeRuntime(a.engine, StoreOptions{Limits: a.limits(), Keys: a.keys}, a.log.Name())
	if err != nil {
		return err
	}
	a.runtime, a.taken = runtime, true
	grace := a.gracePeriod()
	a.shutdown = sync.OnceFunc(func() {
		// The rest of the time is for requests to be answered.
		ctx, cancel := context.WithTimeout(context.Background(), grace*9/10)
		defer cancel()
		runtime.dispatcher.Shutdown(ctx)
	})
	lanes := make(map[delivery.Lane]delivery.Definition)
	for _, h := range a.webhooks {
		maps.Copy(lanes, h.handler.Lanes())
	}
	a.listeners.got = runtime.teller.poke
	a.pop = runtime.push(&settings{lanes, a.limits(), a.keys, grace, a.listeners})
	a.enter()
	return nil
}

func (a *App) limits() Limits {
	configured := Limits{Retention: time.Duration(a.Retention), DeadRetention: time.Duration(a.DeadRetention), MaxPending: a.MaxPending}
	return configured.Or(delivery.DefaultLimits)
}

// Stop implements [caddy.App]. When another configuration takes over, the
// deliveries go on; only the end of the process stops them. Servers call it,
// too, when they shut down: apps stop one after the other, and the http app
// waits for requests which wait for attempts.
func (a *App) Stop() error {
	if caddy.Exiting() && a.shutdown != nil {
		a.shutdown()
	}
	return nil
}

func (a *App) gracePeriod() time.Duration {
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if server, ok := app.(*caddyhttp.App); ok && server.GracePeriod > 0 {
			return time.Duration(server.GracePeriod)
		}
	}
	return cmp.Or(time.Duration(a.GracePeriod), defaultGracePeriod)
}

// Cleanup implements [caddy.CleanerUpper]. It gives back what Start took, once,
// and only that: a configuration can be cleaned up that was never started. It
// may have requests all the same, which its servers took before another app
// failed.
func (a *App) Cleanup() error {
	a.leave()
	defer a.stopExporting()
	if !a.taken {
		return nil
	}
	a.taken = false
	if a.runtime.users() == 1 && !caddy.Exiting() {
		waitForEnded(a.gracePeriod()) // requests that use the runtime still
	}
	a.pop()
	return a.runtime.release()
}

// stopExporting gives back the spans, once. The attempts that ended before it
// was called are exported.
func (a *App) stopExporting() {
	if a.exports {
		a.exports = false
		releaseSpans(flushTime(a.gracePeriod()), zap.New(currentLog{}).Named(a.log.Name()))
	}
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
