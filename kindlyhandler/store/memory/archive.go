package memory

import (
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// archive keeps what was delivered, which is most of what a store has, as bytes
// in a few pages. Nothing in it is a pointer that the garbage collector would
// follow: a long history costs memory, but no time.
type archive struct {
	entries map[uuid.UUID]entry
	order   expirations
	lanes   []delivery.Lane
	pages   map[uint32]*page
	filling map[int64]uint32 // the page to write to, by its period
	written uint32           // how many pages there were so far
}

// entry is where a delivery is, and what the store needs of it.
type entry struct {
	older          uuid.UUID // see [Store.byKey]
	keyExpires     int64
	lane           uint32
	page, at, size uint32
}

// page holds deliveries that are forgotten within one period, so that none of
// them keeps a page of others for long.
type page struct {
	period int64
	data   []byte
	live   int // how many of its deliveries are still there
}

const (
	pageSize = 64 << 10
	period   = int64(10 * time.Minute)
)

func newArchive() *archive {
	return &archive{entries: make(map[uuid.UUID]entry), pages: make(map[uint32]*page), filling: make(map[int64]uint32)}
}

// add takes a delivery in.
func (a *archive) add(d *delivery.Delivery, older uuid.UUID, expires time.Time) {
	var buffer [512]byte
	packed := pack(buffer[:0], d)
	number, p := a.pageFor(len(packed), nanos(expires)/period)
	a.entries[d.ID] = entry{
		older:      older,
		keyExpires: nanos(d.KeyExpires),
		lane:       a.laneNumber(d.Lane),
		page:       number,
		at:         uint32(len(p.data)),
		size:       uint32(len(packed)),
	}
	p.data = append(p.data, packed...)
	p.live++
	a.order.push(expiration{nanos(expires), d.ID})
}

// pageFor returns a page of a period that has room.
func (a *archive) pageFor(size int, period int64) (uint32, *page) {
	number, ok := a.filling[period]
	if p := a.pages[number]; ok && len(p.data)+size <= cap(p.data) {
		return number, p
	}
	a.written++
	p := &page{period: period, data: make([]byte, 0, max(pageSize, size))}
	a.pages[a.written], a.filling[period] = p, a.written
	return a.written, p
}

// laneNumber returns the place of a lane in lanes, of which there are few.
func (a *archive) laneNumber(lane delivery.Lane) uint32 {
	for i, l := range a.lanes {
		if l == lane {
			return uint32(i)
		}
	}
	a.lanes = append(a.lanes, lane)
	return uint32(len(a.lanes) - 1)
}

// get returns a delivery, nil if it is not here.
func (a *archive) get(id uuid.UUID) *delivery.Delivery {
	e, ok := a.entries[id]
	if !ok {
		return nil
	}
	d := unpack(a.packed(e))
	d.ID, d.Lane, d.State, d.KeyExpires = id, a.lanes[e.lane], delivery.Delivered, timeOf(e.keyExpires)
	return d
}

func (a *archive) packed(e entry) []byte { return a.pages[e.page].data[e.at : e.at+e.size] }

// chat returns the id of an entry's chat.
func (a *archive) chat(e entry) []byte { return packedChat(a.packed(e)) }

// remove forgets a delivery, and overwrites it: it may have been erased for
// somebody's privacy.
func (a *archive) remove(id uuid.UUID) {
	e := a.entries[id]
	delete(a.entries, id)
	clear(a.packed(e))
	p := a.pages[e.page]
	if p.live--; p.live > 0 {
		return
	}
	delete(a.pages, e.page)
	if a.filling[p.period] == e.page {
		delete(a.filling, p.period)
	}
}

// first returns the delivery that is forgotten next, and when.
func (a *archive) first() (id uuid.UUID, expires time.Time, ok bool) {
	for len(a.order) > 0 {
		next := a.order[0]
		if _, ok := a.entries[next.id]; ok {
			return next.id, timeOf(next.at), true
		}
		a.order.pop() // removed before its time
	}
	return uuid.Nil, time.Time{}, false
}
