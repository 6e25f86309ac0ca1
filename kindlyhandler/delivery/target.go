package delivery

import (
	"context"
	"time"
)

// Target makes the attempts of a lane.
type Target interface {
	// Attempt tries to deliver d once. It may set d's Transcript and
	// TranscriptError, which are kept for the next attempt; all else speaks
	// through the Outcome.
	//
	// It calls proceed once, after everything that only reads and before
	// anything that the upstream sees. If that fails, so does the attempt:
	// the webhook was not committed, or it is not this delivery's turn.
	Attempt(ctx context.Context, d *Delivery, proceed func() error) Outcome

	// Answer returns what the webhook is told of a delivery that has just
	// become Delivered or Dead.
	Answer(d *Delivery) []byte
}

// Previewer is a [Target] that can tell what it would send.
type Previewer interface {
	// Preview returns what an attempt to deliver d would send, or nil if it
	// had to ask anybody first. It may change d.
	Preview(d *Delivery) []byte
}

// Definition is how a lane delivers.
type Definition struct {
	Target Target
	// Concurrency bounds the attempts that are with the upstream at once. It
	// is at least 1.
	Concurrency int
	// Rate bounds the attempts in a time, first and later ones together. A
	// first attempt that cannot be made in time for its answer is left for
	// later.
	Rate  Rate
	Retry RetryPolicy
	// Observer is told of the attempts; nil: nobody is.
	Observer Observer
}

// Verdict says what an attempt means for its delivery and its lane.
type Verdict uint8

const (
	// Transient failures are retried.
	Transient Verdict = iota
	// Success means that the upstream has the ticket.
	Success
	// Permanent failures make a dead letter at once.
	Permanent
	// Refused (403, 404, 410) is either about this ticket or about the
	// configuration. It pauses the lane when three different deliveries in a
	// row get it, and is permanent for one that gets it again after another
	// one's success.
	Refused
	// Misconfigured failures (401, a redirect) pause the lane: no other
	// delivery would fare better.
	Misconfigured
)

// The stages of an attempt. Only what happens in [StageUpstream] tells
// something about the upstream.
const (
	StageTranscript = "transcript"
	StageTicket     = "ticket"
	StageUpstream   = "upstream"
)

// Outcome is the result of one attempt.
type Outcome struct {
	Verdict Verdict
	// Ticket is set for a Success.
	Ticket Ticket

	// Stage is where the attempt ended, one of the constants; Status the HTTP status if there was
	// one, and Err what went wrong, without any text of strangers.
	Stage  string
	Status int
	Err    error

	// Down says that the upstream seems to be down: a network error, a
	// timeout, a 5xx. Enough of these in a row open the lane's breaker.
	Down bool
	// Unknown says that the ticket may have arrived although the attempt
	// failed.
	Unknown bool
	// RetryAfter is how long the upstream asked to be left alone, at most
	// [MaxRetryAfter]; with HoldLane that holds for the whole lane.
	RetryAfter time.Duration
	HoldLane   bool
}
