package kindly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// runtime is what configurations with the same store share: it lives from the
// first one that starts to the end of the last one.
type runtime struct {
	key        runtimeKey
	log        *zap.Logger
	store      Store
	dispatcher *delivery.Dispatcher
	teller     *teller
	reports    singleflight.Group

	mu       sync.Mutex
	settings []*settings // of its configurations; the last one holds
	grace    time.Duration
}

// settings are what a configuration says of the runtime.
type settings struct {
	lanes  map[delivery.Lane]delivery.Definition
	limits Limits
	keys   *seal.Keys
	// grace is how long attempts under way may take when the runtime ends.
	grace     time.Duration
	listeners *listeners
}

// runtimeKey is what a runtime has for itself alone: its store.
type runtimeKey struct{ engine, location string }

func (k runtimeKey) String() string {
	return strings.TrimSpace(strings.TrimPrefix(k.engine, stores+".") + " " + k.location)
}

var runtimes = caddy.NewUsagePool()

// takeRuntime returns the runtime of a store, which configurations that run may
// have opened: then the keys must be enough for it, too. The caller has to
// release it.
func takeRuntime(engine Engine, o StoreOptions, name string) (*runtime, error) {
	location, err := engine.Locate()
	if err != nil {
		return nil, err
	}
	key := runtimeKey{caddy.GetModuleID(engine), location}
	value, shared, err := runtimes.LoadOrNew(key, func() (caddy.Destructor, error) {
		log := zap.New(currentLog{}).Named(name)
		o.Log, o.Losses = log, losses
		store, err := engine.Open(location, o)
		if err != nil {
			return nil, err
		}
		options := []delivery.Option{delivery.WithLogger(log), delivery.WithLosses(losses)}
		if !engine.Durable() {
			options = append(options, delivery.RefuseWhileStopping())
		}
		last := leave(store, key, engine.Durable(), log)
		return &runtime{key: key, log: log, store: store, dispatcher: delivery.NewDispatcher(last, options...), teller: newTeller()}, nil
	})
	if err != nil {
		return nil, err
	}
	r := value.(*runtime)
	if keyed, ok := r.store.(KeyedStore); ok && shared {
		if err := keyed.CheckKeys(o.Keys); err != nil {
			return nil, errors.Join(fmt.Errorf("store %s: %w", key, err), r.release())
		}
	}
	return r, nil
}

// users returns how many configurations have the runtime.
func (r *runtime) users() int {
	n, _ := runtimes.References(r.key)
	return n
}

func (r *runtime) release() error {
	_, err := runtimes.Delete(r.key)
	return err
}

// Destruct implements [caddy.Destructor]. Attempts under way get their time,
// and requests that wait for them their answers.
func (r *runtime) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.grace)
	defer cancel()
	r.dispatcher.Shutdown(ctx)
	err := r.dispatcher.Close()
	r.teller.close(ctx)
	return err
}

// push makes the settings hold, in place of all pushed before. The function
// takes them back; what was pushed last of the rest holds then.
func (r *runtime) push(s *settings) (pop func()) {
	popLanes := r.dispatcher.Push(s.lanes)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings = append(r.settings, s)
	r.apply()
	return sync.OnceFunc(func() {
		popLanes()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.settings = slices.DeleteFunc(r.settings, func(other *settings) bool { return other == s })
		r.apply()
	})
}

// apply makes the newest settings hold; without any, the last ones still do.
// r.mu is held.
func (r *runtime) apply() {
	if n := len(r.settings); n > 0 {
		newest := r.settings[n-1]
		r.store.SetLimits(newest.limits)
		r.setKeys()
		r.grace = newest.grace
		r.teller.turn(newest.listeners)
	}
}

// setKeys makes the keys hold. While one configuration takes over from another,
// the oldest one's encrypts, since the new one may yet fail: then nothing is
// encrypted with a key that only that one had. r.mu is held.
func (r *runtime) setKeys() {
	keyed, ok := r.store.(KeyedStore)
	if !ok {
		return
	}
	keys := r.settings[0].keys
	for _, s := range r.settings[1:] {
		keys = keys.Knowing(s.keys)
	}
	if err := keyed.SetKeys(keys); err != nil { // takeRuntime has seen to it that they are enough
		r.log.Error("the encryption keys are not changed", zap.Error(err))
	}
}
