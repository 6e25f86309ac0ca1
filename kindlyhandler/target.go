package kindlyhandler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/span"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

// target is one upstream of a handler. Its attempts are: transcript, ticket,
// upstream.
type target struct {
	handler     *Handler
	lane        delivery.Lane
	upstream    *upstream.Upstream
	concurrency int
	rate        delivery.Rate
	observer    delivery.Observer
	header      []headerField
}

type headerField struct {
	name  string // canonical
	value *template
}

// memo is what is remembered of a webhook from its acceptance to the end of
// its first attempt.
type memo struct {
	event    *event
	customer *Customer
}

// maxTranscriptWait is for how long a ticket waits for an API that fails.
const maxTranscriptWait = 10 * time.Minute

// Attempt implements [delivery.Target].
func (t *target) Attempt(ctx context.Context, d *delivery.Delivery, proceed func() error) delivery.Outcome {
	ctx, s := t.resume(ctx, d, spanAttempt)
	if s.IsRecording() {
		return t.traced(ctx, s, d, proceed)
	}
	return t.attempt(ctx, d, proceed)
}

func (t *target) attempt(ctx context.Context, d *delivery.Delivery, proceed func() error) delivery.Outcome {
	m, err := remember(d)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Permanent, Stage: delivery.StageTicket, Err: err}
	}
	memory := transcriptsInMemory.Lease()
	defer memory.Release()
	transcript, missing := t.transcript(ctx, d, m.event, memory)
	if missing != nil && missing.transient && !t.waitedEnough(d) {
		return delivery.Outcome{
			Verdict: delivery.Transient,
			Stage:   delivery.StageTranscript,
			Status:  missing.status,
			Err:     missing.err,
		}
	}
	if missing != nil {
		d.TranscriptError = missing.Error()
	}
	request, err := t.ticket(ctx, d, m, transcript)
	if err != nil && ctx.Err() != nil {
		return delivery.Outcome{Verdict: delivery.Transient, Stage: delivery.StageTicket, Err: errCutOff}
	}
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Permanent, Stage: delivery.StageTicket, Err: err}
	}
	if err := proceed(); err != nil {
		if missing != nil {
			d.TranscriptError = "" // the next attempt asks again
		}
		return delivery.Outcome{Verdict: delivery.Transient, Stage: delivery.StageTicket, Err: err}
	}
	t.reportMissing(d, missing)
	ctx, s := span.Start(ctx, spanUpstream)
	o := t.upstream.Send(ctx, d.ID, request, t.headers(d, m))
	span.End(s, o.Status, failureOf(o))
	return o
}

// failureOf is why an attempt failed, nil if it did not.
func failureOf(o delivery.Outcome) error {
	if o.Verdict == delivery.Success {
		return nil
	}
	return o.Err
}

// ticket makes the ticket, and returns what is sent for it.
func (t *target) ticket(ctx context.Context, d *delivery.Delivery, m *memo, transcript *transcript) (upstream.Request, error) {
	ctx, s := span.Start(ctx, spanTicket)
	ticket := newTicket(d.ID, d.ReceivedAt, m.event, transcript, d.TranscriptError)
	customer := ticket.Customer // not a part of the ticket, which can be large
	m.customer = &customer
	request, err := t.request(ctx, ticket)
	span.End(s, 0, err)
	return request, err
}

var errCutOff = errors.New("cut off by a shutdown")

// request returns what is sent for a ticket.
func (t *target) request(ctx context.Context, ticket *Ticket) (r upstream.Request, err error) {
	if t.upstream.Maps() {
		r, err = t.upstream.Map(ctx, ticket.value(t.upstream.NeedsAll()))
		if err != nil || r.Body != nil {
			return r, err
		}
	}
	if r.Body, err = ticket.encode(); err != nil {
		return r, fmt.Errorf("encoding the ticket: %w", err)
	}
	return r, nil
}

// Prefetch implements [delivery.Prefetcher]: the ticket shows the chat as it
// was, however long the upstream is down. Each upstream of a webhook has a
// transcript of its own.
func (t *target) Prefetch(ctx context.Context, d *delivery.Delivery) {
	m, err := remember(d)
	if err != nil {
		return
	}
	ctx, s := t.resume(ctx, d, spanPrefetch)
	memory := transcriptsInMemory.Lease()
	defer memory.Release()
	_, missing := t.transcript(ctx, d, m.event, memory)
	missing.end(s)
}

// Answer implements [delivery.Target].
func (t *target) Answer(d *delivery.Delivery) []byte {
	m, err := remember(d)
	if err != nil {
		return empty
	}
	return t.handler.answers.render(d.State, t.facts(d, m))
}

// Preview implements [delivery.Previewer]: the ticket, unless its transcript
// has to be fetched first.
func (t *target) Preview(d *delivery.Delivery) []byte {
	m, err := remember(d)
	if err != nil {
		return nil
	}
	transcript, known := t.kept(d, m.event)
	if !known {
		return nil
	}
	body, err := newTicket(d.ID, d.ReceivedAt, m.event, transcript, d.TranscriptError).encode()
	if err != nil {
		return nil
	}
	return body
}

// remember returns the delivery's memo, which it makes anew for a later
// attempt.
func remember(d *delivery.Delivery) (*memo, error) {
	if m, ok := d.Memo.(*memo); ok {
		return m, nil
	}
	e, err := parseEvent(d.Body)
	if err != nil {
		return nil, fmt.Errorf("the stored webhook: %w", err)
	}
	if e.verified, err = decodeCustomer(d.Customer); err != nil {
		return nil, err
	}
	m := &memo{event: e}
	d.Memo = m
	return m, nil
}

// transcript returns the chat's transcript, nil if there is none, and why it
// could not be had now. What the delivery keeps of it spares later attempts
// the request.
func (t *target) transcript(ctx context.Context, d *delivery.Delivery, e *event, memory *outbound.Lease) (*transcript, *transcriptError) {
	if kept, known := t.kept(d, e); known {
		return kept, nil
	}
	ctx, s := span.Start(ctx, spanTranscript)
	fetched, failure := t.fetch(ctx, d, e, memory)
	failure.end(s)
	if failure != nil {
		memory.Release()
	}
	return fetched, failure
}

// fetch asks the API for the transcript, and lets the delivery keep it.
func (t *target) fetch(ctx context.Context, d *delivery.Delivery, e *event, memory *outbound.Lease) (*transcript, *transcriptError) {
	answer, failure := t.handler.transcripts.fetch(ctx, e.chatID, memory)
	if failure != nil {
		return nil, failure
	}
	answer = t.handler.redactor.JSON(answer, kept)
	parsed, err := parseTranscript(answer)
	if err != nil {
		return nil, &transcriptError{err: fmt.Errorf("transcript API: %w", err), status: http.StatusOK}
	}
	d.Transcript = answer
	return parsed, nil
}

// kept returns what the delivery has of the transcript, which may be nil. It is
// not known if the API has to be asked.
func (t *target) kept(d *delivery.Delivery, e *event) (kept *transcript, known bool) {
	if t.handler.transcripts == nil || e.carriesMessages() || d.TranscriptError != "" {
		return nil, true
	}
	if d.Transcript == nil {
		return nil, false
	}
	parsed, err := parseTranscript(d.Transcript)
	return parsed, err == nil
}

// waitedEnough tells whether the API has failed for so long that the ticket
// goes out without a transcript.
func (t *target) waitedEnough(d *delivery.Delivery) bool {
	for _, a := range d.Attempts {
		if a.Stage == delivery.StageTranscript {
			return time.Since(a.At) >= maxTranscriptWait
		}
	}
	return false
}

// reportMissing tells that a ticket goes out without its transcript, if there
// is a reason why.
func (t *target) reportMissing(d *delivery.Delivery, why *transcriptError) {
	if why == nil {
		return
	}
	t.handler.observer.TranscriptMissing()
	t.handler.log.Error("ticket goes out without the chat's transcript",
		zap.Stringer("delivery", d.ID),
		zap.String("webhook", t.lane.Webhook),
		zap.String("upstream", t.lane.Upstream),
		zap.Error(why.err))
}

func (t *target) facts(d *delivery.Delivery, m *memo) *facts {
	return &facts{id: d.ID, event: m.event, customer: m.customer, ticket: d.Ticket}
}

// headers returns the operator's header fields for one request, nil if there
// are none.
func (t *target) headers(d *delivery.Delivery, m *memo) http.Header {
	if len(t.header) == 0 {
		return nil
	}
	f := t.facts(d, m)
	header := make(http.Header, len(t.header)+4)
	for _, field := range t.header {
		header[field.name] = append(header[field.name], strings.Map(printable, field.value.expand(f, verbatim)))
	}
	return header
}

// printable replaces what would end a header field.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}
