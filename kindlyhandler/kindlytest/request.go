package kindlytest

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Request is a request as it reached a simulated server, however it was
// answered.
type Request struct {
	// ChatID is the chat whose transcript was asked for, decoded; empty for
	// requests to other paths, and for a help desk.
	ChatID string
	Method string
	// URI is path and query as they were sent, still escaped.
	URI string
	// Header is shared with other copies of this Request: do not change it.
	Header   http.Header
	Received time.Time
}

func newRequest(r *http.Request, chatID string) Request {
	return Request{ChatID: chatID, Method: r.Method, URI: r.RequestURI, Header: r.Header, Received: time.Now()}
}

// journal is a growing list that is read by copying it.
type journal[T any] struct {
	mu      sync.Mutex
	entries []T
}

func (j *journal[T]) add(entry T) {
	j.mu.Lock()
	j.entries = append(j.entries, entry)
	j.mu.Unlock()
}

func (j *journal[T]) list() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}
