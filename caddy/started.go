package kindly

import (
	"slices"
	"sync"
	"time"
)

// started has the apps that were started. Requests outlive their
// configuration: servers finish them after the next one has taken over.
var started struct {
	mu sync.Mutex
	// running have a runtime, the newest last: while one configuration takes
	// over from another there are two.
	running []*App
	// ended were cleaned up and have requests under way.
	ended []*App
}

// newest returns the app that started last, nil if none is running.
// started.mu is held.
func newest() *App {
	if n := len(started.running); n > 0 {
		return started.running[n-1]
	}
	return nil
}

// currentRuntime returns the runtime of the configuration that runs, nil if
// none does or it has nothing to deliver.
func currentRuntime() *runtime {
	started.mu.Lock()
	defer started.mu.Unlock()
	if app := newest(); app != nil {
		return app.runtime
	}
	return nil
}

// enter makes the handlers put their deliveries into the runtime, at once
// unless the configuration before has another one: this configuration may yet
// fail, and what it had accepted would be left behind in a store of no
// configuration. Until then, its requests wait.
func (a *App) enter() {
	started.mu.Lock()
	defer started.mu.Unlock()
	before := newest()
	started.running = append(started.running, a)
	if before == nil || before.runtime == a.runtime {
		a.connect(a.runtime)
	}
}

// leave takes back what enter did, and leaves requests to the configuration
// that runs from now on.
func (a *App) leave() {
	started.mu.Lock()
	defer started.mu.Unlock()
	started.running = slices.DeleteFunc(started.running, func(other *App) bool { return other == a })
	a.ended.Store(true)
	started.ended = slices.DeleteFunc(append(started.ended, a), func(other *App) bool { return other.requests.none() })
	if running := newest(); running != nil {
		running.connect(running.runtime)
		for _, app := range started.ended {
			app.connect(running.runtime)
		}
	}
}

// admit counts a request in, and the function that it returns out. One that
// comes when its configuration has ended already, by a connection that was
// open, is left to the one that runs.
func (a *App) admit() (done func()) {
	a.requests.enter()
	if a.ended.Load() {
		started.mu.Lock()
		defer started.mu.Unlock()
		if running := newest(); running != nil {
			a.connect(running.runtime)
		}
	}
	return a.requests.leave
}

// connect makes the handlers put their deliveries into a runtime.
func (a *App) connect(r *runtime) {
	for _, h := range a.webhooks {
		h.handler.Connect(r.dispatcher)
	}
	for _, h := range a.twins {
		h.handler.Connect(r.dispatcher)
	}
}

// waitForEnded waits for the requests of configurations that have ended: they
// may use a runtime still that is not current any more.
func waitForEnded(most time.Duration) {
	started.mu.Lock()
	ended := slices.Clone(started.ended)
	started.mu.Unlock()
	deadline := time.Now().Add(most)
	for _, app := range ended {
		app.requests.wait(time.Until(deadline))
	}
}
