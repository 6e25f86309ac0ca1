package kindly

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// runtime is what configurations share: it lives from the first one that
// starts to the end of the last one.
type runtime struct {
	store      delivery.Store
	dispatcher *delivery.Dispatcher
	log        *zap.Logger
}

// runtimes are kept by what they have for themselves alone: their store.
var runtimes = caddy.NewUsagePool()

// inMemory is the key of the store in memory, of which there is one.
const inMemory = "memory"

func takeRuntime(log *zap.Logger) (*runtime, error) {
	value, _, err := runtimes.LoadOrNew(inMemory, func() (caddy.Destructor, error) {
		// The logger of this configuration ends with it.
		log := caddy.Log().Named(log.Name())
		store := memory.New(memory.Options{})
		return &runtime{
			store:      store,
			dispatcher: delivery.NewDispatcher(store, delivery.WithLogger(log)),
			log:        log,
		}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*runtime), nil
}

func releaseRuntime() error {
	_, err := runtimes.Delete(inMemory)
	return err
}

// Destruct implements [caddy.Destructor].
func (r *runtime) Destruct() error {
	// Attempts and requests end first, so that the count is the last word.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	r.dispatcher.Shutdown(ended)
	if n, err := r.store.Pending(context.Background()); err == nil && n > 0 {
		r.log.Error("deliveries are lost: they were kept in memory, and nothing runs that could deliver them", zap.Int("pending", n))
	}
	return r.dispatcher.Close()
}
