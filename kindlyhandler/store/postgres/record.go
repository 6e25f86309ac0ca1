package postgres

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// details are the fields of a delivery that no statement asks for. Strangers
// wrote some of them: they need not be valid in any encoding.
type details struct {
	Event           string    `cbor:"1,keyasint,omitempty"`
	ChatID          string    `cbor:"2,keyasint,omitempty"`
	TranscriptError string    `cbor:"3,keyasint,omitempty"`
	Attempts        []attempt `cbor:"4,keyasint,omitempty"`
	TicketID        string    `cbor:"5,keyasint,omitempty"`
	TicketURL       string    `cbor:"6,keyasint,omitempty"`
	Trace           string    `cbor:"7,keyasint,omitempty"`
}

type attempt struct {
	_        struct{} `cbor:",toarray"`
	At       int64
	Duration int64
	Stage    string
	Status   int
	Error    string
	Unknown  bool
}

var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

var errName = errors.New("a webhook's or upstream's name is not valid UTF-8, has a NUL in it or is longer than 255 bytes")

// nameable tells whether the lane can be stored, and be part of an index.
func nameable(l delivery.Lane) bool {
	for _, name := range []string{l.Webhook, l.Upstream} {
		if len(name) > 255 || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return false
		}
	}
	return true
}

// never is the zero time in the details.
const never = math.MinInt64

func encodeDetails(d *delivery.Delivery) ([]byte, error) {
	o := details{
		Event: d.Event, ChatID: d.ChatID, TranscriptError: d.TranscriptError,
		TicketID: d.Ticket.ID, TicketURL: d.Ticket.URL, Trace: d.Trace,
	}
	for _, a := range d.Attempts {
		at := int64(never)
		if !a.At.IsZero() {
			at = a.At.UnixNano()
		}
		o.Attempts = append(o.Attempts, attempt{
			At: at, Duration: int64(a.Duration), Stage: a.Stage, Status: a.Status, Error: a.Error, Unknown: a.Unknown,
		})
	}
	b, err := cbor.Marshal(&o)
	if err != nil {
		return nil, fmt.Errorf("encoding a delivery: %w", err)
	}
	return b, nil
}

var errDetails = &problem{text: "a delivery's details are stored in a way that this version does not know, or are damaged"}

func decodeDetails(b []byte, d *delivery.Delivery) error {
	var o details
	if err := decoding.Unmarshal(b, &o); err != nil {
		return errDetails
	}
	d.Event, d.ChatID, d.TranscriptError = o.Event, o.ChatID, o.TranscriptError
	d.Ticket, d.Trace = delivery.Ticket{ID: o.TicketID, URL: o.TicketURL}, o.Trace
	if len(o.Attempts) > 0 {
		d.Attempts = make([]delivery.Attempt, len(o.Attempts))
	}
	for i, a := range o.Attempts {
		d.Attempts[i] = delivery.Attempt{
			Duration: time.Duration(a.Duration), Stage: a.Stage, Status: a.Status, Error: a.Error, Unknown: a.Unknown,
		}
		if a.At != never {
			d.Attempts[i].At = time.Unix(0, a.At).UTC()
		}
	}
	return nil
}

// stamp is a time in the database, which has microseconds; -infinity is the
// zero time.
func stamp(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: t, Valid: true}
}

func timeOf(t pgtype.Timestamptz) time.Time {
	if !t.Valid || t.InfinityModifier != pgtype.Finite {
		return time.Time{}
	}
	return t.Time.UTC()
}

// idOf is NULL for the zero id.
func idOf(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }

func idsOf(ids []uuid.UUID) []pgtype.UUID {
	all := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		all[i] = idOf(id)
	}
	return all
}

func keyOf(key delivery.Key) []byte {
	if key == (delivery.Key{}) {
		return nil
	}
	return key[:]
}

// The columns that a summary and a whole delivery are made of.
const (
	summaryColumns = `d.id, d.webhook, d.upstream, d.state, d.claim IS NOT NULL, d.due, d.received, d.elapsed, d.tries, d.key, d.key_expires, d.details, d.answer`
	allColumns     = summaryColumns + `, d.body, d.customer, d.transcript`
)

// row is what is read of a delivery.
type row struct {
	id                     pgtype.UUID
	webhook, upstream      *string
	state                  *int16
	claimed                *bool
	due, received, expires pgtype.Timestamptz
	elapsed                *int64
	tries                  *int32
	key, details           []byte
	content                content
}

// fields are those of the columns, in their order.
func (r *row) fields(all bool) []any {
	fields := []any{
		&r.id, &r.webhook, &r.upstream, &r.state, &r.claimed, &r.due, &r.received, &r.elapsed, &r.tries,
		&r.key, &r.expires, &r.details, &r.content.answer,
	}
	if all {
		fields = append(fields, &r.content.body, &r.content.customer, &r.content.transcript)
	}
	return fields
}

func (r *row) delivery() (*delivery.Delivery, error) {
	d := &delivery.Delivery{
		ID: r.id.Bytes, Lane: delivery.Lane{Webhook: *r.webhook, Upstream: *r.upstream},
		State: delivery.State(*r.state), Claimed: *r.claimed,
		DueAt: timeOf(r.due), ReceivedAt: timeOf(r.received), KeyExpires: timeOf(r.expires),
		Elapsed: time.Duration(*r.elapsed), Tries: int(*r.tries),
	}
	copy(d.Key[:], r.key)
	return d, errors.Join(decodeDetails(r.details, d), r.content.decode(d))
}

// collect reads the deliveries that a query returns. One that cannot be
// understood fails it, unless there is a function that is told of it, and says
// whether what could be read is kept.
func collect(rows pgx.Rows, all bool, broken func(d *delivery.Delivery, err error) (keep bool)) (found []*delivery.Delivery, err error) {
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(r.fields(all)...); err != nil {
			return nil, err
		}
		d, err := r.delivery()
		if err != nil && broken == nil {
			return nil, err
		}
		if err != nil && !broken(d, err) {
			continue
		}
		found = append(found, d)
	}
	return found, rows.Err()
}
