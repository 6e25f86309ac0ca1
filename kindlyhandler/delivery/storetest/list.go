package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// page asks for one page, which must be in order, below the cursor and within
// the limit.
func (b *bench) page(q delivery.Query) delivery.Page {
	b.Helper()
	page, err := b.store.List(b.Context(), q)
	require.NoError(b, err)
	require.NoError(b, plausible(q, page))
	return page
}

// plausible tells what is wrong with a page whatever it has.
func plausible(q delivery.Query, page delivery.Page) error {
	if len(page.Deliveries) > q.Limit {
		return fmt.Errorf("%d deliveries are more than the limit of %d", len(page.Deliveries), q.Limit)
	}
	last := q.Before
	for _, d := range page.Deliveries {
		if last != uuid.Nil && bytes.Compare(d.ID[:], last[:]) >= 0 {
			return fmt.Errorf("%s is not below %s", d.ID, last)
		}
		last = d.ID
	}
	if page.Before == uuid.Nil {
		return nil
	}
	if bytes.Compare(page.Before[:], last[:]) > 0 && last != uuid.Nil || page.Before == q.Before {
		return fmt.Errorf("the next page begins at %s, and this one ends at %s", page.Before, last)
	}
	return nil
}

// walk returns all that the query asks for, page by page. Between two pages it
// does what is given.
func (b *bench) walk(q delivery.Query, between ...func()) (all []*delivery.Delivery) {
	b.Helper()
	for {
		page := b.page(q)
		all = append(all, page.Deliveries...)
		if page.Before == uuid.Nil {
			return all
		}
		q.Before = page.Before
		for _, do := range between {
			do()
		}
	}
}

// lists requires a query to give these deliveries in this order, whatever the
// limit.
func (b *bench) lists(q delivery.Query, want ...*delivery.Delivery) {
	b.Helper()
	for _, limit := range []int{1, 2, 3, 1000} {
		q.Limit = limit
		b.are(b.walk(q), want...)
	}
}

// newestFirst returns the deliveries in the order of a list.
func newestFirst(deliveries ...*delivery.Delivery) []*delivery.Delivery {
	sorted := slices.Clone(deliveries)
	slices.SortFunc(sorted, func(x, y *delivery.Delivery) int { return bytes.Compare(y.ID[:], x.ID[:]) })
	return sorted
}

var lists = []test{
	{"has nothing under odd names", func(b *bench) {
		b.put(b.new(zendesk))
		for _, name := range []string{"\x00", "a\xff", strings.Repeat("a", 10_000)} {
			for _, q := range []delivery.Query{{Webhook: name}, {Upstream: name}} {
				q.Limit = 10
				require.Empty(b, b.page(q).Deliveries)
			}
		}
	}},
	{"gives every field but the body, the customer and the transcript", func(b *bench) {
		for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
			d := claimed(b.full())
			d.ChatID = state.String()
			b.put(d)
			b.settle(d, state)
			d.Claimed, d.State, d.Body, d.Customer, d.Transcript = false, state, nil, nil, nil
			b.same(d, b.page(delivery.Query{Limit: 1}).Deliveries[0])
		}
	}},
	{"takes nothing from what it lists", func(b *bench) {
		d := b.full()
		b.put(d)
		listed := b.page(delivery.Query{Limit: 1}).Deliveries[0]
		listed.State, listed.Event = delivery.Dead, "scribble"
		b.same(d, b.get(d.ID))
		b.are(b.claim(zendesk), d)
	}},
	{"gives the newest ids first, whatever the order of the put", func(b *bench) {
		b.lists(delivery.Query{})
		one, two, three, four, five := b.new(zendesk), b.new(slack), b.new(zendesk), b.new(zendesk), b.new(sales)
		for _, d := range []*delivery.Delivery{two, five, one, four, three} {
			b.put(d)
		}
		b.lists(delivery.Query{}, five, four, three, two, one)
	}},
	{"gives what is below the cursor", func(b *bench) {
		one, two, three, never := b.new(zendesk), b.new(zendesk), b.new(zendesk), b.new(zendesk)
		b.put(one)
		b.put(two)
		b.put(three)
		b.lists(delivery.Query{Before: never.ID}, three, two, one)
		b.lists(delivery.Query{Before: three.ID}, two, one)
		b.lists(delivery.Query{Before: one.ID})
		b.lists(delivery.Query{Before: uuid.UUID{15: 1}})
	}},
	{"gives what is in a state", func(b *bench) {
		pending, held, taken := b.inChat(zendesk, "chat"), b.inChat(zendesk, "chat"), claimed(b.new(zendesk))
		b.put(pending)
		b.put(held)
		b.put(taken)
		dead, delivered := b.dead(b.new(zendesk)), claimed(b.new(zendesk))
		b.put(delivered)
		b.settle(delivered, delivery.Delivered)

		b.lists(delivery.Query{}, delivered, dead, taken, held, pending)
		b.lists(delivery.Query{States: []delivery.State{delivery.Pending}}, taken, held, pending)
		b.lists(delivery.Query{States: []delivery.State{delivery.Dead}}, dead)
		b.lists(delivery.Query{States: []delivery.State{delivery.Delivered}}, delivered)
		b.lists(delivery.Query{States: []delivery.State{delivery.Dead, delivery.Pending}}, dead, taken, held, pending)

		b.revive(dead.ID)
		b.lists(delivery.Query{States: []delivery.State{delivery.Dead}})
		b.lists(delivery.Query{States: []delivery.State{delivery.Pending}}, dead, taken, held, pending)
	}},
	{"gives what is of a webhook or an upstream", func(b *bench) {
		ours, theirs, chat := b.new(zendesk), b.new(sales), b.new(slack)
		b.put(ours)
		b.put(theirs)
		b.put(chat)
		b.lists(delivery.Query{Webhook: "support"}, newestFirst(ours, chat)...)
		b.lists(delivery.Query{Upstream: "zendesk"}, newestFirst(ours, theirs)...)
		b.lists(delivery.Query{Webhook: "support", Upstream: "zendesk"}, ours)
		b.lists(delivery.Query{Webhook: "zendesk"})
		b.lists(delivery.Query{Webhook: "supp"})
	}},
	{"gives what is of a chat", func(b *bench) {
		one, other, none := b.inChat(zendesk, "chat"), b.inChat(zendesk, "other"), b.new(zendesk)
		elsewhere, dead := b.inChat(sales, "chat"), b.dead(b.inChat(slack, "chat"))
		for _, d := range []*delivery.Delivery{one, other, none, elsewhere} {
			b.put(d)
		}
		b.lists(delivery.Query{ChatID: "chat"}, newestFirst(one, elsewhere, dead)...)
		b.lists(delivery.Query{ChatID: "other"}, other)
		b.lists(delivery.Query{ChatID: "cha"})
		b.lists(delivery.Query{ChatID: "chat", Webhook: "support", States: []delivery.State{delivery.Dead}}, dead)
	}},
	{"finds the few among many", func(b *bench) {
		var dead []*delivery.Delivery
		for i := range 300 {
			if i%100 == 0 {
				dead = append(dead, b.dead(b.inChat(slack, "chat")))
			} else {
				b.put(b.new(zendesk))
			}
		}
		b.lists(delivery.Query{States: []delivery.State{delivery.Dead}}, newestFirst(dead...)...)
		b.lists(delivery.Query{Upstream: "slack"}, newestFirst(dead...)...)
		b.lists(delivery.Query{ChatID: "chat"}, newestFirst(dead...)...)
	}},
	{"gives each once while others are put", func(b *bench) {
		var all []*delivery.Delivery
		for range 50 {
			d := b.new(zendesk)
			b.put(d)
			all = append(all, d)
		}
		b.are(b.walk(delivery.Query{Limit: 7}, func() { b.put(b.new(zendesk)) }), newestFirst(all...)...)
	}},
	{"gives each once while others change", func(b *bench) {
		var stay, change []*delivery.Delivery
		for range 20 {
			one, two := b.new(zendesk), claimed(b.new(zendesk))
			b.put(one)
			b.put(two)
			stay, change = append(stay, one), append(change, two)
		}
		got := b.walk(delivery.Query{States: []delivery.State{delivery.Pending}, Limit: 3}, func() {
			if len(change) >= 2 {
				b.settle(change[0], delivery.Delivered)
				b.settle(change[len(change)-1], delivery.Delivered)
				change = change[1 : len(change)-1]
			}
		})
		got = slices.DeleteFunc(got, func(d *delivery.Delivery) bool { return d.Claimed })
		b.are(got, newestFirst(stay...)...)
	}},
	{"goes on after the cursor's own delivery has gone", func(b *bench) {
		one, two, three := b.new(zendesk), b.new(zendesk), b.new(zendesk)
		b.put(one)
		b.put(two)
		b.put(three)
		page := b.page(delivery.Query{Limit: 1})
		b.are(page.Deliveries, three)
		b.drop(three.ID)
		b.are(b.walk(delivery.Query{Limit: 1, Before: page.Before}), two, one)
	}},
}
