package kindlytest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestTallyLosesNoWaiter counts and waits at the same time, many times.
func TestTallyLosesNoWaiter(t *testing.T) {
	ctx := testContext(t)
	for range 200 {
		var count tally
		var wg sync.WaitGroup
		for target := range 8 {
			wg.Go(func() { assert.NoError(t, count.wait(ctx, nil, target)) })
		}
		for range 7 {
			wg.Go(count.add)
		}
		wg.Wait()
		assert.Equal(t, 7, count.count())
		assert.Empty(t, count.waiters)
		assert.Zero(t, count.next.Load())
	}
}

func TestTallyForgetsWaiters(t *testing.T) {
	var count tally
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.EqualError(t, count.wait(ctx, nil, 3), "waiting for 3, have 0: context canceled")
	assert.Empty(t, count.waiters)
	assert.Zero(t, count.next.Load())
}
