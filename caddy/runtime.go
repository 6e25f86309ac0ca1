package kindly

import (
	"context"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// runtime is what configurations share: it lives from the first one that
// starts to the end of the last one.
type runtime struct{ dispatcher *delivery.Dispatcher }

// runtimes are kept by what they have for themselves alone: their store.
var runtimes = caddy.NewUsagePool()

// inMemory is the key of the store in memory, of which there is one.
const inMemory = "memory"

func takeRuntime(name string) (*runtime, error) {
	value, _, err := runtimes.LoadOrNew(inMemory, func() (caddy.Destructor, error) {
		log := zap.New(currentLog{}).Named(name)
		store := lossy{memory.New(memory.Options{}), log}
		return &runtime{delivery.NewDispatcher(store, delivery.WithLogger(log), delivery.RefuseWhileStopping())}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*runtime), nil
}

// currentRuntime returns the runtime of the configuration that runs, nil if
// none does.
func currentRuntime() (current *runtime) {
	runtimes.Range(func(_, value any) bool {
		current = value.(*runtime)
		return false
	})
	return current
}

func releaseRuntime() error {
	_, err := runtimes.Delete(inMemory)
	return err
}

// Destruct implements [caddy.Destructor].
func (r *runtime) Destruct() error { return r.dispatcher.Close() }

// lossy is a store whose end is that of all that is in it.
type lossy struct {
	delivery.Store
	log *zap.Logger
}

// Close implements [delivery.Store]. Nothing uses the store any more.
func (l lossy) Close() error {
	pending := 0
	counts, _ := l.Count(context.Background()) // for the log only
	for _, c := range counts {
		pending += c.Pending
	}
	if pending > 0 {
		l.log.Error("deliveries are lost: they were kept in memory, and nothing runs that could deliver them", zap.Int("pending", pending))
	}
	return l.Store.Close()
}

// currentLog logs where the configuration of the moment says. The logger of a
// configuration ends with it, and the runtime goes on.
type currentLog struct{ fields []zapcore.Field }

// Enabled implements [zapcore.Core].
func (currentLog) Enabled(level zapcore.Level) bool { return caddy.Log().Core().Enabled(level) }

// With implements [zapcore.Core].
func (c currentLog) With(fields []zapcore.Field) zapcore.Core {
	return currentLog{append(slices.Clip(c.fields), fields...)}
}

// Check implements [zapcore.Core]. It leaves the writing to the core of the
// moment.
func (c currentLog) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return caddy.Log().Core().With(c.fields).Check(e, ce)
}

// Write implements [zapcore.Core].
func (c currentLog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return caddy.Log().Core().With(c.fields).Write(e, fields)
}

// Sync implements [zapcore.Core].
func (currentLog) Sync() error { return caddy.Log().Sync() }
