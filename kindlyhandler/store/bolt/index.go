package bolt

import (
	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// index is what the store knows by heart. It changes when a transaction is
// made, and back if that fails. The store's mutex guards it.
type index struct {
	keys keys
	// chats counts the pending deliveries of each chat that has any, but for
	// revived ones, which have no place in its order.
	chats map[uint64]int32
	lanes map[delivery.Lane]*counts
	// pending is the sum over the lanes.
	pending int
	// claims has the deliveries that nobody may claim.
	claims map[uuid.UUID]claim
	// unsaved has completions that a reader may not find in the file yet: they
	// hold.
	unsaved map[uuid.UUID]*delivery.Delivery
	// saved are ids that claims or unsaved has only for readers that began
	// before the latest commit.
	saved []uuid.UUID
}

type counts struct {
	delivery.Counts
	// oldest is where to look for the oldest pending delivery: there is none
	// before it.
	oldest uuid.UUID
}

// claim is what is known of a delivery that nobody may claim.
type claim struct {
	state claimState
	// chat is the one in whose order the delivery has its place, 0 if it has
	// none.
	chat uint64
	// lost: the file has no such pending delivery. Damage took it, say.
	lost bool
}

type claimState uint8

const (
	_ claimState = iota
	// reading: Claim or Take is about to read it.
	reading
	// granted: somebody has it.
	granted
	// putting: its Put is under way. Who asked for it does not have it yet.
	putting
	// withdrawn: its Put failed, but it is in the file until it is taken out
	// again. Nobody is to see it.
	withdrawn
	// dropped: it is being removed. Whoever had it has lost it.
	dropped
)

func newIndex() index {
	return index{
		chats:   make(map[uint64]int32),
		lanes:   make(map[delivery.Lane]*counts),
		claims:  make(map[uuid.UUID]claim),
		unsaved: make(map[uuid.UUID]*delivery.Delivery),
	}
}

// reset forgets what is in the file, but not what is under way. Of that
// nothing is in the file until it is met there.
func (x *index) reset() {
	empty := newIndex()
	empty.claims, empty.unsaved, empty.saved = x.claims, x.unsaved, x.saved
	*x = empty
	for id, c := range x.claims {
		c.chat, c.lost = 0, true
		x.claims[id] = c
	}
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
func (x *index) appears(lane delivery.Lane, id uuid.UUID) (undo func()) {
	c := x.of(lane)
	before := c.oldest
	if c.Pending == 0 || lessID(id, c.oldest) {
		c.oldest = id
	}
	return func() { c.oldest = before }
}

// mark sets what is known of a delivery that nobody may claim.
func (x *index) mark(id uuid.UUID, c claim) (undo func()) {
	before, there := x.claims[id]
	x.claims[id] = c
	return func() {
		if there {
			x.claims[id] = before
		} else {
			delete(x.claims, id)
		}
	}
}

// present returns a delivery, read without what is under way, as it is now:
// nil if it is not to be seen. Who calls it reads the file still.
func (x *index) present(d *delivery.Delivery) *delivery.Delivery {
	c, claimed := x.claims[d.ID]
	if claimed && (c.state == putting || c.state == withdrawn) {
		return nil
	}
	if saved := x.unsaved[d.ID]; saved != nil {
		now := *saved
		return &now
	}
	d.Claimed = claimed
	return d
}

// forgetSaved forgets what was only for readers that began before the latest
// commit, unless there are some.
func (s *Store) forgetSaved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.index.saved) == 0 || !s.file.idle() {
		return
	}
	for _, id := range s.index.saved {
		delete(s.index.unsaved, id)
		if c := s.index.claims[id]; c.state == withdrawn || c.state == dropped {
			delete(s.index.claims, id)
		}
	}
	s.index.saved = nil
}

func lessID(a, b uuid.UUID) bool { return string(a[:]) < string(b[:]) }
