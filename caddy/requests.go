package kindly

import (
	"sync/atomic"
	"time"
)

// requests are those under way in a configuration's handlers. A wait group
// would not do: more come while somebody waits for the end of those before.
type requests struct {
	n       atomic.Int64
	awaited atomic.Pointer[chan struct{}] // closed at n = 0
}

func (r *requests) enter() { r.n.Add(1) }

func (r *requests) none() bool { return r.n.Load() == 0 }

func (r *requests) leave() {
	if r.n.Add(-1) > 0 {
		return
	}
	if none := r.awaited.Swap(nil); none != nil {
		close(*none)
	}
}

// wait returns when there was a moment without requests since the call began,
// or after some time.
func (r *requests) wait(most time.Duration) {
	none := make(chan struct{})
	r.awaited.Store(&none)
	if r.none() {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	}
}
