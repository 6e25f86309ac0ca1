// Package storetest is the conformance suite for implementations of
// [delivery.Store]. An engine runs it in a test of its own:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, now func() time.Time) delivery.Store {
//			return myengine.Open(t.TempDir(), myengine.Options{Now: now})
//		})
//	}
//
// The suite moves the clock, by less than an hour in each test: the engine
// keeps delivered and dead deliveries at least that long, and holds some
// hundreds of them. It asks for no more precision of times than a millisecond.
// Limits and retention are each engine's own, and so are their tests.
package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Open returns an empty store that takes the time from now. The suite closes
// it, some of them more than once.
type Open func(t *testing.T, now func() time.Time) delivery.Store

// Run tests the stores that open returns.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"put", puts},
		{"import", imports},
		{"duplicates", duplicates},
		{"claim", claims},
		{"chat", chats},
		{"save", saves},
		{"revive", revivals},
		{"take", takes},
		{"get", gets},
		{"list", lists},
		{"drop", drops},
		{"erase", erasures},
		{"count", counts},
		{"concurrency", concurrency},
		{"context", contexts},
		{"close", closes},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(newBench(t, open)) })
			}
		})
	}
	t.Run("model", func(t *testing.T) { testModel(t, open) })
}

type test struct {
	name string
	run  func(b *bench)
}

// bench is what a test works with. Its methods fail the test if the store
// does.
type bench struct {
	*testing.T
	clock *clock
	store delivery.Store
}

func newBench(t *testing.T, open Open) *bench {
	t.Helper()
	c := newClock()
	store := open(t, c.now)
	t.Cleanup(func() { _ = store.Close() })
	return &bench{T: t, clock: c, store: store}
}

func (b *bench) put(deliveries ...*delivery.Delivery) {
	b.Helper()
	require.NoError(b, b.store.Put(b.Context(), deliveries))
}

// ok tells whether there is no error, in any goroutine.
func (b *bench) ok(err error) bool {
	b.Helper()
	if err != nil {
		b.Errorf("the store failed: %v", err)
	}
	return err == nil
}

func (b *bench) find(key delivery.Key) []*delivery.Delivery {
	b.Helper()
	found, err := b.store.Find(b.Context(), key)
	require.NoError(b, err)
	return found
}

// claim claims all that is due.
func (b *bench) claim(lane delivery.Lane) []*delivery.Delivery {
	b.Helper()
	claimed, _, err := b.store.Claim(b.Context(), lane, b.clock.now(), 1000)
	require.NoError(b, err)
	return claimed
}

func (b *bench) save(d *delivery.Delivery) (unblocked bool) {
	b.Helper()
	unblocked, err := b.store.Save(b.Context(), d)
	require.NoError(b, err)
	return unblocked
}

// settle saves a claimed delivery in another state.
func (b *bench) settle(d *delivery.Delivery, state delivery.State) (unblocked bool) {
	b.Helper()
	settled := *d
	settled.State = state
	return b.save(&settled)
}

func (b *bench) revive(id uuid.UUID) *delivery.Delivery {
	b.Helper()
	revived, err := b.store.Revive(b.Context(), id)
	require.NoError(b, err)
	return revived
}

func (b *bench) pending() int {
	b.Helper()
	n := 0
	for _, c := range b.count() {
		n += c.Pending
	}
	return n
}

// clock stands still unless it is moved.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func newClock() *clock {
	return &clock{time: time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}
