package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Errors of a [Store]. Whatever else it returns means that the call had no
// effect, and may have one if it is repeated.
var (
	// ErrFull means that the store holds as much as it may, ErrChatFull that it
	// does of this chat.
	ErrFull     = errors.New("the queue is full: as much is pending as may be (max_pending)")
	ErrChatFull = fmt.Errorf("the chat has %d pending deliveries, as many as one may have", MaxPendingPerChat)
	// ErrDuplicate means that a delivery with the same key is there already.
	ErrDuplicate = errors.New("the webhook is stored already")
	// ErrNotFound means that there is no such delivery, or none in a state
	// that the call asks for.
	ErrNotFound = errors.New("no such delivery")
	// ErrBusy means that a delivery is being attempted, or waits for an
	// earlier one of its chat.
	ErrBusy = errors.New("the delivery is being attempted, or waits for an earlier one of its chat")
	// ErrUnreadable means that a delivery is there, but that this process cannot
	// read it: it is damaged, or encrypted with a key that is not here. It says
	// nothing of others.
	ErrUnreadable = errors.New("the delivery cannot be read here")
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
	// whose KeyExpires is still to come, and with ErrFull or ErrChatFull at a
	// limit. If ctx ends first, it fails, and nothing is stored.
	Put(ctx context.Context, deliveries []*Delivery) error

	// Import stores deliveries from another store as they are, in whatever
	// state, under the same ids, all or none, without limits, and returns how
	// many that were. Those whose id is there already are left alone and not
	// counted. A key that is taken already stays with whom it is: the imported
	// delivery makes no duplicates then. Deliveries of one chat keep the order
	// of the slice, behind those of the chat that are there. None is claimed.
	//
	// Several deliveries of one webhook (with the same Key) come in one call, in
	// their order.
	Import(ctx context.Context, deliveries []*Delivery) (imported int, err error)

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

	// Take claims a pending delivery, due or not. It fails with ErrBusy if that
	// is claimed, or held back by an older one of its chat, and with
	// ErrNotFound unless there is such a pending delivery.
	Take(ctx context.Context, id uuid.UUID) (*Delivery, error)

	// Get returns a delivery with all that is kept of it, or fails with
	// ErrNotFound.
	Get(ctx context.Context, id uuid.UUID) (*Delivery, error)

	// List returns the deliveries that the query asks for, the newest ids
	// first, without Body, Customer and Transcript.
	List(ctx context.Context, query Query) (Page, error)

	// Drop removes a delivery, also a claimed one, whose Save will fail with
	// ErrNotFound then, and returns it without Body, Customer and Transcript.
	// Its key makes no duplicates any more. It fails with ErrNotFound if there
	// is no such delivery.
	Drop(ctx context.Context, id uuid.UUID) (*Delivery, error)

	// Erase drops all deliveries of a chat, in every lane and state, and
	// returns how many there were. Those without a chat are of none. What a
	// store keeps of them on a disk, also of earlier ones, is gone soon after.
	Erase(ctx context.Context, chatID string) (int, error)

	// Count counts the deliveries of each lane that has any.
	Count(ctx context.Context) (map[Lane]Counts, error)

	// Close releases what the store holds, and ends all claims. Later calls of
	// the other methods fail with ErrClosed.
	Close() error
}

// Query says which deliveries [Store.List] returns. Zero fields do not
// restrict.
type Query struct {
	// States are the states that are wanted.
	States []State
	// Webhook and Upstream are names of a [Lane].
	Webhook, Upstream string
	ChatID            string
	// Before lists only deliveries with ids below it: the cursor.
	Before uuid.UUID
	// Limit bounds the deliveries of a page; it is at least 1.
	Limit int
}

// Page is a part of a list.
type Page struct {
	Deliveries []*Delivery
	// Before is the [Query.Before] of the next page, zero at the end of the
	// list. A page may have fewer deliveries than the limit, even none,
	// without being the last: what one call looks through is bounded.
	Before uuid.UUID
}

// Counts says how many deliveries of a lane there are in each state.
type Counts struct {
	Pending, Delivered, Dead int
	// OldestPending is when the oldest pending one was received; zero without
	// any.
	OldestPending time.Time
}
