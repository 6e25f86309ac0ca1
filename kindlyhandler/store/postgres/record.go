package postgres

import (
	"cmp"
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
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
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
	// Ticket, in an encrypted delivery, has what TicketID and TicketURL have not
	// then.
	Ticket []byte `cbor:"8,keyasint,omitempty"`
}

// ticket is what Ticket has, before it is encrypted.
type ticket struct {
	_       struct{} `cbor:",toarray"`
	ID, URL string
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

func encodeDetails(d *delivery.Delivery, keys *seal.Keys) ([]byte, error) {
	o := details{Event: d.Event, ChatID: d.ChatID, TranscriptError: d.TranscriptError, Trace: d.Trace}
	switch {
	case keys.Sealer() == (seal.ID{}):
		o.TicketID, o.TicketURL = d.Ticket.ID, d.Ticket.URL
	case d.Ticket != (delivery.Ticket{}):
		b, err := cbor.Marshal(ticket{ID: d.Ticket.ID, URL: d.Ticket.URL})
		if err != nil {
			return nil, fmt.Errorf("encoding a delivery's ticket: %w", err)
		}
		o.Ticket = sealed(b, keys, d.ID, kindTicket)
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

// decodeDetails sets all but the ticket also without the key of that.
func decodeDetails(b []byte, d *delivery.Delivery, keys *seal.Keys) error {
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
	if len(o.Ticket) == 0 {
		return nil
	}
	opened, err := unsealed(o.Ticket, keys, d.ID, kindTicket)
	if err != nil {
		return err
	}
	var t ticket
	if err := decoding.Unmarshal(opened, &t); err != nil {
		return errDetails
	}
	d.Ticket = delivery.Ticket{ID: t.ID, URL: t.URL}
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
	summaryColumns = `d.id, d.webhook, d.upstream, d.state, d.claim IS NOT NULL, d.due, d.received, d.elapsed, d.tries, d.key, d.key_expires, d.sealer, d.details, d.answer`
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
	key, sealer, details   []byte
	content                content
}

// fields are those of the columns, in their order.
func (r *row) fields(all bool) []any {
	fields := []any{
		&r.id, &r.webhook, &r.upstream, &r.state, &r.claimed, &r.due, &r.received, &r.elapsed, &r.tries,
		&r.key, &r.expires, &r.sealer, &r.details, &r.content.answer,
	}
	if all {
		fields = append(fields, &r.content.body, &r.content.customer, &r.content.transcript)
	}
	return fields
}

// delivery returns what can be read of the delivery, and fails with
// [delivery.ErrUnreadable] if that is not all.
func (r *row) delivery(keys *seal.Keys) (*delivery.Delivery, error) {
	d := &delivery.Delivery{
		ID: r.id.Bytes, Lane: delivery.Lane{Webhook: *r.webhook, Upstream: *r.upstream},
		State: delivery.State(*r.state), Claimed: *r.claimed,
		DueAt: timeOf(r.due), ReceivedAt: timeOf(r.received), KeyExpires: timeOf(r.expires),
		Elapsed: time.Duration(*r.elapsed), Tries: int(*r.tries),
	}
	copy(d.Key[:], r.key)
	inDetails, inContent := decodeDetails(r.details, d, keys), r.content.decode(d, keys)
	if err := cmp.Or(inDetails, inContent); err != nil {
		return d, fmt.Errorf("%w: %w", delivery.ErrUnreadable, err)
	}
	return d, nil
}

// collect reads the deliveries that a query returns. One that cannot be read
// fails it, unless there is a function that is told of it, and says whether what
// could be read is kept.
func collect(rows pgx.Rows, all bool, keys *seal.Keys, unreadable func(d *delivery.Delivery, err error) (keep bool)) (found []*delivery.Delivery, err error) {
	claimed, err := collectClaims(rows, all, keys, unreadable)
	for _, c := range claimed {
		found = append(found, c.Delivery)
	}
	return found, err
}

// claimed is a delivery with the sealer that its row has.
type claimed struct {
	*delivery.Delivery
	sealer seal.ID
}

func collectClaims(rows pgx.Rows, all bool, keys *seal.Keys, unreadable func(d *delivery.Delivery, err error) (keep bool)) (found []claimed, err error) {
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(r.fields(all)...); err != nil {
			return nil, err
		}
		d, err := r.delivery(keys)
		if err != nil && unreadable == nil {
			return nil, err
		}
		if err != nil && !unreadable(d, err) {
			continue
		}
		found = append(found, claimed{d, sealerOf(r.sealer)})
	}
	return found, rows.Err()
}
