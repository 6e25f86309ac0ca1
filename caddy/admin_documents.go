package kindly

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// What the admin API answers, and the commands read. Fields are never left
// out: what is not there is null.

// deliveryDocument is a delivery in a list.
type deliveryDocument struct {
	ID         uuid.UUID `json:"id"`
	Name       string    `json:"name"` // of the webhook
	Upstream   string    `json:"upstream"`
	Event      string    `json:"event"`
	ChatID     text      `json:"chat_id"`
	State      string    `json:"state"`
	ReceivedAt moment    `json:"received_at"`
	Attempts   int       `json:"attempts"`
	// NextAttemptAt is when a pending one is due, also in the past where
	// something else holds it back; null while it is being attempted.
	NextAttemptAt moment          `json:"next_attempt_at"`
	Ticket        *ticketDocument `json:"ticket"` // of a delivered one
	Error         text            `json:"error"`  // of the last attempt, unless it is delivered
}

type ticketDocument struct {
	ID  text `json:"id"`
	URL text `json:"url"`
}

// pageDocument is a part of a list. After is the parameter that asks for the
// next one, null at the end.
type pageDocument struct {
	Deliveries []deliveryDocument `json:"deliveries"`
	After      *uuid.UUID         `json:"after"`
}

// detailsDocument is all that is known of a delivery.
type detailsDocument struct {
	deliveryDocument
	// Attempts has the latest, at most 50; AttemptsTotal counts all.
	Attempts      []attemptDocument `json:"attempts"`
	AttemptsTotal int               `json:"attempts_total"`
	TraceID       text              `json:"trace_id"` // of the webhook, in hexadecimal digits
	// Document is what the next attempt would send of a pending or dead one,
	// null as long as the transcript has not been fetched or its upstream is not
	// configured.
	Document json.RawMessage `json:"document"`
}

type attemptDocument struct {
	Time     moment  `json:"time"`
	Stage    string  `json:"stage"`
	Status   *int    `json:"status"` // of HTTP
	Error    text    `json:"error"`
	Duration float64 `json:"duration"` // seconds
	// Unknown says that the ticket may have arrived although the attempt
	// failed.
	Unknown bool `json:"unknown"`
}

// statusDocument is the state of everything.
type statusDocument struct {
	Store any `json:"store"` // its own words
	// Deliveries is null while the store is not ready to count them.
	Deliveries      *countsDocument `json:"deliveries"`
	OldestPendingAt moment          `json:"oldest_pending_at"`
	// Losses counts, by the reason, what has not become a ticket of its own
	// since the process started.
	Losses    map[delivery.Loss]int `json:"losses"`
	Upstreams []upstreamDocument    `json:"upstreams"`
}

type countsDocument struct {
	Pending   int `json:"pending"`
	Delivered int `json:"delivered"`
	Dead      int `json:"dead"`
}

func (c *countsDocument) add(counts delivery.Counts) {
	c.Pending += counts.Pending
	c.Delivered += counts.Delivered
	c.Dead += counts.Dead
}

// upstreamDocument is the state of one upstream of a webhook. If it is not
// configured, its deliveries wait until it is again.
type upstreamDocument struct {
	Name       string `json:"name"` // of the webhook
	Upstream   string `json:"upstream"`
	Configured bool   `json:"configured"`
	// Condition is healthy, open, paused or paused_by_hand; null if it has not
	// been configured since the start.
	Condition   text           `json:"condition"`
	Since       moment         `json:"since"`
	LastError   *errorDocument `json:"last_error"`
	NextProbeAt moment         `json:"next_probe_at"`
	HeldUntil   moment         `json:"held_until"` // as the upstream asked for
	// Deliveries and Losses as in the whole status.
	Deliveries      *countsDocument       `json:"deliveries"`
	OldestPendingAt moment                `json:"oldest_pending_at"`
	Losses          map[delivery.Loss]int `json:"losses"`
}

type errorDocument struct {
	Time  moment `json:"time"`
	Error string `json:"error"`
}

// text is a string that is null when it is empty.
type text string

// MarshalJSON implements [json.Marshaler].
func (t text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(t))
}

// moment is a time in UTC, with milliseconds, and null when it is zero.
type moment struct{ time.Time }

// MarshalJSON implements [json.Marshaler].
func (m moment) MarshalJSON() ([]byte, error) {
	if m.IsZero() {
		return []byte("null"), nil
	}
	return []byte(m.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}
