package kindlyhandler

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/redact"
)

// Handler answers the webhooks of one Kindly bot. It is safe for concurrent
// use.
type Handler struct {
	name          string
	verifier      *verifier
	verifyToken   string
	chatAuth      *chatAuth // nil if user tokens are not checked
	allow         string
	maxBody       int64
	dedupe        time.Duration
	events        eventPatterns
	ignoreSources []string
	redactor      *redact.Redactor // nil if nothing is redacted
	transcripts   *transcriptAPI   // nil if they are turned off
	targets       []*target
	retry         delivery.RetryPolicy
	respondWithin time.Duration
	answers       answers
	log           *zap.Logger
	observer      Observer
	tracer        trace.Tracer // nil if nobody provides one

	dispatcher atomic.Pointer[delivery.Dispatcher]
	connect    sync.Once
	connected  chan struct{} // closed by Connect
	complaints complaints
}

// Connect makes the handler put its deliveries into d, which must know its
// [Handler.Lanes]. Webhooks that come before wait for it, as long as their
// answers may. It can be connected to another one before the first is closed.
func (h *Handler) Connect(d *delivery.Dispatcher) {
	h.dispatcher.Store(d)
	h.connect.Do(func() { close(h.connected) })
}

// Lanes returns what a dispatcher needs to know to deliver for the handler.
func (h *Handler) Lanes() map[delivery.Lane]delivery.Definition {
	lanes := make(map[delivery.Lane]delivery.Definition, len(h.targets))
	for _, t := range h.targets {
		lanes[t.lane] = delivery.Definition{Target: t, Concurrency: t.concurrency, Rate: t.rate, Retry: h.retry, Observer: t.observer}
	}
	return lanes
}

// Close lets go of idle connections. The handler can still be used.
func (h *Handler) Close() {
	h.transcripts.close()
	for _, t := range h.targets {
		t.upstream.Close()
	}
}

// ServeHTTP answers a webhook.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var refused *Error
	if _, err := h.Serve(w, r); errors.As(err, &refused) {
		http.Error(w, refused.Error(), refused.Status)
	}
}

// Serve answers a webhook, and tells what became of it. If that is refused,
// nothing is written but headers, and the error is an [*Error] with the status
// to answer.
//
// Everything from the signature on goes on when the caller hangs up, and only
// here is the request touched.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) (Result, error) {
	started := time.Now()
	e, result, refusal := h.admit(w, r, started)
	if refusal != nil {
		return h.refused(w, r, refusal, started)
	}
	if e == nil {
		return result, nil
	}
	ctx, span := h.beginWebhook(context.WithoutCancel(r.Context()), started)
	receipt, deliveries, err := h.submit(ctx, e, encodeTrace(ctx), started)
	if err != nil && !e.dialogue {
		h.endWebhook(span, h.result(e, string(reasonStore)), nil)
		return h.refused(w, r, refuse(http.StatusServiceUnavailable, reasonStore, err), started)
	}
	if err != nil {
		result := h.result(e, outcomeNotStored)
		h.endWebhook(span, result, nil)
		h.observer.Webhook(result, time.Since(started))
		h.logNotStored(r, err)
		h.respond(w, h.answers.render(delivery.Dead, &facts{event: e}))
		return result, nil
	}
	result = h.result(e, outcomeOf(receipt))
	result.Delivery = receipt.Delivery.ID
	h.endWebhook(span, result, &receipt.Delivery)
	took := time.Since(started)
	h.observer.Webhook(result, took)
	h.logAccepted(result, deliveries, took)
	h.respond(w, h.told(receipt, e))
	return result, nil
}

// admit takes a request as far as anybody can come without a place in the
// queue: if there is neither an event nor a refusal then, it is answered.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, started time.Time) (e *event, answered Result, refusal *Error) {
	authorization := h.chatAuth.take(r.Header)
	if r.Method == http.MethodGet && h.verifyToken != "" {
		answered, refusal = h.handshake(w, r, started)
		return nil, answered, refusal
	}
	body, refusal := h.receive(w, r)
	if refusal != nil {
		return nil, answered, refusal
	}
	if e, refusal = h.read(body); refusal != nil {
		return nil, answered, refusal
	}
	var why string
	switch {
	case !h.events.match(e.name):
		why = "events"
	case slices.Contains(h.ignoreSources, e.source):
		why = "ignore_source"
	default:
		return e, answered, h.authenticate(r, e, authorization)
	}
	answered = h.result(e, outcomeIgnored)
	h.observer.Webhook(answered, time.Since(started))
	h.log.Debug("webhook left out: it makes no ticket",
		zap.String("webhook", h.name), zap.String("event", answered.Event), zap.String("reason", why))
	h.respond(w, empty)
	return nil, answered, nil
}

// submit makes the event's deliveries, one for each upstream.
func (h *Handler) submit(ctx context.Context, e *event, trace string, received time.Time) (receipt delivery.Receipt, deliveries []*delivery.Delivery, err error) {
	if len(h.targets) == 0 {
		return receipt, nil, errNoUpstream
	}
	dispatcher, wait := h.awaitQueue()
	if dispatcher == nil {
		return receipt, nil, errNotReady
	}
	customer, err := encodeCustomer(e.verified)
	if err != nil {
		return receipt, nil, err
	}
	key, expires := h.key(e, received)
	deliveries = make([]*delivery.Delivery, len(h.targets))
	for i, t := range h.targets {
		id, err := uuid.NewV7()
		if err != nil {
			return receipt, nil, err
		}
		deliveries[i] = &delivery.Delivery{
			ID:         id,
			Lane:       t.lane,
			Key:        key,
			KeyExpires: expires,
			// Clones: what is parsed are parts of one string, which is the whole
			// webhook, and these two outlive it.
			Event:      strings.Clone(e.name),
			ChatID:     strings.Clone(e.chatID),
			ReceivedAt: received,
			Body:       e.raw,
			Customer:   customer,
			Trace:      trace,
		}
	}
	// For one attempt only: what is read from an event is not safe to share.
	deliveries[0].Memo = &memo{event: e}
	for {
		receipt, err = dispatcher.Submit(ctx, deliveries, wait)
		next := h.dispatcher.Load()
		if !errors.Is(err, delivery.ErrClosed) || next == dispatcher {
			return receipt, deliveries, err
		}
		dispatcher = next // connected since
	}
}

var (
	errNoUpstream = errors.New("there is no upstream")
	errNotReady   = errors.New("the queue is not ready")
)

// awaitQueue returns the queue when the handler is connected, which it usually
// is, and how long the answer may still wait then.
func (h *Handler) awaitQueue() (*delivery.Dispatcher, time.Duration) {
	if dispatcher := h.dispatcher.Load(); dispatcher != nil {
		return dispatcher, h.respondWithin
	}
	patience := h.respondWithin
	if patience == 0 {
		patience = DefaultRespondWithin
	}
	deadline := time.Now().Add(patience)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-h.connected:
		return h.dispatcher.Load(), min(h.respondWithin, max(time.Until(deadline), time.Millisecond))
	case <-timer.C:
		return nil, 0
	}
}

// The time in which an identical webhook is taken for the same one. A dialogue
// webhook carries neither a time nor an id, so that a user who comes back to
// the dialogue sends the same bytes again, and means it.
const (
	defaultDialogueDedupe = 10 * time.Minute
	defaultTicketDedupe   = 24 * time.Hour
)

// key identifies the webhook by its bytes, not by its signature, which
// changes with the secret, nor by its user token: the same webhook with a
// better one makes no second ticket. They are those that came in: webhooks
// that differ only in what is redacted are two.
func (h *Handler) key(e *event, received time.Time) (delivery.Key, time.Time) {
	window := h.dedupe
	switch {
	case window < 0:
		return delivery.Key{}, time.Time{}
	case window == 0 && e.dialogue:
		window = defaultDialogueDedupe
	case window == 0:
		window = defaultTicketDedupe
	}
	return e.sum, received.Add(window)
}

// sum returns the key of a webhook by its bytes, if it may have one.
func (h *Handler) sum(body []byte) (key delivery.Key) {
	if h.dedupe < 0 || len(h.targets) == 0 {
		return key
	}
	hash := sha256.New()
	hash.Write([]byte(h.name))
	hash.Write([]byte{0})
	hash.Write(body)
	hash.Sum(key[:0])
	return key
}

// told returns what the chat is told.
func (h *Handler) told(receipt delivery.Receipt, e *event) []byte {
	d := &receipt.Delivery
	if d.State != delivery.Pending && len(d.Answer) > 0 {
		return d.Answer
	}
	if customer, err := decodeCustomer(d.Customer); err == nil && receipt.Duplicate {
		// In a copy: an attempt that was begun before another process turned out to
		// have been first may still read the event.
		known := *e
		known.verified = customer // as the first one proved it
		e = &known
	}
	return h.answers.render(d.State, &facts{id: d.ID, event: e, ticket: d.Ticket})
}

// logAccepted tells of a webhook that is stored. That is news where the chat has
// to be told that its ticket will follow, unless it is so for many; of the rest,
// attempts tell what goes wrong.
func (h *Handler) logAccepted(result Result, deliveries []*delivery.Delivery, took time.Duration) {
	level, more := zap.DebugLevel, 0
	if result.Outcome == delivery.Pending.String() && h.respondWithin > 0 {
		if n, ok := h.complaints.allow(reasonPending, time.Now()); ok {
			level, more = zap.InfoLevel, n
		}
	}
	c := h.log.Check(level, "webhook accepted")
	if c == nil {
		return
	}
	fields := []zap.Field{
		zap.Stringer("delivery", result.Delivery),
		zap.String("webhook", h.name),
		zap.String("event", result.Event),
		zap.String("outcome", result.Outcome),
		zap.Duration("duration", took),
	}
	if result.Outcome != outcomeDuplicate && len(deliveries) > 1 {
		others := make([]uuid.UUID, 0, len(deliveries)-1)
		for _, d := range deliveries[1:] {
			others = append(others, d.ID)
		}
		fields = append(fields, zap.Stringers("other_deliveries", others))
	}
	if more > 0 {
		fields = append(fields, zap.Int("not_logged", more))
	}
	c.Write(fields...)
}

// logNotStored tells that a dialogue webhook was not accepted. The chat is told
// so, with a 200, because Kindly shows nothing of other answers.
func (h *Handler) logNotStored(r *http.Request, err error) {
	if more, ok := h.complaints.allow(reasonStore, time.Now()); ok {
		h.log.Error("webhook not accepted: it cannot be stored",
			zap.String("webhook", h.name),
			zap.String("remote_addr", r.RemoteAddr),
			zap.Int("not_logged", more),
			zap.Error(err))
	}
}

func outcomeOf(receipt delivery.Receipt) string {
	if receipt.Duplicate {
		return outcomeDuplicate
	}
	return receipt.Delivery.State.String()
}

func (h *Handler) respond(w http.ResponseWriter, body []byte) {
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(body) // a caller who has hung up misses nothing but this
}

var jsonType = []string{"application/json"}
