package kindly

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r requests
		waits := func(most time.Duration) time.Duration {
			started := time.Now()
			r.wait(most)
			return time.Since(started)
		}
		require.Zero(t, waits(time.Minute), "there is none")

		for after := range 3 {
			r.enter()
			time.AfterFunc(time.Duration(after+1)*time.Second, r.leave)
		}
		require.Equal(t, 3*time.Second, waits(time.Minute), "for the last one")
		require.Zero(t, waits(time.Minute))

		r.enter()
		require.Equal(t, time.Second, waits(time.Second), "not longer than it may")
		r.leave()
		require.Zero(t, waits(time.Minute))
	})
}
