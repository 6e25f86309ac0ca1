package memory

import (
	"container/heap"

	"github.com/google/uuid"
)

// dues orders records by when they are due, then by their age.
type dues []*record

func (h dues) Len() int { return len(h) }

func (h dues) Less(i, j int) bool {
	if c := h[i].DueAt.Compare(h[j].DueAt); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}

func (h dues) Swap(i, j int) { swap(h, i, j) }
func (h *dues) Push(x any)   { *h = push(*h, x) }
func (h *dues) Pop() any     { return pop((*[]*record)(h)) }

// expiries orders records by when they are forgotten.
type expiries []*record

func (h expiries) Len() int           { return len(h) }
func (h expiries) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h expiries) Swap(i, j int)      { swap(h, i, j) }
func (h *expiries) Push(x any)        { *h = push(*h, x) }
func (h *expiries) Pop() any          { return pop((*[]*record)(h)) }

// ages orders pending records by when they were received.
type ages []*record

func (h ages) Len() int           { return len(h) }
func (h ages) Less(i, j int) bool { return h[i].ReceivedAt.Before(h[j].ReceivedAt) }

func (h ages) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].age, h[j].age = i, j
}

func (h *ages) Push(x any) {
	r := x.(*record)
	r.age = len(*h)
	*h = append(*h, r)
}

func (h *ages) Pop() any { return pop((*[]*record)(h)) }

func swap(h []*record, i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func push(h []*record, x any) []*record {
	r := x.(*record)
	r.index = len(h)
	return append(h, r)
}

func pop(h *[]*record) any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// expirations orders deliveries of the archive by when they are forgotten.
type expirations []expiration

type expiration struct {
	at int64
	id uuid.UUID
}

func (h expirations) Len() int           { return len(h) }
func (h expirations) Less(i, j int) bool { return h[i].at < h[j].at }
func (h expirations) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are what package heap would use, if push and pop did not spare
// the allocations that come with it.
func (h *expirations) Push(any) {}
func (h *expirations) Pop() any { return nil }

func (h *expirations) push(e expiration) {
	*h = append(*h, e)
	heap.Fix(h, len(*h)-1)
}

func (h *expirations) pop() {
	last := len(*h) - 1
	h.Swap(0, last)
	*h = (*h)[:last]
	if last > 0 {
		heap.Fix(h, 0)
	}
}
