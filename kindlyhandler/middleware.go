package kindlyhandler

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Prepared is a webhook on its way to a next handler.
type Prepared struct{ facts facts }

// Placeholder returns the value of a placeholder such as "kindly.chat.id". The
// next handler may put it into a header: control characters are spaces.
func (p *Prepared) Placeholder(name string) (string, bool) {
	ours, ok := cutKnown(name)
	if !ok {
		return "", false
	}
	return strings.Map(printable, p.facts.value(ours)), true
}

// Prepare makes a verified webhook a ticket, for a next handler to take: it
// replaces the request's body by the ticket. Nothing is stored and nothing
// retried. If user tokens are checked, the next handler does not get them. It
// returns nil without an error if the request is answered
// already, and an [*Error] like [Handler.Serve] if it is refused.
func (h *Handler) Prepare(w http.ResponseWriter, r *http.Request) (*Prepared, Result, error) {
	started := time.Now()
	e, result, refusal := h.admit(w, r, started)
	if refusal == nil && e == nil {
		return nil, result, nil
	}
	var prepared *Prepared
	if refusal == nil {
		prepared, refusal = h.prepare(r, e, started)
	}
	if refusal != nil {
		result, err := h.refused(w, r, refusal, started)
		return nil, result, err
	}
	result = h.result(e, outcomePassedOn)
	result.Delivery = prepared.facts.id
	took := time.Since(started)
	h.observer.Webhook(result, took)
	h.log.Debug("webhook passed on", zap.Stringer("delivery", result.Delivery), zap.String("webhook", h.name),
		zap.String("event", result.Event), zap.Duration("duration", took))
	return prepared, result, nil
}

func (h *Handler) prepare(r *http.Request, e *event, started time.Time) (*Prepared, *Error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, refuse(http.StatusServiceUnavailable, reasonStore, err)
	}
	ctx, span := h.beginWebhook(context.WithoutCancel(r.Context()), started)
	ticket, body, err := h.ticketFor(ctx, id, e)
	if err != nil {
		h.endWebhook(span, h.result(e, string(reasonEncoding)), nil)
		return nil, refuse(http.StatusBadRequest, reasonEncoding, err)
	}
	replaceBody(r, body)
	h.endWebhook(span, h.result(e, outcomePassedOn), &delivery.Delivery{ID: id})
	return &Prepared{facts{id: id, event: e, customer: &ticket.Customer}}, nil
}

// ticketFor makes the event's ticket, with a transcript if it can be had.
func (h *Handler) ticketFor(ctx context.Context, id uuid.UUID, e *event) (*Ticket, []byte, error) {
	d := &delivery.Delivery{ID: id, Lane: delivery.Lane{Webhook: h.name}}
	t := &target{handler: h, lane: d.Lane}
	memory := transcriptsInMemory.Lease()
	defer memory.Release()
	transcript, missing := t.transcript(ctx, d, e, memory)
	if missing != nil {
		d.TranscriptError = missing.Error()
	}
	t.reportMissing(d, missing)
	ticket := newTicket(id, time.Now(), e, transcript, d.TranscriptError)
	body, err := ticket.encode()
	return ticket, body, err
}

// ofOldBody are the headers that speak of the body that Kindly sent.
var ofOldBody = []string{
	"Content-Encoding", "Content-Md5", "Content-Digest", "Repr-Digest", "Digest", "Transfer-Encoding", "Trailer", "Expect",
	canonicalSignatureHeader, canonicalAlgorithmHeader,
}

func replaceBody(r *http.Request, body []byte) {
	for _, name := range ofOldBody {
		delete(r.Header, name)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = nil
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Trailer = nil
}
