package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"github.com/klauspost/compress/s2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// The content of a delivery lies apart from its record, under the id and one
// of these: it is written once, and dropped on delivery.
const (
	kindBody       = 'b'
	kindTranscript = 't'
)

// sealedMark, behind the checksum, tells that the rest is encrypted: no origin is
// so long, and no compressed transcript begins so.
var sealedMark = []byte{0xff, 0xff, 0xff, 0xff}

func contentKey(id uuid.UUID, kind byte) []byte { return append(id[:], kind) }

// origin is what a webhook's content says of itself: if its record is lost to
// damage, the delivery can be made anew.
type origin struct {
	_          struct{} `cbor:",toarray"`
	Webhook    string
	Upstream   string
	Key        []byte
	KeyExpires int64
	Event      string
	ChatID     string
	ReceivedAt int64
}

// encodeBody returns the webhook's content: checksum, the length of what is
// before the body, origin, the customer if there is one, body.
func encodeBody(d *delivery.Delivery, keys *seal.Keys) ([]byte, error) {
	o, err := cbor.Marshal(&origin{
		Webhook: d.Lane.Webhook, Upstream: d.Lane.Upstream,
		Key: d.Key[:], KeyExpires: nanos(d.KeyExpires),
		Event: d.Event, ChatID: d.ChatID, ReceivedAt: nanos(d.ReceivedAt),
	})
	if err != nil {
		return nil, fmt.Errorf("encoding a webhook's origin: %w", err)
	}
	if len(d.Customer) > 0 {
		customer, err := cbor.Marshal(d.Customer)
		if err != nil {
			return nil, fmt.Errorf("encoding a webhook's customer: %w", err)
		}
		o = append(o, customer...)
	}
	b := make([]byte, 8, 8+len(o)+len(d.Body))
	binary.BigEndian.PutUint32(b[4:], uint32(len(o)))
	return pack(keys, contentKey(d.ID, kindBody), append(append(b, o...), d.Body...)), nil
}

// encodeTranscript returns the transcript's content: checksum, transcript,
// compressed.
func encodeTranscript(d *delivery.Delivery, keys *seal.Keys) []byte {
	b := make([]byte, 4+s2.MaxEncodedLen(len(d.Transcript)))
	n := len(s2.Encode(b[4:], d.Transcript))
	return pack(keys, contentKey(d.ID, kindTranscript), b[:4+n])
}

func dropContents(w *writer, id uuid.UUID) {
	w.delete(contents, contentKey(id, kindBody))
	w.delete(contents, contentKey(id, kindTranscript))
}

// pack returns a content as it is on disk: encrypted, if a key is to do that, and
// with its checksum, for which content has room.
func pack(keys *seal.Keys, key, content []byte) []byte {
	if keys.Sealer() != (seal.ID{}) {
		b := make([]byte, 4, 4+len(sealedMark)+len(content)-4+seal.Overhead)
		content = keys.Seal(append(b, sealedMark...), content[4:], key)
	}
	binary.BigEndian.PutUint32(content, checksum(key, content[4:]))
	return content
}

// unpack returns a content without its checksum, decrypted.
func unpack(keys *seal.Keys, key, b []byte) ([]byte, error) {
	b, err := checked(key, b)
	if err != nil || !bytes.HasPrefix(b, sealedMark) {
		return b, err
	}
	return decrypt(keys, b[len(sealedMark):], key)
}

// decrypt opens what was sealed. That it is not what was is damage, as if its
// checksum were wrong; that the key is not there is none.
func decrypt(keys *seal.Keys, sealed, about []byte) ([]byte, error) {
	opened, err := keys.Open(nil, sealed, about)
	if errors.Is(err, seal.ErrBroken) {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	return opened, err
}

// sealerOf returns the ID of the key that a content on disk is encrypted with,
// the zero ID if it is not.
func sealerOf(b []byte) (id seal.ID) {
	if len(b) > 4 && bytes.HasPrefix(b[4:], sealedMark) {
		id, _ = seal.KeyOf(b[4+len(sealedMark):])
	}
	return id
}

// checked returns a content without its checksum.
func checked(key, b []byte) ([]byte, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != checksum(key, b[4:]) {
		return nil, fmt.Errorf("%w: a webhook's checksum is wrong", errDamaged)
	}
	return b[4:], nil
}

// decodeBody returns copies of the body and of the customer, and what the
// webhook's content says of itself.
func decodeBody(id uuid.UUID, b []byte, keys *seal.Keys) (o origin, customer, body []byte, err error) {
	b, err = unpack(keys, contentKey(id, kindBody), b)
	if err != nil {
		return o, nil, nil, err
	}
	if len(b) < 4 || uint64(len(b)) < 4+uint64(binary.BigEndian.Uint32(b)) {
		return o, nil, nil, fmt.Errorf("%w: a webhook is cut off", errDamaged)
	}
	n := 4 + binary.BigEndian.Uint32(b)
	rest, err := decoding.UnmarshalFirst(b[4:n], &o)
	if err == nil && len(rest) > 0 {
		err = decoding.Unmarshal(rest, &customer)
	}
	if err != nil {
		return o, nil, nil, fmt.Errorf("%w: a webhook's origin: %w", errDamaged, err)
	}
	return o, customer, append([]byte(nil), b[n:]...), nil
}

func decodeTranscript(id uuid.UUID, b []byte, keys *seal.Keys) ([]byte, error) {
	b, err := unpack(keys, contentKey(id, kindTranscript), b)
	if err != nil {
		return nil, err
	}
	transcript, err := s2.Decode(nil, b)
	if err != nil {
		return nil, fmt.Errorf("%w: a transcript: %w", errDamaged, err)
	}
	return transcript, nil
}

// delivery returns what can be known of a delivery from its content alone.
func (o *origin) delivery(id uuid.UUID, customer, body []byte) *delivery.Delivery {
	d := &delivery.Delivery{
		ID: id, Lane: delivery.Lane{Webhook: o.Webhook, Upstream: o.Upstream},
		KeyExpires: timeOf(o.KeyExpires), Event: o.Event, ChatID: o.ChatID,
		ReceivedAt: timeOf(o.ReceivedAt), DueAt: timeOf(o.ReceivedAt), Body: body, Customer: customer,
	}
	copy(d.Key[:], o.Key)
	return d
}
