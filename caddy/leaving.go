package kindly

import (
	"context"
	"time"

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

// countTimeout bounds how long the end of a store waits for numbers: a store
// that is not ready yet may need some time.
const countTimeout = time.Second

// Count implements [delivery.Store].
func (l leaving) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	return l.Store.Count(ctx)
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
	counts, err := l.Count(context.Background())
	var pending, dead int
	for lane, c := range counts {
		leftBehindTotal.WithLabelValues(lane.Webhook, lane.Upstream).Add(float64(c.Pending + c.Dead))
		pending += c.Pending
		dead += c.Dead
	}
	about := []zap.Field{zap.Stringer("store", l.key), zap.Int("pending", pending), zap.Int("dead_letters", dead), zap.Error(err)}
	switch {
	case pending+dead == 0 && err == nil:
	case l.durable:
		l.log.Error("deliveries are left behind in a store that is no longer configured, and nothing delivers them: "+
			"write `store "+l.key.String()+"` again until nothing is pending there", about...)
	default:
		l.log.Error("deliveries are lost: they were kept in memory, and nothing runs that could deliver them", about...)
	}
}
