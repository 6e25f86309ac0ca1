package kindlytest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HelpDesk is a simulated help desk. A POST, PUT or PATCH to any path is a
// ticket: it is recorded and answered 201 with its number and its address,
//
//	{"id":1,"url":"http://127.0.0.1:12345/tickets/1"}
//
// GET /tickets/<n> shows a recorded ticket as JSON. The content of tickets is
// not looked at, only bounded: 64 MiB.
//
// A ticket that carries the Idempotency-Key of an earlier one is not recorded
// again, but answered 200 with the earlier one's number, whatever its content.
type HelpDesk struct {
	// URL is the help desk's base URL, without a slash at the end.
	URL string

	// FirstID is the number of the first ticket; the others count on from
	// it. By default it is 1.
	FirstID int64

	// IgnoreIdempotencyKey makes a new ticket of every accepted request,
	// like most real help desks.
	IgnoreIdempotencyKey bool

	// Forget keeps only counts and idempotency keys, neither tickets nor
	// requests, so that memory stays bounded under load.
	Forget bool

	// Tokens, if it is set, gives the access tokens without which a ticket is
	// answered 401.
	Tokens *TokenEndpoint

	faults

	server   *server
	requests journal[Request]
	attempts tally
	accepted tally
	repeats  atomic.Int64

	mu      sync.Mutex
	issued  int64            // how many numbers were given out
	byKey   map[string]int64 // ids by idempotency key
	tickets []Ticket
}

// Ticket is a ticket as it was accepted. Body and Header are shared with other
// copies of it: do not change them.
type Ticket struct {
	// ID is the ticket's number in decimal.
	ID     string
	Method string
	// URI is path and query as they were sent, still escaped.
	URI    string
	Header http.Header
	Body   []byte
	// IdempotencyKey is the header of that name; empty if there was none.
	IdempotencyKey string
	Received       time.Time
}

// NewHelpDesk starts a simulated help desk on a free loopback port. The caller
// has to close it. It panics if there is no port to listen on.
func NewHelpDesk() *HelpDesk {
	h := &HelpDesk{FirstID: 1, byKey: make(map[string]int64)}
	h.server = listen(http.HandlerFunc(h.serve))
	h.URL = h.server.url
	return h
}

// Close ends all requests, also hanging ones, and frees the port. What was
// recorded can still be read.
func (h *HelpDesk) Close() {
	h.server.close()
}

// Tickets returns the accepted tickets in the order of their numbers. It is
// empty if Forget is set.
func (h *HelpDesk) Tickets() []Ticket {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Ticket(nil), h.tickets...)
}

// Count returns how many tickets were accepted, repetitions not counted. It is
// cheap.
func (h *HelpDesk) Count() int {
	return h.accepted.count()
}

// Repeats returns how many requests were answered with an earlier ticket's
// number because they had its Idempotency-Key.
func (h *HelpDesk) Repeats() int {
	return int(h.repeats.Load())
}

// Attempts returns how many requests that carry a ticket have arrived, also
// repetitions and those that failed on purpose. It is cheap.
func (h *HelpDesk) Attempts() int {
	return h.attempts.count()
}

// Requests returns the requests that Attempts counts, in order of arrival. It
// is empty if Forget is set.
func (h *HelpDesk) Requests() []Request {
	return h.requests.list()
}

// Wait returns when n tickets were accepted, repetitions not counted; their
// answers may still be on the way. It fails when ctx ends, and with
// [ErrClosed] after Close.
func (h *HelpDesk) Wait(ctx context.Context, n int) error {
	return h.accepted.wait(ctx, h.server.closing, n)
}

// WaitAttempts returns when n requests have arrived, as Attempts counts them:
// with [Hang], say, when n requests hang. It fails as Wait does.
func (h *HelpDesk) WaitAttempts(ctx context.Context, n int) error {
	return h.attempts.wait(ctx, h.server.closing, n)
}

func (h *HelpDesk) serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.show(r.URL.Path).write(w)
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		h.take(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, PATCH, POST, PUT")
		refusal(http.StatusMethodNotAllowed, "no such method").write(w)
	}
}

// take treats a request that carries a ticket.
func (h *HelpDesk) take(w http.ResponseWriter, r *http.Request) {
	request := newRequest(r, "")
	if !h.Forget {
		h.requests.add(request)
	}
	mode := h.next()
	h.attempts.add() // last, so that whoever waits finds all of it done
	var body []byte
	if !mode.unread {
		var ok bool
		if body, ok = readBody(w, r, h.Forget); !ok {
			return
		}
	}
	h.server.handle(w, r, mode, func() answer {
		return h.accept(request, body)
	})
}

// accept records a ticket, unless it was before or has no token, and returns the
// answer.
func (h *HelpDesk) accept(r Request, body []byte) answer {
	if h.Tokens != nil && !h.Tokens.Accepts(r.Header.Get("Authorization")) {
		return refusal(http.StatusUnauthorized, "no token that is good")
	}
	key := r.Header.Get("Idempotency-Key")
	id, repeated := h.record(r, key, body)
	status := http.StatusCreated
	if repeated {
		h.repeats.Add(1)
		status = http.StatusOK
	} else {
		h.accepted.add()
	}
	number := strconv.FormatInt(id, 10)
	return answer{
		status:      status,
		contentType: jsonType,
		body:        []byte(`{"id":` + number + `,"url":"` + h.URL + `/tickets/` + number + `"}`),
	}
}

// record gives a ticket its number, or that of the earlier one with its key.
func (h *HelpDesk) record(r Request, key string, body []byte) (id int64, repeated bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	useKey := key != "" && !h.IgnoreIdempotencyKey
	if useKey {
		if id, repeated = h.byKey[key]; repeated {
			return id, true
		}
	}
	id = h.FirstID + h.issued
	h.issued++
	if useKey {
		h.byKey[key] = id
	}
	if !h.Forget {
		h.tickets = append(h.tickets, Ticket{
			ID:             strconv.FormatInt(id, 10),
			Method:         r.Method,
			URI:            r.URI,
			Header:         r.Header,
			Body:           body,
			IdempotencyKey: key,
			Received:       r.Received,
		})
	}
	return id, false
}

// show answers GET /tickets/<n>. Headers are left out: they contain keys.
func (h *HelpDesk) show(path string) answer {
	ticket, ok := h.find(path)
	if !ok {
		return refusal(http.StatusNotFound, "no such ticket")
	}
	page := struct {
		ID             json.Number `json:"id"`
		Received       time.Time   `json:"received"`
		IdempotencyKey string      `json:"idempotency_key"`
		Body           any         `json:"body"`
	}{json.Number(ticket.ID), ticket.Received.UTC(), ticket.IdempotencyKey, string(ticket.Body)}
	if json.Valid(ticket.Body) {
		page.Body = json.RawMessage(ticket.Body)
	}
	// Marshal escapes <, > and & everywhere, also in the ticket.
	body, err := json.Marshal(page)
	if err != nil {
		return refusal(http.StatusInternalServerError, err.Error())
	}
	return answer{
		status:      http.StatusOK,
		contentType: jsonType,
		header:      http.Header{"X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"}},
		body:        body,
	}
}

// find returns the ticket at a path.
func (h *HelpDesk) find(path string) (Ticket, bool) {
	number, ok := strings.CutPrefix(path, "/tickets/")
	if !ok {
		return Ticket{}, false
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return Ticket{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i := id - h.FirstID
	if i < 0 || i >= int64(len(h.tickets)) || h.tickets[i].ID != number {
		return Ticket{}, false
	}
	return h.tickets[i], true
}
