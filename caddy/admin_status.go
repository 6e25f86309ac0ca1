package kindly

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func showStatus(q *delivery.Dispatcher, r *http.Request) (any, error) {
	if err := noParameters(r); err != nil {
		return nil, err
	}
	counts, err := q.Count(r.Context())
	if err != nil {
		return nil, err
	}
	document := statusDocument{Store: q.StoreStatus(), Losses: q.Losses().Total(), Upstreams: upstreams(q, counts)}
	for _, c := range counts {
		document.Deliveries.add(c)
		if oldest := c.OldestPending; !oldest.IsZero() && (document.OldestPendingAt.IsZero() || oldest.Before(document.OldestPendingAt.Time)) {
			document.OldestPendingAt = moment{oldest}
		}
	}
	return document, nil
}

// upstreams tells of all lanes that are configured, paused by hand, or have
// deliveries.
func upstreams(q *delivery.Dispatcher, counts map[delivery.Lane]delivery.Counts) []upstreamDocument {
	lanes := q.Lanes()
	documents := make([]upstreamDocument, 0, len(lanes))
	known := make(map[delivery.Lane]bool)
	for _, l := range lanes {
		known[l.Lane] = true
		if l.Defined || l.Condition == delivery.PausedByHand || counts[l.Lane] != (delivery.Counts{}) {
			documents = append(documents, describeUpstream(q, l, counts[l.Lane]))
		}
	}
	for name, c := range counts {
		if !known[name] {
			d := upstreamDocument{
				Name: name.Webhook, Upstream: name.Upstream,
				OldestPendingAt: moment{c.OldestPending}, Losses: lossesOf(q, name),
			}
			d.Deliveries.add(c)
			documents = append(documents, d)
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

func describeUpstream(q *delivery.Dispatcher, l delivery.LaneStatus, c delivery.Counts) upstreamDocument {
	d := upstreamDocument{
		Name:            l.Lane.Webhook,
		Upstream:        l.Lane.Upstream,
		Configured:      l.Defined,
		Condition:       text(l.Condition.String()),
		Since:           moment{l.Since},
		NextProbeAt:     moment{l.NextProbe},
		HeldUntil:       moment{l.HeldUntil},
		OldestPendingAt: moment{c.OldestPending},
		Losses:          lossesOf(q, l.Lane),
	}
	if l.LastError != "" {
		d.LastError = &errorDocument{Time: moment{l.LastErrorAt}, Error: l.LastError}
	}
	d.Deliveries.add(c)
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
		counts, err := q.Count(r.Context())
		if err != nil {
			return nil, err
		}
		lanes := q.Lanes()
		i := slices.IndexFunc(lanes, func(l delivery.LaneStatus) bool { return l.Lane == lane })
		if i < 0 {
			return nil, delivery.ErrNoLane
		}
		return describeUpstream(q, lanes[i], counts[lane]), nil
	}
}
