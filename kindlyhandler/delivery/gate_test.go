package delivery

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newGate returns a gate that counts how often it tells of room.
func newGate(limit int, r Rate) (g *gate, freed *atomic.Int32) {
	freed = new(atomic.Int32)
	g = &gate{freed: func() { freed.Add(1) }}
	g.configure(limit, r)
	return g, freed
}

func TestGateGivesBackWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate(1, Rate{})
		require.NoError(t, g.enter(t.Context(), 0))
		require.ErrorIs(t, g.enter(t.Context(), 0), errNoRoom)

		ctx, cancel := context.WithCancelCause(t.Context())
		results := make(chan error, 2)
		go func() { results <- g.enter(ctx, time.Hour) }()
		synctest.Wait()
		cancel(errStopped)
		require.ErrorIs(t, <-results, errStopped)
		go func() { results <- g.enter(t.Context(), time.Second) }()
		require.ErrorIs(t, <-results, errNoRoom)
		require.Empty(t, g.waiting)
		g.leave()
		require.NoError(t, g.enter(t.Context(), 0), "nobody holds the place")
	})
}

// Whoever gives up at the moment in which he is admitted passes the place on.
func TestGateLosesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate(1, Rate{})
		require.NoError(t, g.enter(t.Context(), 0))
		ctx, cancel := context.WithCancelCause(t.Context())
		gaveUp, patient := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- g.enter(ctx, time.Hour) }()
		synctest.Wait()
		go func() { patient <- g.enter(t.Context(), time.Hour) }()
		synctest.Wait()

		g.mu.Lock()
		cancel(errStopped)
		g.in-- // leave, before he who gives up gets hold of the lock
		g.admit()
		g.mu.Unlock()
		require.ErrorIs(t, <-gaveUp, errStopped)
		require.NoError(t, <-patient)
		g.leave()
		require.Zero(t, g.in)
	})
}

func TestGateAdmitsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, freed := newGate(0, Rate{})
		var order []string
		wait := func(name string) {
			go func() {
				if g.enter(t.Context(), time.Hour) == nil {
					order = append(order, name)
					g.leave()
				}
			}()
			synctest.Wait()
		}
		wait("first")
		wait("second")
		wait("third")
		room, _ := g.reserve(1)
		require.Zero(t, room)
		require.Empty(t, order, "the limit is 0")
		g.configure(1, Rate{})
		synctest.Wait()
		require.Equal(t, []string{"first", "second", "third"}, order)
		require.Zero(t, g.in)
		require.EqualValues(t, 1, freed.Load(), "when nobody waits any more")
	})
}

func TestGateReservesWhatIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, freed := newGate(3, Rate{})
		require.NoError(t, g.enter(t.Context(), 0))
		room, wait := g.reserve(10)
		require.Equal(t, 2, room)
		require.Zero(t, wait)
		room, wait = g.reserve(10)
		require.Zero(t, room)
		require.Zero(t, wait)

		require.NoError(t, g.enter(t.Context(), 0), "first attempts take no notice")
		require.NoError(t, g.arrive())
		require.ErrorIs(t, g.arrive(), errNoRoom, "they took its place")
		require.Zero(t, freed.Load())
		g.leave()
		require.EqualValues(t, 1, freed.Load())
		g.leave()
		require.EqualValues(t, 1, freed.Load(), "it was told")
		room, _ = g.reserve(1)
		require.Equal(t, 1, room)
		g.release(1)
		g.leave()
		require.Zero(t, g.in)
		require.Zero(t, g.coming)
	})
}

func TestGateReservesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, freed := newGate(16, Rate{Attempts: 20, Per: time.Second}) // 3 at once, then 18 in a second
		room, _ := g.reserve(2)
		require.Equal(t, 2, room)
		room, _ = g.reserve(2)
		require.Equal(t, 1, room)
		room, wait := g.reserve(2)
		require.Zero(t, room)
		require.Zero(t, wait, "others are on their way")
		for range 3 {
			require.NoError(t, g.arrive())
		}
		require.EqualValues(t, 1, freed.Load())
		room, wait = g.reserve(2)
		require.Zero(t, room)
		require.InDelta(t, time.Second/18, wait, float64(time.Microsecond))
		time.Sleep(wait)
		room, _ = g.reserve(2)
		require.Equal(t, 1, room)

		require.NoError(t, g.enter(t.Context(), 0), "first attempts take no notice")
		go func() { assert.NoError(t, g.enter(t.Context(), time.Minute)) }()
		synctest.Wait()
		require.ErrorIs(t, g.arrive(), errNoRoom)
		room, wait = g.reserve(2)
		require.Zero(t, room)
		require.Zero(t, wait, "until nobody waits any more")
		time.Sleep(time.Second)
		require.EqualValues(t, 2, freed.Load())
	})
}
