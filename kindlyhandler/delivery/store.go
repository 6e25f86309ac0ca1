package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Errors of a [Store]. Whatever else it returns means that the call had no
// effect, and may have one if it is repeated.
var (
	// ErrFull means that the store holds as many deliveries as it may, in all
	// or of this chat.
	ErrFull = errors.New("the queue is full")
	// ErrDuplicate means that a delivery with the same key is there already.
	ErrDuplicate = errors.New("the webhook is stored already")
	// ErrNotFound means that there is no such delivery, or none in a state
	// that the call asks for.
	ErrNotFound = errors.New("no such delivery")
	// ErrClosed means that the store, or the dispatcher, was closed.
	ErrClosed = errors.New("closed")
)

// MaxPendingPerChat is how many deliveries of one chat may be pending in one
// lane. Visitors can cause signed webhooks: without a bound, one chat could
// fill the queue.
const MaxPendingPerChat = 100

// Store keeps deliveries. Its methods are safe for concurrent use, take what
// they are given and return as copies: a change to a Delivery takes effect
// through Save only. A call whose ctx has ended before it fails, and has no
// effect.
//
// Deliveries of one chat in one lane are ordered by their Put. Only the oldest
// pending one of them can be claimed; deliveries without a chat are not
// ordered.
//
// Every engine passes the conformance suite in package storetest.
type Store interface {
	// Put commits the deliveries of one webhook, all of them or none, and
	// returns when they are as durable as the engine makes them. For each that
	// asks for it, it grants the claim if no older delivery of its chat is
	// pending in its lane, else sets Claimed to false. They share one Key, and
	// no two are of one lane.
	//
	// It fails with ErrDuplicate if a delivery with the same key is there
	// whose KeyExpires is still to come, and with ErrFull at a limit. If ctx
	// ends first, it fails, and nothing is stored.
	Put(ctx context.Context, deliveries []*Delivery) error

	// Find returns the deliveries of the webhook whose Key has not expired, in
	// the order in which they were put, or none.
	Find(ctx context.Context, key Key) ([]*Delivery, error)

	// Claim returns up to limit pending deliveries of a lane that are due at
	// now, those first that are due the longest, and claims them for the
	// caller until Save or Close. The time is when the next one that can be
	// claimed is due, which may be over already; it is zero if there is none.
	Claim(ctx context.Context, lane Lane, now time.Time, limit int) ([]*Delivery, time.Time, error)

	// Save replaces a claimed delivery and ends the claim; without one it
	// fails with ErrNotFound. It tells whether that made a younger delivery of
	// the same chat claimable.
	Save(ctx context.Context, d *Delivery) (unblocked bool, err error)

	// Revive makes a dead letter pending and due now, and claims it. It is no
	// longer part of its chat's order: it is not held back, and holds back
	// none. Its Elapsed starts anew, its Answer is gone. It fails with
	// ErrNotFound unless there is such a dead letter.
	Revive(ctx context.Context, id uuid.UUID) (*Delivery, error)

	// Pending counts the pending deliveries.
	Pending(ctx context.Context) (int, error)

	// Close releases what the store holds, and ends all claims. Later calls of
	// the other methods fail with ErrClosed.
	Close() error
}
