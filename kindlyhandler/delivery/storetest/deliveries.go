package storetest

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

var (
	zendesk = delivery.Lane{Webhook: "support", Upstream: "zendesk"}
	slack   = delivery.Lane{Webhook: "support", Upstream: "slack"}
	sales   = delivery.Lane{Webhook: "sales", Upstream: "zendesk"}
)

// window is how long the keys of the deliveries of bench.new last.
const window = 10 * time.Minute

var keys atomic.Uint64

// newKey returns a key that no other delivery has.
func newKey() (key delivery.Key) {
	binary.BigEndian.PutUint64(key[:], keys.Add(1))
	return key
}

// new returns a delivery that is due and belongs to no chat.
func (b *bench) new(lane delivery.Lane) *delivery.Delivery {
	b.Helper()
	id, err := uuid.NewV7()
	require.NoError(b, err)
	now := b.clock.now()
	return &delivery.Delivery{
		ID:         id,
		Lane:       lane,
		Key:        newKey(),
		KeyExpires: now.Add(window),
		Event:      "dialogue",
		ReceivedAt: now,
		Body:       []byte(`{"message":"create ticket"}`),
		DueAt:      now,
	}
}

// inChat returns a delivery that is due, of a chat.
func (b *bench) inChat(lane delivery.Lane, chat string) *delivery.Delivery {
	b.Helper()
	d := b.new(lane)
	d.ChatID = chat
	return d
}

// claimed makes a delivery ask for its claim.
func claimed(d *delivery.Delivery) *delivery.Delivery {
	d.Claimed = true
	return d
}

// full returns a delivery with every field set that a store keeps.
func (b *bench) full() *delivery.Delivery {
	b.Helper()
	d := b.inChat(zendesk, "chat\x00 ☎ '")
	now := b.clock.now()
	d.Customer = []byte(`{"name":"Kari\x00\xff"}`)
	d.Transcript, d.TranscriptError = []byte("a transcript\x00\xff"), "why not"
	d.Elapsed, d.Tries = 3*time.Minute, 7
	d.Attempts = []delivery.Attempt{
		{At: now.Add(-time.Hour), Duration: 250 * time.Millisecond, Stage: delivery.StageTranscript, Status: 503, Error: "unavailable \xff"},
		{At: now, Duration: 15 * time.Second, Stage: delivery.StageUpstream, Error: "timeout", Unknown: true},
	}
	d.Ticket = delivery.Ticket{ID: "4711\x00", URL: "https://help.example.com/4711"}
	d.Answer = []byte(`{"reply":"Ticket 4711 created."}`)
	d.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 vendor=1"
	return d
}

// same requires two deliveries to be equal but for what a store may change:
// the location of a time, an empty slice for none, the Memo.
func (b *bench) same(want, got *delivery.Delivery) {
	b.Helper()
	require.Equal(b, canonical(want), canonical(got))
}

func canonical(d *delivery.Delivery) delivery.Delivery {
	c := *d
	c.Memo = nil
	for _, t := range []*time.Time{&c.KeyExpires, &c.ReceivedAt, &c.DueAt} {
		*t = t.Round(0).UTC()
	}
	for _, s := range []*[]byte{&c.Body, &c.Customer, &c.Transcript, &c.Answer} {
		if len(*s) == 0 {
			*s = nil
		}
	}
	c.Attempts = nil
	for _, a := range d.Attempts {
		a.At = a.At.Round(0).UTC()
		c.Attempts = append(c.Attempts, a)
	}
	return c
}

func ids(deliveries []*delivery.Delivery) []uuid.UUID {
	found := make([]uuid.UUID, len(deliveries))
	for i, d := range deliveries {
		found[i] = d.ID
	}
	return found
}

// are requires the deliveries to be the wanted ones, in this order.
func (b *bench) are(got []*delivery.Delivery, want ...*delivery.Delivery) {
	b.Helper()
	require.Equal(b, ids(want), ids(got))
}
