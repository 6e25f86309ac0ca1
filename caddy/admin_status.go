package kindly

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func showStatus(q *delivery.Dispatcher, r *http.Request) (any, error) {
	if err := noParameters(r); err != nil {
		return nil, err
	}
	counts, err := count(q, r)
	if err != nil {
		return nil, err
	}
	document := statusDocument{Store: q.StoreStatus(), Losses: q.Losses().Total(), Upstreams: upstreams(q, counts)}
	if counts != nil {
		document.Deliveries = new(countsDocument)
	}
	for _, c := range counts {
		document.Deliveries.add(c)
		if oldest := c.OldestPending; !oldest.IsZero() && (document.OldestPendingAt.IsZero() || oldest.Before(document.OldestPendingAt.Time)) {
			document.OldestPendingAt = moment{oldest}
		}
	}
	return document, nil
}

// census has the counts of each lane that has any deliveries, nil while the
// store is not ready to count.
type census map[delivery.Lane]delivery.Counts

// countTimeout is how long counting waits for a store that is not ready.
const countTimeout = time.Second

func count(q *delivery.Dispatcher, r *http.Request) (census, error) {
	ctx, cancel := context.WithTimeout(r.Context(), countTimeout)
	defer cancel()
	counts, err := q.Count(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, nil //nolint:nilnil // there is none yet
	case err != nil:
		return nil, err
	case counts == nil:
		return census{}, nil
	default:
		return counts, nil
	}
}

// of returns the counts of a lane, nil if they are not known.
func (c census) of(lane delivery.Lane) *countsDocument {
	if c == nil {
		return nil
	}
	var d countsDocument
	d.add(c[lane])
	return &d
}

// upstreams tells of all lanes that are configured, paused by hand, or have
// deliveries.
func upstreams(q *delivery.Dispatcher, counts census) []upstreamDocument {
	lanes := q.Lanes()
	documents := make([]upstreamDocument, 0, len(lanes))
	known := make(map[delivery.Lane]bool)
	for _, l := range lanes {
		known[l.Lane] = true
		if l.Defined || l.Condition == delivery.PausedByHand || counts[l.Lane] != (delivery.Counts{}) {
			documents = append(documents, describeUpstream(q, l, counts))
		}
	}
	for name, c := range counts {
		if !known[name] {
			documents = append(documents, upstreamDocument{
				Name: name.Webhook, Upstream: name.Upstream, Deliveries: counts.of(name),
				OldestPendingAt: moment{c.OldestPending}, Losses: lossesOf(q, name),
			})
		}
	}
	slices.SortFunc(documents, func(a, b upstreamDocument) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Upstream, b.Upstream))
	})
	return documents
}

// lossesOf returns the losses of a lane, an empty object if there are none.
func lossesOf(q *delivery.Dispatcher, lane delivery.Lane) map[delivery.Loss]int {
	if of := q.Losses().Of(lane); of != nil {
		return of
	}
	return map[delivery.Loss]int{}
}

func describeUpstream(q *delivery.Dispatcher, l delivery.LaneStatus, counts census) upstreamDocument {
	d := upstreamDocument{
		Name:            l.Lane.Webhook,
		Upstream:        l.Lane.Upstream,
		Configured:      l.Defined,
		Condition:       text(l.Condition.String()),
		Since:           moment{l.Since},
		NextProbeAt:     moment{l.NextProbe},
		HeldUntil:       moment{l.HeldUntil},
		Deliveries:      counts.of(l.Lane),
		OldestPendingAt: moment{counts[l.Lane].OldestPending},
		Losses:          lossesOf(q, l.Lane),
	}
	if l.LastError != "" {
		d.LastError = &errorDocument{Time: moment{l.LastErrorAt}, Error: l.LastError}
	}
	return d
}

// onLane makes an operation of one on an upstream, which tells its state
// afterwards.
func onLane(name, label string, do func(*delivery.Dispatcher, delivery.Lane) error) operation {
	return func(q *delivery.Dispatcher, r *http.Request) (any, error) {
		if err := noParameters(r); err != nil {
			return nil, err
		}
		lane := delivery.Lane{Webhook: name, Upstream: label}
		if err := do(q, lane); err != nil {
			return nil, err
		}
		counts, err := count(q, r)
		if err != nil {
			return nil, err
		}
		lanes := q.Lanes()
		i := slices.IndexFunc(lanes, func(l delivery.LaneStatus) bool { return l.Lane == lane })
		if i < 0 {
			return nil, delivery.ErrNoLane
		}
		return describeUpstream(q, lanes[i], counts), nil
	}
}
