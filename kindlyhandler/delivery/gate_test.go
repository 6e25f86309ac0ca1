package delivery

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestGateGivesBackWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.setLimit(1)
		require.True(t, g.tryEnter())
		require.False(t, g.tryEnter())

		ctx, cancel := context.WithCancelCause(t.Context())
		results := make(chan error, 2)
		go func() { results <- g.enter(ctx, firstAttempt) }()
		synctest.Wait()
		cancel(errStopped)
		require.ErrorIs(t, <-results, errStopped)
		require.Empty(t, g.waiting[firstAttempt])
		g.leave()
		require.True(t, g.tryEnter(), "nobody holds the place")
	})
}

// Whoever gives up at the moment in which he is admitted passes the place on.
func TestGateLosesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.setLimit(1)
		require.True(t, g.tryEnter())
		ctx, cancel := context.WithCancelCause(t.Context())
		gaveUp, patient := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- g.enter(ctx, firstAttempt) }()
		go func() { patient <- g.enter(t.Context(), laterAttempt) }()
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
		var g gate
		var order []string
		wait := func(class int, name string) {
			go func() {
				if g.enter(t.Context(), class) == nil {
					order = append(order, name)
					g.leave()
				}
			}()
			synctest.Wait()
		}
		wait(laterAttempt, "later 1")
		wait(firstAttempt, "first 1")
		wait(laterAttempt, "later 2")
		wait(firstAttempt, "first 2")
		require.Empty(t, order, "the limit is 0")
		g.setLimit(1)
		synctest.Wait()
		require.Equal(t, []string{"first 1", "first 2", "later 1", "later 2"}, order)
		require.Zero(t, g.in)
	})
}
