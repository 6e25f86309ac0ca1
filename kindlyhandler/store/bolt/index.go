package bolt

import (
	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// index is what the store knows by heart. It changes when a transaction is
// made, and back if that fails.
type index struct {
	keys keys
	// chats counts the pending deliveries of each chat that has any, but for
	// revived ones, which have no place in its order.
	chats map[uint64]uint8
	lanes map[delivery.Lane]*counts
	// pending is the sum over the lanes.
	pending int
	// claims has the deliveries that are being attempted.
	claims map[uuid.UUID]claim
	// unsaved has completions that are not committed yet: they hold.
	unsaved map[uuid.UUID]*delivery.Delivery
}

type counts struct {
	delivery.Counts
	// oldest is where to look for the oldest pending delivery: there is none
	// before it.
	oldest uuid.UUID
}

// claim is what is known of a claimed delivery.
type claim struct {
	chat uint64 // 0 if it is not counted
	// granted: somebody has the delivery; else Claim is about to read it.
	granted bool
}

func newIndex() index {
	return index{
		chats:   make(map[uint64]uint8),
		lanes:   make(map[delivery.Lane]*counts),
		claims:  make(map[uuid.UUID]claim),
		unsaved: make(map[uuid.UUID]*delivery.Delivery),
	}
}

// reset forgets what is in the file, but not what is under way.
func (x *index) reset() {
	empty := newIndex()
	empty.claims, empty.unsaved = x.claims, x.unsaved
	*x = empty
}

// of returns a lane's counts.
func (x *index) of(lane delivery.Lane) *counts {
	c := x.lanes[lane]
	if c == nil {
		c = &counts{}
		x.lanes[lane] = c
	}
	return c
}

// count adds n deliveries of a lane in a state, and returns how to undo that.
func (x *index) count(lane delivery.Lane, state delivery.State, n int) (undo func()) {
	x.add(lane, state, n)
	return func() { x.add(lane, state, -n) }
}

func (x *index) add(lane delivery.Lane, state delivery.State, n int) {
	c := x.of(lane)
	switch state {
	case delivery.Pending:
		c.Pending += n
		x.pending += n
	case delivery.Delivered:
		c.Delivered += n
	case delivery.Dead:
		c.Dead += n
	}
}

// enterChat counts one more pending delivery of a chat.
func (x *index) enterChat(chat uint64) (undo func()) {
	if chat == 0 {
		return func() {}
	}
	x.chats[chat]++
	return func() { x.leave(chat) }
}

// leaveChat counts one less.
func (x *index) leaveChat(chat uint64) (undo func()) {
	if chat == 0 {
		return func() {}
	}
	x.leave(chat)
	return func() { x.chats[chat]++ }
}

func (x *index) leave(chat uint64) {
	if x.chats[chat]--; x.chats[chat] == 0 {
		delete(x.chats, chat)
	}
}

// appears notes that a delivery is pending, so that it can be the oldest one.
func (x *index) appears(lane delivery.Lane, id uuid.UUID) {
	c := x.of(lane)
	if c.Pending == 0 || lessID(id, c.oldest) {
		c.oldest = id
	}
}

func lessID(a, b uuid.UUID) bool { return string(a[:]) < string(b[:]) }
