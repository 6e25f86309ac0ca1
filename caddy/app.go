package kindly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func init() {
	caddy.RegisterModule(new(App))
}

// defaultGracePeriod is how long a shutdown waits for attempts under way.
const defaultGracePeriod = 10 * time.Second

// App keeps what outlives a request of the kindly_webhook handlers: the queue
// of deliveries, which goes on over reloads. It needs no configuration.
type App struct {
	// How long a shutdown waits for attempts under way, if the http app has no
	// grace period of its own. Default: 10 seconds.
	GracePeriod caddy.Duration `json:"grace_period,omitempty"`

	ctx      caddy.Context
	log      *zap.Logger
	webhooks map[string]*Handler // by name
	twins    []*Handler          // configured like one of webhooks

	runtime  *runtime // nil unless Start took it
	pop      func()
	shutdown func() // ends what the runtime has under way
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "kindly",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision implements [caddy.Provisioner].
func (a *App) Provision(ctx caddy.Context) error {
	if a.GracePeriod < 0 {
		return fmt.Errorf("kindly: grace_period is negative: write a duration such as 10s")
	}
	a.ctx, a.log = ctx, ctx.Logger()
	a.webhooks = make(map[string]*Handler)
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
	runtime, err := takeRuntime(a.log.Name())
	if err != nil {
		return err
	}
	a.runtime = runtime
	a.shutdown = sync.OnceFunc(func() {
		// The rest of the time is for requests to be answered.
		ctx, cancel := context.WithTimeout(context.Background(), a.gracePeriod()*9/10)
		defer cancel()
		runtime.dispatcher.Shutdown(ctx)
	})
	lanes := make(map[delivery.Lane]delivery.Definition)
	for _, h := range a.webhooks {
		maps.Copy(lanes, h.handler.Lanes())
	}
	a.pop = runtime.dispatcher.Push(lanes)
	a.connect(runtime)
	return nil
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
	if a.GracePeriod > 0 {
		return time.Duration(a.GracePeriod)
	}
	return defaultGracePeriod
}

// Cleanup implements [caddy.CleanerUpper]. It gives back what Start took, and
// only that: a configuration can be cleaned up that was never started.
func (a *App) Cleanup() error {
	if a.runtime == nil {
		a.giveUp()
		return nil
	}
	a.pop()
	a.runtime = nil
	return releaseRuntime()
}

// giveUp leaves requests to the configuration that runs: servers of this one
// may have taken some before another app failed to start.
func (a *App) giveUp() {
	if running := currentRuntime(); running != nil {
		a.connect(running)
	}
}

// connect makes the handlers put their deliveries into the runtime.
func (a *App) connect(r *runtime) {
	for _, h := range a.webhooks {
		h.handler.Connect(r.dispatcher)
	}
	for _, h := range a.twins {
		h.handler.Connect(r.dispatcher)
	}
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
