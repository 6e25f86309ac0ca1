package storetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// testModel does whatever comes to mind to a store, and the same to the
// simplest store thinkable.
func testModel(t *testing.T, open Open) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		store := open(t, c.now)
		defer func() { _ = store.Close() }()
		m := &machine{clock: c, start: c.now(), store: store, ctx: t}
		rt.Repeat(map[string]func(*rapid.T){
			"put":    m.put,
			"mint":   m.mint,
			"import": m.imports,
			"claim":  m.claim,
			"save":   m.save,
			"revive": m.revive,
			"take":   m.take,
			"drop":   m.drop,
			"erase":  m.erase,
			"list":   m.list,
			"wait":   m.wait,
			"":       m.check,
		})
	})
}

// machine is the model, in all a list of what was put, beside the store.
type machine struct {
	clock *clock
	start time.Time
	store delivery.Store
	ctx   *testing.T
	all   []*entry
	gone  []*entry
	puts  uint32
	// elsewhere are deliveries of another store, in the order of their ids.
	elsewhere []*minted
	mints     int
}

// minted is a delivery of another store.
type minted struct {
	*delivery.Delivery
	webhook int
}

type entry struct {
	delivery.Delivery
	revived bool
	// keyless: its key was another's when it was imported.
	keyless bool
}

var (
	modelLanes = []delivery.Lane{zendesk, slack, sales}
	modelKeys  = []delivery.Key{{}, {1}, {2}, {3}, {4}}
	modelChats = []string{"", "one", "two"}
)

// modelID makes the model's choices the only ones that differ between runs.
func modelID(put uint32) uuid.UUID {
	id := uuid.UUID{6: 0x70, 8: 0x80}
	binary.BigEndian.PutUint32(id[12:], put)
	return id
}

// minutes draws a time from a few, so that many are the same.
func minutes(t *rapid.T, name string, from, to int) time.Duration {
	return time.Duration(rapid.IntRange(from, to).Draw(t, name)) * time.Minute
}

func (m *machine) live(key delivery.Key) (live []*entry) {
	for _, e := range m.all {
		if key != (delivery.Key{}) && e.Key == key && !e.keyless && e.KeyExpires.After(m.clock.now()) {
			live = append(live, e)
		}
	}
	return live
}

// held tells whether an older delivery of its chat is pending.
func (m *machine) held(e *entry) bool {
	for _, older := range m.all {
		if older == e {
			break
		}
		if older.State == delivery.Pending && !older.revived && !e.revived &&
			e.ChatID != "" && older.ChatID == e.ChatID && older.Lane == e.Lane {
			return true
		}
	}
	return false
}

// claimable returns what can be claimed of a lane, in the order in which it
// is.
func (m *machine) claimable(lane delivery.Lane) (entries []*entry) {
	for _, e := range m.all {
		if e.Lane == lane && e.State == delivery.Pending && !e.Claimed && !m.held(e) {
			entries = append(entries, e)
		}
	}
	slices.SortStableFunc(entries, func(a, b *entry) int { return a.DueAt.Compare(b.DueAt) })
	return entries
}

func (m *machine) in(state delivery.State) (entries []*entry) {
	for _, e := range m.all {
		if e.State == state {
			entries = append(entries, e)
		}
	}
	return entries
}

func (m *machine) put(t *rapid.T) {
	now := m.clock.now()
	key := rapid.SampledFrom(modelKeys).Draw(t, "key")
	expires := now.Add(minutes(t, "window", 0, 5))
	lanes := rapid.Permutation(modelLanes).Draw(t, "lanes")[:rapid.IntRange(1, 3).Draw(t, "upstreams")]
	chat := rapid.SampledFrom(modelChats).Draw(t, "chat")
	deliveries := make([]*delivery.Delivery, len(lanes))
	asked := make([]bool, len(lanes))
	for i, lane := range lanes {
		m.puts++
		d := &delivery.Delivery{
			ID:         modelID(m.puts),
			Lane:       lane,
			Key:        key,
			KeyExpires: expires,
			Event:      "dialogue",
			ChatID:     chat,
			ReceivedAt: now,
			Body:       fmt.Appendf(nil, "body %d", m.puts),
			Claimed:    rapid.Bool().Draw(t, "claimed"),
			DueAt:      now.Add(minutes(t, "due", -2, 2)),
		}
		deliveries[i], asked[i] = d, d.Claimed
	}
	err := m.store.Put(m.ctx.Context(), deliveries)
	if len(m.live(key)) > 0 {
		require.ErrorIs(t, err, delivery.ErrDuplicate)
		return
	}
	require.NoError(t, err)
	for i, d := range deliveries {
		e := &entry{Delivery: *d}
		e.Claimed = asked[i]
		m.all = append(m.all, e)
		e.Claimed = e.Claimed && !m.held(e)
		require.Equal(t, e.Claimed, d.Claimed, "the claim granted in %v", d.Lane)
	}
}

// mint makes the deliveries of one webhook elsewhere.
func (m *machine) mint(t *rapid.T) {
	now := m.clock.now()
	d := delivery.Delivery{
		Key:        rapid.SampledFrom(modelKeys).Draw(t, "key"),
		KeyExpires: now.Add(minutes(t, "window", 0, 5)),
		Event:      "dialogue",
		ChatID:     rapid.SampledFrom(modelChats).Draw(t, "chat"),
		ReceivedAt: now,
		Elapsed:    time.Second,
	}
	for _, lane := range rapid.Permutation(modelLanes).Draw(t, "lanes")[:rapid.IntRange(1, 3).Draw(t, "upstreams")] {
		m.puts++
		d.ID, d.Lane = modelID(m.puts), lane
		d.State = rapid.SampledFrom(states).Draw(t, "state")
		d.DueAt = now.Add(minutes(t, "due", -2, 2))
		d.Body = nil
		if d.State != delivery.Delivered {
			d.Body = fmt.Appendf(nil, "body %d", m.puts)
		}
		copied := d
		m.elsewhere = append(m.elsewhere, &minted{&copied, m.mints})
	}
	m.mints++
}

// imports imports some of what is elsewhere, also again.
func (m *machine) imports(t *rapid.T) {
	if len(m.elsewhere) == 0 {
		t.Skip("nothing to import")
	}
	from := rapid.IntRange(0, len(m.elsewhere)-1).Draw(t, "from")
	slice := m.elsewhere[from:rapid.IntRange(from+1, len(m.elsewhere)).Draw(t, "to")]
	webhooks, taken := make(map[delivery.Key]int), make(map[delivery.Key]bool)
	deliveries := make([]*delivery.Delivery, len(slice))
	for i, d := range slice {
		deliveries[i] = d.Delivery
		taken[d.Key] = len(m.live(d.Key)) > 0
		if other, there := webhooks[d.Key]; there && other != d.webhook && d.Key != (delivery.Key{}) {
			t.Skip("no store has two webhooks with one key at the same time")
		}
		if taken[d.Key] && slices.ContainsFunc(m.gone, func(e *entry) bool { return e.ID == d.ID }) {
			t.Skip("an engine may know the webhook again whose others are there")
		}
		webhooks[d.Key] = d.webhook
	}
	n, err := m.store.Import(m.ctx.Context(), deliveries)
	require.NoError(t, err)
	imported := 0
	for _, d := range slice {
		if slices.ContainsFunc(m.all, func(e *entry) bool { return e.ID == d.ID }) {
			continue
		}
		imported++
		m.gone = slices.DeleteFunc(m.gone, func(e *entry) bool { return e.ID == d.ID })
		m.all = append(m.all, &entry{Delivery: *d.Delivery, keyless: taken[d.Key]})
	}
	require.Equal(t, imported, n, "imported")
}

func (m *machine) claim(t *rapid.T) {
	lane := rapid.SampledFrom(modelLanes).Draw(t, "lane")
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	got, next, err := m.store.Claim(m.ctx.Context(), lane, m.clock.now(), limit)
	require.NoError(t, err)

	claimable := m.claimable(lane)
	want := []uuid.UUID{}
	for len(claimable) > 0 && len(want) < limit && !claimable[0].DueAt.After(m.clock.now()) {
		claimable[0].Claimed = true
		want = append(want, claimable[0].ID)
		claimable = claimable[1:]
	}
	require.Equal(t, want, ids(got))
	for _, d := range got {
		m.same(t, d)
	}
	if len(claimable) == 0 {
		require.Zero(t, next)
	} else {
		require.WithinDuration(t, claimable[0].DueAt, next, 0)
	}
}

func (m *machine) save(t *rapid.T) {
	candidates := slices.Concat(m.in(delivery.Pending), m.gone)
	if len(candidates) == 0 {
		t.Skip("nothing to save")
	}
	e := rapid.SampledFrom(candidates).Draw(t, "delivery")
	d := e.Delivery
	d.State = rapid.SampledFrom(states).Draw(t, "state")
	d.DueAt = m.clock.now().Add(minutes(t, "due", -2, 2))
	d.Tries++
	d.Elapsed += time.Second
	if d.State != delivery.Pending {
		d.Answer = []byte(d.State.String())
	}
	if d.State == delivery.Delivered {
		d.Body, d.Customer = nil, nil
	}
	unblocked, err := m.store.Save(m.ctx.Context(), &d)
	if !e.Claimed || slices.Contains(m.gone, e) {
		require.ErrorIs(t, err, delivery.ErrNotFound)
		return
	}
	require.NoError(t, err)
	before := len(m.claimable(e.Lane))
	d.Claimed = false
	e.Delivery = d
	// Another one can be claimed now, unless it is this one.
	freed := len(m.claimable(e.Lane)) > before && d.State != delivery.Pending
	require.Equal(t, freed, unblocked, "unblocked")
}

func (m *machine) revive(t *rapid.T) {
	if len(m.all) == 0 {
		t.Skip("nothing to revive")
	}
	candidates := m.all
	if dead := m.in(delivery.Dead); len(dead) > 0 && rapid.Bool().Draw(t, "a dead letter") {
		candidates = dead
	}
	e := rapid.SampledFrom(candidates).Draw(t, "delivery")
	got, err := m.store.Revive(m.ctx.Context(), e.ID)
	if e.State != delivery.Dead {
		require.ErrorIs(t, err, delivery.ErrNotFound)
		return
	}
	require.NoError(t, err)
	e.State, e.Claimed, e.revived = delivery.Pending, true, true
	e.DueAt, e.Elapsed, e.Answer = m.clock.now(), 0, nil
	m.same(t, got)
}

func (m *machine) take(t *rapid.T) {
	candidates := slices.Concat(m.all, m.gone)
	if len(candidates) == 0 {
		t.Skip("nothing to take")
	}
	e := rapid.SampledFrom(candidates).Draw(t, "delivery")
	got, err := m.store.Take(m.ctx.Context(), e.ID)
	switch {
	case e.State != delivery.Pending || slices.Contains(m.gone, e):
		require.ErrorIs(t, err, delivery.ErrNotFound)
	case e.Claimed || m.held(e):
		require.ErrorIs(t, err, delivery.ErrBusy)
	default:
		require.NoError(t, err)
		e.Claimed = true
		m.same(t, got)
	}
}

func (m *machine) drop(t *rapid.T) {
	candidates := slices.Concat(m.all, m.gone)
	if len(candidates) == 0 {
		t.Skip("nothing to drop")
	}
	e := rapid.SampledFrom(candidates).Draw(t, "delivery")
	got, err := m.store.Drop(m.ctx.Context(), e.ID)
	if slices.Contains(m.gone, e) {
		require.ErrorIs(t, err, delivery.ErrNotFound)
		return
	}
	require.NoError(t, err)
	m.summarised(t, e, got)
	m.lose(func(o *entry) bool { return o == e })
}

func (m *machine) erase(t *rapid.T) {
	chat := rapid.SampledFrom(modelChats[1:]).Draw(t, "chat")
	n, err := m.store.Erase(m.ctx.Context(), chat)
	require.NoError(t, err)
	require.Equal(t, m.lose(func(e *entry) bool { return e.ChatID == chat }), n, "erased")
}

// lose moves entries to those that are gone, and returns how many.
func (m *machine) lose(which func(e *entry) bool) int {
	before := len(m.all)
	m.all = slices.DeleteFunc(m.all, func(e *entry) bool {
		if which(e) {
			m.gone = append(m.gone, e)
			return true
		}
		return false
	})
	return before - len(m.all)
}

func (m *machine) list(t *rapid.T) {
	q := delivery.Query{
		States:   rapid.SliceOfNDistinct(rapid.SampledFrom(states), 0, 3, rapid.ID).Draw(t, "states"),
		Webhook:  rapid.SampledFrom([]string{"", "", "support", "sales"}).Draw(t, "webhook"),
		Upstream: rapid.SampledFrom([]string{"", "", "zendesk", "slack"}).Draw(t, "upstream"),
		ChatID:   rapid.SampledFrom(modelChats).Draw(t, "chat"),
		Limit:    rapid.IntRange(1, 5).Draw(t, "limit"),
	}
	if n := rapid.Uint32Range(0, m.puts+1).Draw(t, "before"); n > 0 {
		q.Before = modelID(n)
	}
	var want []*entry
	newestFirst := slices.SortedFunc(slices.Values(m.all), func(a, b *entry) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	for _, e := range newestFirst {
		if (len(q.States) == 0 || slices.Contains(q.States, e.State)) &&
			(q.Webhook == "" || q.Webhook == e.Lane.Webhook) && (q.Upstream == "" || q.Upstream == e.Lane.Upstream) &&
			(q.ChatID == "" || q.ChatID == e.ChatID) && (q.Before == uuid.Nil || bytes.Compare(e.ID[:], q.Before[:]) < 0) {
			want = append(want, e)
		}
	}
	var got []*delivery.Delivery
	for {
		page, err := m.store.List(m.ctx.Context(), q)
		require.NoError(t, err)
		require.NoError(t, plausible(q, page))
		got = append(got, page.Deliveries...)
		if page.Before == uuid.Nil {
			break
		}
		q.Before = page.Before
	}
	require.Len(t, got, len(want))
	for i, e := range want {
		m.summarised(t, e, got[i])
	}
}

// summarised requires a delivery of the store to be an entry without what makes
// it large.
func (m *machine) summarised(t *rapid.T, e *entry, got *delivery.Delivery) {
	want := e.Delivery
	want.Body, want.Customer, want.Transcript = nil, nil, nil
	e.requireSame(t, &want, got)
}

func (m *machine) wait(t *rapid.T) {
	d := minutes(t, "for", 1, 3)
	if m.clock.now().Add(d).Sub(m.start) >= time.Hour {
		t.Skip("that is as long as an engine must keep what is settled")
	}
	m.clock.move(d)
}

// same requires a delivery of the store to be as the model has it.
func (m *machine) same(t *rapid.T, got *delivery.Delivery) {
	for _, e := range m.all {
		if e.ID == got.ID {
			e.requireSame(t, &e.Delivery, got)
			return
		}
	}
	require.Fail(t, "nobody has put this", "%v", got)
}

// requireSame spares the key that makes no duplicates: an engine may have
// forgotten it.
func (e *entry) requireSame(t *rapid.T, want, got *delivery.Delivery) {
	a, b := canonical(want), canonical(got)
	if e.keyless {
		a.Key, a.KeyExpires, b.Key, b.KeyExpires = delivery.Key{}, time.Time{}, delivery.Key{}, time.Time{}
	}
	require.Equal(t, a, b)
}

func (m *machine) counts() map[delivery.Lane]delivery.Counts {
	counts := make(map[delivery.Lane]delivery.Counts)
	for _, e := range m.all {
		c := counts[e.Lane]
		switch e.State {
		case delivery.Pending:
			c.Pending++
			if c.OldestPending.IsZero() || e.ReceivedAt.Before(c.OldestPending) {
				c.OldestPending = e.ReceivedAt
			}
		case delivery.Delivered:
			c.Delivered++
		case delivery.Dead:
			c.Dead++
		}
		counts[e.Lane] = c
	}
	return counts
}

// check holds after each step.
func (m *machine) check(t *rapid.T) {
	counts, err := m.store.Count(m.ctx.Context())
	require.NoError(t, err)
	for lane, c := range counts {
		c.OldestPending = c.OldestPending.Round(0).UTC()
		counts[lane] = c
	}
	require.Equal(t, m.counts(), counts, "counted")
	for _, key := range modelKeys {
		found, err := m.store.Find(m.ctx.Context(), key)
		require.NoError(t, err)
		want := []uuid.UUID{}
		for _, e := range m.live(key) {
			want = append(want, e.ID)
		}
		require.Equal(t, want, ids(found), "found by key %d", key[0])
		for _, d := range found {
			m.same(t, d)
		}
	}
}
