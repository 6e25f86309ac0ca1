// Package delivery keeps the promise that an accepted webhook becomes a
// ticket: it stores deliveries, attempts them, retries them, and knows when an
// upstream is not worth an attempt.
//
// It knows nothing of Kindly, tickets or HTTP: what an attempt does is the
// business of a [Target], where deliveries are kept that of a [Store].
package delivery

import (
	"time"

	"github.com/google/uuid"
)

// Lane names where a delivery belongs: one upstream of one webhook. Both are
// the names that the operator gave them, so that a delivery survives every
// reordering of the configuration.
type Lane struct {
	Webhook  string
	Upstream string
}

// Key tells identical webhooks. The zero Key is never a duplicate.
type Key [32]byte

// State is what has become of a delivery.
type State uint8

const (
	// Pending deliveries are attempted until they are delivered or dead.
	Pending State = iota
	// Delivered means that the upstream took the ticket.
	Delivered
	// Dead letters were refused for good, or failed for too long. They keep
	// all that another attempt needs.
	Dead
)

func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Delivered:
		return "delivered"
	case Dead:
		return "dead"
	default:
		return "unknown"
	}
}

// Delivery is one webhook on its way to one upstream. The slices in it are
// never written to once they are set.
type Delivery struct {
	// ID is a UUIDv7 and the Idempotency-Key of every attempt.
	ID   uuid.UUID
	Lane Lane

	// Key makes an identical webhook a duplicate until KeyExpires.
	Key        Key
	KeyExpires time.Time

	Event      string
	ChatID     string // orders deliveries; empty: no order
	ReceivedAt time.Time

	// Body is the webhook as it came in. It is dropped on delivery.
	Body []byte
	// Customer is what was proven, when the webhook came in, of the person whom
	// it is about; nil if nothing was. Its form is the [Target]'s. Like Body, it
	// never changes, and is dropped on delivery.
	Customer []byte
	// Transcript is what the first attempt that got hold of it keeps for the
	// later ones; TranscriptError says why there will be none. Dropped on
	// delivery.
	Transcript      []byte
	TranscriptError string
	// Trace is the span in which the webhook came in, empty if no trace was
	// on: a traceparent of W3C's Trace Context and, after a space, the
	// tracestate, if there is one. It never changes, and stays on delivery.
	Trace string

	State State
	// Claimed deliveries are being attempted. In [Store.Put] it asks for the
	// claim, and tells afterwards whether it was granted.
	Claimed bool
	// DueAt is when a pending delivery is attempted next.
	DueAt time.Time
	// Elapsed is the time that counts towards [RetryPolicy.MaxElapsed] until
	// the end of the latest attempt, or of the interval after it.
	Elapsed time.Duration
	// Tries counts the attempts that were not cut off by a shutdown; Attempts
	// has the latest of all.
	Tries    int
	Attempts []Attempt

	// Ticket is what the upstream made of it.
	Ticket Ticket
	// Answer is what the webhook, and each repetition of it, is told of a
	// delivery that is no longer pending. Its form is the [Target]'s.
	Answer []byte

	// Memo is for the [Target] to remember between accepting a webhook and
	// its first attempt what it would otherwise work out again. It is not
	// stored.
	Memo any
}

// LastEnded returns when the latest attempt ended, or when the webhook came in
// if there was none: for a settled delivery that is when it was settled.
func (d *Delivery) LastEnded() time.Time {
	if n := len(d.Attempts); n > 0 {
		return d.Attempts[n-1].At.Add(d.Attempts[n-1].Duration)
	}
	return d.ReceivedAt
}

// Ticket is how an upstream names what it has made of a delivery. Either field
// may be empty.
type Ticket struct {
	ID  string
	URL string
}

// Attempt is one try to deliver.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	Stage    string
	// Status is the HTTP status, 0 if there was none.
	Status int
	// Error is empty for a success. It holds no text of strangers.
	Error string
	// Unknown says that the upstream may have taken the ticket all the same:
	// the request was sent, its answer never came.
	Unknown bool
}

// maxAttempts bounds the history of one delivery.
const maxAttempts = 50

// record returns attempts with a appended and the oldest dropped beyond
// maxAttempts, in a slice of its own: stores share slices.
func record(attempts []Attempt, a Attempt) []Attempt {
	keep := attempts
	if len(keep) >= maxAttempts {
		keep = keep[len(keep)-maxAttempts+1:]
	}
	recorded := make([]Attempt, len(keep), len(keep)+1)
	copy(recorded, keep)
	return append(recorded, a)
}
