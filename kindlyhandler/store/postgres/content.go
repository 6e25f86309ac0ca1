package postgres

import (
	"github.com/google/uuid"
	"github.com/klauspost/compress/s2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// content is what strangers wrote, as it is stored: nil where there is none.
type content struct{ body, customer, transcript, answer []byte }

// The kinds of what is sealed, which are part of what it is bound to.
const (
	kindBody       = 'b'
	kindCustomer   = 'c'
	kindTranscript = 't'
	kindAnswer     = 'a'
	kindTicket     = 'k'
)

// decode sets the delivery's content. What was not read is nil, and stays so.
func (c *content) decode(d *delivery.Delivery, keys *seal.Keys) (err error) {
	for _, field := range []struct {
		to   *[]byte
		from []byte
		kind byte
	}{
		{&d.Body, c.body, kindBody},
		{&d.Customer, c.customer, kindCustomer},
		{&d.Transcript, c.transcript, kindTranscript},
		{&d.Answer, c.answer, kindAnswer},
	} {
		var failed error
		if *field.to, failed = unsealed(field.from, keys, d.ID, field.kind); failed != nil {
			err = failed
		}
	}
	return err
}

// sealed is nil for nothing, and packs, and encrypts if a key does that.
func sealed(b []byte, keys *seal.Keys, id uuid.UUID, kind byte) []byte {
	packed := pack(b)
	if packed == nil || keys.Sealer() == (seal.ID{}) {
		return packed
	}
	return keys.Seal(append(make([]byte, 0, 1+len(packed)+seal.Overhead), packedSealed), packed, associated(id, kind))
}

func unsealed(b []byte, keys *seal.Keys, id uuid.UUID, kind byte) ([]byte, error) {
	if len(b) > 0 && b[0] == packedSealed {
		opened, err := keys.Open(nil, b[1:], associated(id, kind))
		if err != nil {
			return nil, err
		}
		b = opened
	}
	return unpack(b)
}

// The first byte of a packed value says how it is packed.
const (
	packedPlain = 0
	packedS2    = 1
	// packedSealed: the rest is sealed, and packed in it.
	packedSealed = 2
	// worthPacking is from which length on a value is compressed: shorter ones
	// do not leave their row, and what is compressed gains little.
	worthPacking = 1024
)

var errPacking = &problem{text: "a delivery's content is packed in a way that this version does not know, or is damaged"}

func pack(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) >= worthPacking {
		packed := make([]byte, 1+s2.MaxEncodedLen(len(b)))
		packed[0] = packedS2
		if n := len(s2.Encode(packed[1:], b)); n < len(b) {
			return packed[: 1+n : 1+n]
		}
	}
	return append([]byte{packedPlain}, b...)
}

func unpack(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
		return nil, nil
	case b[0] == packedPlain:
		return b[1:], nil
	case b[0] == packedS2:
		plain, err := s2.Decode(nil, b[1:])
		if err != nil {
			return nil, errPacking
		}
		return plain, nil
	}
	return nil, errPacking
}
