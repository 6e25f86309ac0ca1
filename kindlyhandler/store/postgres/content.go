package postgres

import (
	"github.com/klauspost/compress/s2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// content is what strangers wrote, as it is stored: nil where there is none.
type content struct{ body, customer, transcript, answer []byte }

func encodeContent(d *delivery.Delivery) content {
	return content{
		body:       pack(d.Body),
		customer:   pack(d.Customer),
		transcript: pack(d.Transcript),
		answer:     pack(d.Answer),
	}
}

// decode sets the delivery's content. What was not read is nil, and stays so.
func (c *content) decode(d *delivery.Delivery) (err error) {
	for _, field := range []struct {
		to   *[]byte
		from []byte
	}{{&d.Body, c.body}, {&d.Customer, c.customer}, {&d.Transcript, c.transcript}, {&d.Answer, c.answer}} {
		var failed error
		if *field.to, failed = unpack(field.from); failed != nil {
			err = failed
		}
	}
	return err
}

// The first byte of a packed value says how it is packed.
const (
	packedPlain = 0
	packedS2    = 1
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
