package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// countTimeout is how long Close waits for numbers that it only logs.
const countTimeout = time.Second

// Shutdown starts no more attempts and waits for those under way until ctx
// ends; what is cut off then stays pending. It may take five seconds longer if
// the store is slow, for what became of them is to be saved. Webhooks are still
// accepted, and wait for the next start, unless [RefuseWhileStopping].
func (q *Dispatcher) Shutdown(ctx context.Context) {
	q.mu.Lock()
	if !q.stopped {
		q.stopped = true
		q.stop()
	}
	q.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		q.loops.Wait()
		q.attempts.Wait()
		q.spares.all.Wait() // begun by attempts
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		q.cancel(errStopped)
		<-ended
	}
}

// Close ends what is under way, waits for calls of Submit to return, and
// closes the store. It cuts attempts off: call [Dispatcher.Shutdown] before, to
// give them time.
func (q *Dispatcher) Close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q.Shutdown(ctx)
	q.cancel(errStopped)
	q.requests.Wait()

	q.reportPending()
	return q.store.Close()
}

func (q *Dispatcher) reportPending() {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	pending := 0
	counts, _ := q.store.Count(ctx) // if it is not ready, nobody is told
	for _, c := range counts {
		pending += c.Pending
	}
	if pending > 0 {
		q.log.Info("closing the store with deliveries pending", zap.Int("pending", pending))
	}
}

// enter counts an attempt that begins; leave counts it out. It is false when
// none may begin any more.
func (q *Dispatcher) enter() bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.stopped {
		return false
	}
	q.attempts.Add(1)
	return true
}

// ending tells whether no attempt may begin any more.
func (q *Dispatcher) ending() bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.stopped
}

func (q *Dispatcher) leave() { q.attempts.Done() }

func (q *Dispatcher) enterRequest() bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed || q.stopped && q.refuseWhileStopping {
		return false
	}
	q.requests.Add(1)
	return true
}
