package kindly

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// leaving is a store that tells, at its end, of deliveries that nothing will
// deliver then: they are lost with the process's memory, or in a store that no
// configuration uses any more.
type leaving struct {
	Store
	key     runtimeKey
	durable bool
	log     *zap.Logger
}

// leave wraps a store accordingly. One that other processes share is theirs to
// deliver from, as long as there are any.
func leave(store Store, key runtimeKey, durable bool, log *zap.Logger) delivery.Store {
	last := leaving{Store: store, key: key, durable: durable, log: log}
	if shared, ok := store.(delivery.Shared); ok {
		return leavingShared{last, shared}
	}
	return last
}

// Status is what the store tells of itself, nil if that is nothing.
func (l leaving) Status() any {
	if store, ok := l.Store.(interface{ Status() any }); ok {
		return store.Status()
	}
	return nil
}

// Close implements [delivery.Store]. Nothing uses the store any more.
func (l leaving) Close() error {
	if !l.durable || !caddy.Exiting() {
		l.tell()
	}
	return l.Store.Close()
}

func (l leaving) tell() {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, err := l.Count(ctx)
	var pending, dead int
	for lane, c := range counts {
		losses.Add(lane, delivery.LossLeftBehind, c.Pending)
		pending += c.Pending
		dead += c.Dead
	}
	about := []zap.Field{zap.Stringer("store", l.key), zap.Int("pending", pending), zap.Int("dead_letters", dead), zap.Error(err)}
	switch {
	case pending+dead == 0 && err == nil:
	case l.durable:
		l.log.Error("deliveries are left behind in a store that is no longer configured, and nothing delivers them: "+
			"move them to the new store with `caddy kindly deliveries export --offline` and `import`, or "+
			"write `store "+l.key.String()+"` again until nothing is pending there", about...)
	default:
		l.log.Error("deliveries are lost: they were kept in memory, and nothing runs that could deliver them", about...)
	}
}

type leavingShared struct {
	leaving
	shared delivery.Shared
}

// Watch implements [delivery.Shared].
func (l leavingShared) Watch(w delivery.Watch) { l.shared.Watch(w) }

// Close implements [delivery.Store].
func (l leavingShared) Close() error {
	switch {
	case caddy.Exiting():
	case l.last():
		l.tell()
	default:
		l.log.Info("no configuration of this Caddy uses a shared store any more: what is pending there is for those that do", zap.Stringer("store", l.key))
	}
	return l.shared.Close()
}

// last tells whether no other process is known to deliver from the store, nor
// another runtime of this one.
func (l leavingShared) last() bool {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	store, ok := l.Store.(interface {
		Others(ctx context.Context) (int, error)
	})
	if !ok {
		return false
	}
	others, err := store.Others(ctx)
	return err == nil && others == 0
}
