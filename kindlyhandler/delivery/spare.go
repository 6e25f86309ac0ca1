package delivery

import (
	"sync"
	"sync/atomic"
)

// maxSpares bounds the goroutines that wait for a next attempt.
const maxSpares = 64

// spares are goroutines that have made a first attempt, and wait for another:
// a new one would have to grow its stack for each, which takes longer than to
// prepare a request.
type spares struct {
	next    chan *attempt
	waiting atomic.Int32
	all     sync.WaitGroup
}

// start makes an attempt in the background.
func (q *Dispatcher) start(a *attempt) {
	select {
	case q.spares.next <- a:
	default:
		q.spares.all.Go(func() { q.makeAttempts(a) })
	}
}

// makeAttempts makes an attempt, and others until the dispatcher stops.
func (q *Dispatcher) makeAttempts(a *attempt) {
	for {
		a.run()
		a = nil //nolint:wastedassign // it is large, and not to be kept while this waits
		if q.spares.waiting.Add(1) > maxSpares {
			q.spares.waiting.Add(-1)
			return
		}
		select {
		case a = <-q.spares.next:
			q.spares.waiting.Add(-1)
		case <-q.running.Done():
			return
		}
	}
}
