package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Source is where deliveries come from: a [delivery.Store], or a
// [delivery.Dispatcher].
type Source interface {
	List(ctx context.Context, query delivery.Query) (delivery.Page, error)
	Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error)
}

// Export writes all deliveries to w, and returns how many that were. What comes
// meanwhile may be among them; what is being attempted is written as pending.
// It takes some 30 bytes of memory for each delivery. Nothing is written before
// all ids are known.
func Export(ctx context.Context, from Source, w io.Writer) (int, error) {
	refs, err := list(ctx, from)
	if err != nil {
		return 0, err
	}
	out := NewWriter(w)
	for _, ref := range refs {
		d, err := from.Get(ctx, ref.id)
		if errors.Is(err, delivery.ErrNotFound) {
			continue // gone since
		}
		if errors.Is(err, delivery.ErrUnreadable) { // nobody should have to look for it
			err = fmt.Errorf("delivery %s: %w", ref.id, err)
		}
		if err == nil {
			err = out.Write(d)
		}
		if err != nil {
			return out.Len(), err
		}
	}
	return out.Len(), out.Close()
}

// ref is a delivery to be exported.
type ref struct {
	id uuid.UUID
	// webhook is the same for all deliveries of one, 0 without a key.
	webhook uint64
}

// refTo returns what a delivery is exported by. The same webhook again, when it
// is no duplicate any more, has its key, too, but came at another time.
func refTo(d *delivery.Delivery) ref {
	r := ref{id: d.ID}
	if d.Key != (delivery.Key{}) {
		r.webhook = binary.BigEndian.Uint64(d.Key[:]) ^ uint64(d.ReceivedAt.UnixNano())
	}
	return r
}

// listPage is how many deliveries are listed at once.
const listPage = 1000

// list returns all deliveries in the order in which they are exported.
func list(ctx context.Context, from Source) ([]ref, error) {
	var refs []ref
	query := delivery.Query{Limit: listPage}
	for {
		page, err := from.List(ctx, query)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Deliveries {
			refs = append(refs, refTo(d))
		}
		if query.Before = page.Before; query.Before == uuid.Nil {
			break
		}
	}
	slices.SortFunc(refs, func(a, b ref) int { return slices.Compare(a.id[:], b.id[:]) })
	join(refs)
	return refs, nil
}

// joinWithin is how far apart the ids of one webhook's deliveries may be: they
// are made one after another, but other webhooks come at the same time.
const joinWithin = 256

// join moves the deliveries of one webhook together.
func join(refs []ref) {
	for i := range refs {
		next := i + 1
		for j := next; j < min(i+joinWithin, len(refs)); j++ {
			if refs[j].webhook == refs[i].webhook && refs[i].webhook != 0 {
				joined := refs[j]
				copy(refs[next+1:j+1], refs[next:j])
				refs[next] = joined
				next++
			}
		}
	}
}
