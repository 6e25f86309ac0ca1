package transfer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// line is a delivery, or the last line.
type line struct {
	ID              string   `json:"id,omitempty"`
	Name            text     `json:"name,omitempty"` // of the webhook
	Upstream        text     `json:"upstream,omitempty"`
	State           string   `json:"state,omitempty"`
	Event           text     `json:"event,omitempty"`
	ChatID          text     `json:"chat_id,omitempty"`
	ReceivedAt      instant  `json:"received_at,omitzero"`
	Key             string   `json:"key,omitempty"` // SHA-256, in hexadecimal digits
	KeyExpires      instant  `json:"key_expires,omitzero"`
	DueAt           instant  `json:"due_at,omitzero"`
	Elapsed         int64    `json:"elapsed_ns,omitempty"`
	Tries           int      `json:"tries,omitempty"`
	Attempts        attempts `json:"attempts,omitempty"`
	TicketID        text     `json:"ticket_id,omitempty"`
	TicketURL       text     `json:"ticket_url,omitempty"`
	Answer          text     `json:"answer,omitempty"`
	Trace           text     `json:"trace,omitempty"`
	TranscriptError text     `json:"transcript_error,omitempty"`
	Body            text     `json:"body,omitempty"`
	Customer        text     `json:"customer,omitempty"`
	Transcript      text     `json:"transcript,omitempty"`

	Deliveries *int `json:"deliveries,omitempty"`
}

// attempts are no more than maxAttempts: of what takes two bytes each, a line has
// room for as many as would take gigabytes of memory.
type attempts []attempt

// maxAttempts is far more than a delivery has, which keeps its last ones only.
const maxAttempts = 1000

var errAttempts = fmt.Errorf("its attempts are not an array of %d at the most", maxAttempts)

// UnmarshalJSON implements [json.Unmarshaler].
func (a *attempts) UnmarshalJSON(b []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return errAttempts
	}
	*a = nil // the last one of several counts, as elsewhere
	for decoder.More() {
		if len(*a) == maxAttempts {
			return errAttempts
		}
		var one attempt
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		*a = append(*a, one)
	}
	return nil
}

type attempt struct {
	At       instant `json:"at,omitzero"`
	Duration int64   `json:"duration_ns,omitempty"`
	Stage    text    `json:"stage,omitempty"`
	Status   int     `json:"status,omitempty"`
	Error    text    `json:"error,omitempty"`
	Unknown  bool    `json:"unknown,omitempty"`
}

func lineOf(d *delivery.Delivery) *line {
	l := &line{
		ID: d.ID.String(), Name: text(d.Lane.Webhook), Upstream: text(d.Lane.Upstream), State: d.State.String(),
		Event: text(d.Event), ChatID: text(d.ChatID), ReceivedAt: instant{d.ReceivedAt},
		KeyExpires: instant{d.KeyExpires}, DueAt: instant{d.DueAt}, Elapsed: int64(d.Elapsed), Tries: d.Tries,
		TicketID: text(d.Ticket.ID), TicketURL: text(d.Ticket.URL), Answer: d.Answer, Trace: text(d.Trace),
		TranscriptError: text(d.TranscriptError), Body: d.Body, Customer: d.Customer, Transcript: d.Transcript,
	}
	if d.Key != (delivery.Key{}) {
		l.Key = hex.EncodeToString(d.Key[:])
	}
	for _, a := range d.Attempts {
		l.Attempts = append(l.Attempts, attempt{
			At: instant{a.At}, Duration: int64(a.Duration), Stage: text(a.Stage), Status: a.Status, Error: text(a.Error), Unknown: a.Unknown,
		})
	}
	return l
}

var states = map[string]delivery.State{
	delivery.Pending.String():   delivery.Pending,
	delivery.Delivered.String(): delivery.Delivered,
	delivery.Dead.String():      delivery.Dead,
}

// maxName is how long the names of webhooks and upstreams can be, in bytes.
const maxName = 255

// delivery returns the line's delivery, or says what is wrong with it.
func (l *line) delivery() (*delivery.Delivery, error) {
	id, err := uuid.Parse(l.ID)
	if err != nil || id.String() != l.ID || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		return nil, errors.New("its id is no UUID of version 7, such as 0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e77")
	}
	state, ok := states[l.State]
	switch {
	case !ok:
		return nil, errors.New("its state is not pending, delivered or dead")
	case len(l.Name) == 0 || len(l.Name) > maxName || len(l.Upstream) == 0 || len(l.Upstream) > maxName:
		return nil, fmt.Errorf("it has no name and upstream of 1 to %d bytes", maxName)
	case l.ReceivedAt.IsZero():
		return nil, errors.New("it has no received_at")
	case l.Elapsed < 0 || l.Tries < 0:
		return nil, errors.New("its elapsed_ns or tries is negative")
	}
	d := &delivery.Delivery{
		ID: id, Lane: delivery.Lane{Webhook: string(l.Name), Upstream: string(l.Upstream)},
		KeyExpires: l.KeyExpires.Time, Event: string(l.Event), ChatID: string(l.ChatID), ReceivedAt: l.ReceivedAt.Time,
		Body: l.Body.bytes(), Customer: l.Customer.bytes(), Transcript: l.Transcript.bytes(),
		TranscriptError: string(l.TranscriptError), Trace: string(l.Trace),
		State: state, DueAt: l.DueAt.Time, Elapsed: time.Duration(l.Elapsed), Tries: l.Tries,
		Ticket: delivery.Ticket{ID: string(l.TicketID), URL: string(l.TicketURL)}, Answer: l.Answer.bytes(),
	}
	if l.Key != "" {
		key, err := hex.DecodeString(l.Key)
		if err != nil || len(key) != len(d.Key) {
			return nil, fmt.Errorf("its key does not have %d hexadecimal digits", 2*len(d.Key))
		}
		d.Key = delivery.Key(key)
	}
	for _, a := range l.Attempts {
		if a.Duration < 0 {
			return nil, errors.New("the duration_ns of an attempt is negative")
		}
		d.Attempts = append(d.Attempts, delivery.Attempt{
			At: a.At.Time, Duration: time.Duration(a.Duration), Stage: string(a.Stage), Status: a.Status, Error: string(a.Error), Unknown: a.Unknown,
		})
	}
	return d, nil
}

// decode reads a line strictly: what this version does not know would be lost.
// Its errors have nothing of the line but the names of our fields.
func decode(b []byte, into any) error {
	if !utf8.Valid(b) {
		return errors.New("it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var ofType *json.UnmarshalTypeError
	var ofSyntax *json.SyntaxError
	switch {
	case errors.As(err, &ofType):
		return fmt.Errorf("%s is a JSON %s, which it cannot be", orElse(ofType.Field, "it"), jsonType(ofType.Value))
	case errors.As(err, &ofSyntax), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is not a JSON object in one line")
	case errors.Is(err, errText), errors.Is(err, errBase64), errors.Is(err, errTime), errors.Is(err, errAttempts):
		return err
	case err != nil:
		return errors.New("it has a field that this version of the module does not know")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something comes after the JSON object")
	}
	return nil
}

// jsonType leaves out of a description what follows the type: a number.
func jsonType(described string) string {
	kind, _, _ := bytes.Cut([]byte(described), []byte(" "))
	return string(kind)
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
