package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// A record is a delivery on disk without its content. It begins with what is
// needed to find and order deliveries, at fixed places, so that a start reads
// a million of them fast:
//
//	 0  CRC32C of the key and all that follows
//	 4  format, state, place, flags: a byte each
//	 8  sequence: the order of the puts
//	16  revision: the newest of several copies, when a damaged file is read
//	24  due, key expiry, settled, received: times
//	56  the first 8 bytes of the duplicate key
//	64  the chat's hash, 0 without an order
//	72  webhook and upstream, each behind a byte with its length
//	    ids of the webhook's other deliveries, behind a byte with their number
//	    in format 2, which is that of encrypted deliveries, the key's ID
//	    details, as CBOR
type record struct {
	state   delivery.State
	place   place
	revived bool
	first   bool // of its webhook's deliveries: the key leads to it

	sequence, revision                 uint64
	due, keyExpires, settled, received int64
	keyHead, chat                      uint64
	lane                               delivery.Lane
	// siblings are the ids of the webhook's other deliveries, in the order of
	// their put; the first delivery has them.
	siblings []byte

	// sealer is the ID of the key that all of the delivery is encrypted with,
	// zero if nothing is.
	sealer  seal.ID
	details []byte
}

const (
	idSize       = len(uuid.UUID{})
	recordFormat = 1
	sealedFormat = 2
	recordHeader = 72
	flagRevived  = 1
	flagFirst    = 2
)

// place says where a pending delivery waits.
type place uint8

const (
	// placeNone: its first attempt is under way, or it is settled.
	placeNone place = iota
	placeDue
	// placeHeld: behind an older delivery of its chat.
	placeHeld
)

// details are the fields of a delivery that only its readers need.
type details struct {
	Key             []byte    `cbor:"1,keyasint,omitempty"`
	Event           string    `cbor:"2,keyasint,omitempty"`
	ChatID          string    `cbor:"3,keyasint,omitempty"`
	TranscriptError string    `cbor:"4,keyasint,omitempty"`
	Elapsed         int64     `cbor:"5,keyasint,omitempty"`
	Tries           int       `cbor:"6,keyasint,omitempty"`
	Attempts        []attempt `cbor:"7,keyasint,omitempty"`
	TicketID        string    `cbor:"8,keyasint,omitempty"`
	TicketURL       string    `cbor:"9,keyasint,omitempty"`
	Answer          []byte    `cbor:"10,keyasint,omitempty"`
	Trace           string    `cbor:"11,keyasint,omitempty"`
	// Private, in an encrypted delivery, has what is not to be read: TicketID,
	// TicketURL and Answer are empty then.
	Private []byte `cbor:"12,keyasint,omitempty"`
}

// private is what Private has, before it is encrypted.
type private struct {
	TicketID  string `cbor:"1,keyasint,omitempty"`
	TicketURL string `cbor:"2,keyasint,omitempty"`
	Answer    []byte `cbor:"3,keyasint,omitempty"`
}

// kindPrivate tells it from contents where it is encrypted.
const kindPrivate = 'p'

type attempt struct {
	_        struct{} `cbor:",toarray"`
	At       int64
	Duration int64
	Stage    string
	Status   int
	Error    string
	Unknown  bool
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("the file is damaged")
	errNames   = errors.New("a webhook's or upstream's name is longer than 255 bytes")
	errLanes   = errors.New("a webhook has more than 256 upstreams")
)

// decoding takes texts as they are, also such as are no UTF-8: a delivery that
// can be stored can be read.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// checksum covers the key, so that nothing is taken for what it is not.
func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// never is the zero time on disk.
const never = math.MinInt64

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}

func timeOf(nanos int64) time.Time {
	if nanos == never {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// encode returns the record as it is stored under the id.
func (r *record) encode(id uuid.UUID) []byte {
	b := make([]byte, recordHeader, recordHeader+3+len(r.lane.Webhook)+len(r.lane.Upstream)+len(r.siblings)+len(r.sealer)+len(r.details))
	b[4], b[5], b[6] = recordFormat, byte(r.state), byte(r.place)
	if r.revived {
		b[7] |= flagRevived
	}
	if r.first {
		b[7] |= flagFirst
	}
	for i, n := range []uint64{
		r.sequence, r.revision, uint64(r.due), uint64(r.keyExpires), uint64(r.settled), uint64(r.received), r.keyHead, r.chat,
	} {
		binary.BigEndian.PutUint64(b[8+8*i:], n)
	}
	b = append(append(b, byte(len(r.lane.Webhook))), r.lane.Webhook...)
	b = append(append(b, byte(len(r.lane.Upstream))), r.lane.Upstream...)
	b = append(append(b, byte(len(r.siblings)/idSize)), r.siblings...)
	if r.sealer != (seal.ID{}) {
		b[4] = sealedFormat
		b = append(b, r.sealer[:]...)
	}
	b = append(b, r.details...)
	binary.BigEndian.PutUint32(b, checksum(id[:], b[4:]))
	return b
}

// decode reads a record. Its details are a part of b.
func decode(id, b []byte) (record, error) {
	if len(b) < recordHeader+3 || binary.BigEndian.Uint32(b) != checksum(id, b[4:]) {
		return record{}, fmt.Errorf("%w: a delivery's checksum is wrong", errDamaged)
	}
	if b[4] != recordFormat && b[4] != sealedFormat {
		return record{}, fmt.Errorf("a delivery is stored in format %d: this version of the module knows formats %d and %d only", b[4], recordFormat, sealedFormat)
	}
	n := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	r := record{
		state: delivery.State(b[5]), place: place(b[6]), revived: b[7]&flagRevived != 0, first: b[7]&flagFirst != 0,
		sequence: n(8), revision: n(16),
		due: int64(n(24)), keyExpires: int64(n(32)), settled: int64(n(40)), received: int64(n(48)),
		keyHead: n(56), chat: n(64),
	}
	rest := b[recordHeader:]
	for _, name := range []*string{&r.lane.Webhook, &r.lane.Upstream} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return record{}, fmt.Errorf("%w: a delivery is cut off", errDamaged)
		}
		end := 1 + int(rest[0])
		*name = string(rest[1:end])
		rest = rest[end:]
	}
	if len(rest) == 0 || len(rest) < 1+int(rest[0])*idSize {
		return record{}, fmt.Errorf("%w: a delivery is cut off", errDamaged)
	}
	end := 1 + int(rest[0])*idSize
	r.siblings, r.details = rest[1:end], rest[end:]
	if b[4] == sealedFormat {
		if len(r.details) < len(r.sealer) {
			return record{}, fmt.Errorf("%w: a delivery is cut off", errDamaged)
		}
		r.details = r.details[copy(r.sealer[:], r.details):]
	}
	return r, nil
}

// recordOf returns the record of a delivery, but for what the store knows.
func recordOf(d *delivery.Delivery, keys *seal.Keys) (record, error) {
	if len(d.Lane.Webhook) > 255 || len(d.Lane.Upstream) > 255 {
		return record{}, errNames
	}
	o := details{
		Event: d.Event, ChatID: d.ChatID,
		TranscriptError: d.TranscriptError, Elapsed: int64(d.Elapsed), Tries: d.Tries,
		TicketID: d.Ticket.ID, TicketURL: d.Ticket.URL, Answer: d.Answer, Trace: d.Trace,
	}
	if d.Key != (delivery.Key{}) {
		o.Key = d.Key[:]
	}
	for _, a := range d.Attempts {
		o.Attempts = append(o.Attempts, attempt{
			At: nanos(a.At), Duration: int64(a.Duration), Stage: a.Stage, Status: a.Status, Error: a.Error, Unknown: a.Unknown,
		})
	}
	err := o.hide(d.ID, keys)
	var encoded []byte
	if err == nil {
		encoded, err = cbor.Marshal(&o)
	}
	if err != nil {
		return record{}, fmt.Errorf("encoding a delivery: %w", err)
	}
	return record{
		state: d.State, lane: d.Lane,
		due: nanos(d.DueAt), keyExpires: nanos(d.KeyExpires), settled: never, received: nanos(d.ReceivedAt),
		keyHead: head(d.Key[:]), chat: chatHash(d),
		sealer: keys.Sealer(), details: encoded,
	}, nil
}

// hide encrypts what is not to be read, if a key is to do that.
func (o *details) hide(id uuid.UUID, keys *seal.Keys) error {
	p := private{o.TicketID, o.TicketURL, o.Answer}
	if keys.Sealer() == (seal.ID{}) || p.TicketID == "" && p.TicketURL == "" && p.Answer == nil {
		return nil
	}
	encoded, err := cbor.Marshal(&p)
	if err != nil {
		return err
	}
	o.TicketID, o.TicketURL, o.Answer = "", "", nil
	o.Private = keys.Seal(nil, encoded, contentKey(id, kindPrivate))
	return nil
}

// reveal undoes hide.
func (o *details) reveal(id uuid.UUID, keys *seal.Keys) error {
	if o.Private == nil {
		return nil
	}
	encoded, err := decrypt(keys, o.Private, contentKey(id, kindPrivate))
	if err != nil {
		return err
	}
	var p private
	if err := decoding.Unmarshal(encoded, &p); err != nil {
		return fmt.Errorf("%w: a delivery's answer: %w", errDamaged, err)
	}
	o.TicketID, o.TicketURL, o.Answer = p.TicketID, p.TicketURL, p.Answer
	return nil
}

func (r *record) decodeDetails() (o details, err error) {
	if err := decoding.Unmarshal(r.details, &o); err != nil {
		return o, fmt.Errorf("%w: a delivery's details: %w", errDamaged, err)
	}
	return o, nil
}

// key returns the duplicate key, which takes no decrypting.
func (r *record) key() (key delivery.Key, err error) {
	o, err := r.decodeDetails()
	copy(key[:], o.Key)
	return key, err
}

// delivery returns the record's delivery, without its content. Nothing of it
// is a part of the record.
func (r *record) delivery(id uuid.UUID, keys *seal.Keys) (*delivery.Delivery, error) {
	o, err := r.decodeDetails()
	if err == nil {
		err = o.reveal(id, keys)
	}
	if err != nil {
		return nil, err
	}
	d := &delivery.Delivery{
		ID: id, Lane: r.lane, KeyExpires: timeOf(r.keyExpires),
		Event: o.Event, ChatID: o.ChatID, ReceivedAt: timeOf(r.received),
		TranscriptError: o.TranscriptError,
		State:           r.state, DueAt: timeOf(r.due), Elapsed: time.Duration(o.Elapsed), Tries: o.Tries,
		Ticket: delivery.Ticket{ID: o.TicketID, URL: o.TicketURL}, Answer: o.Answer, Trace: o.Trace,
	}
	copy(d.Key[:], o.Key)
	if len(o.Attempts) > 0 {
		d.Attempts = make([]delivery.Attempt, len(o.Attempts))
	}
	for i, a := range o.Attempts {
		d.Attempts[i] = delivery.Attempt{
			At: timeOf(a.At), Duration: time.Duration(a.Duration), Stage: a.Stage, Status: a.Status, Error: a.Error, Unknown: a.Unknown,
		}
	}
	return d, nil
}

// order returns the chat in whose order the record has a place, 0 for none.
func (r *record) order() uint64 {
	if r == nil || r.state != delivery.Pending || r.revived {
		return 0
	}
	return r.chat
}

func head(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
