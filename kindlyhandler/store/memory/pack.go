package memory

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// pack appends a delivery as bytes, but for what its [entry] has: first its key
// and its chat's id, which are also read by themselves.
func pack(b []byte, d *delivery.Delivery) []byte {
	b = append(b, d.Key[:]...)
	b = appendText(b, d.ChatID)
	b = appendText(b, d.Event)
	b = binary.AppendVarint(b, nanos(d.ReceivedAt))
	b = appendText(b, d.Body)
	b = appendText(b, d.Customer)
	b = appendText(b, d.Transcript)
	b = appendText(b, d.TranscriptError)
	b = binary.AppendVarint(b, nanos(d.DueAt))
	b = binary.AppendVarint(b, int64(d.Elapsed))
	b = binary.AppendVarint(b, int64(d.Tries))
	b = binary.AppendVarint(b, int64(len(d.Attempts)))
	for i := range d.Attempts {
		a := &d.Attempts[i]
		b = binary.AppendVarint(b, nanos(a.At))
		b = binary.AppendVarint(b, int64(a.Duration))
		b = appendText(b, a.Stage)
		b = binary.AppendVarint(b, int64(a.Status))
		b = appendText(b, a.Error)
		b = append(b, flag(a.Unknown))
	}
	b = appendText(b, d.Ticket.ID)
	b = appendText(b, d.Ticket.URL)
	b = appendText(b, d.Answer)
	return appendText(b, d.Trace)
}

// unpack returns a delivery that shares nothing with its bytes.
func unpack(packed []byte) *delivery.Delivery {
	d := new(delivery.Delivery)
	r := reader(packed)
	copy(d.Key[:], r.take(len(d.Key)))
	d.ChatID = string(r.text())
	d.Event = string(r.text())
	d.ReceivedAt = timeOf(r.number())
	d.Body = r.bytes()
	d.Customer = r.bytes()
	d.Transcript = r.bytes()
	d.TranscriptError = string(r.text())
	d.DueAt = timeOf(r.number())
	d.Elapsed = time.Duration(r.number())
	d.Tries = int(r.number())
	d.Attempts = make([]delivery.Attempt, r.number())
	for i := range d.Attempts {
		d.Attempts[i] = delivery.Attempt{
			At:       timeOf(r.number()),
			Duration: time.Duration(r.number()),
			Stage:    string(r.text()),
			Status:   int(r.number()),
			Error:    string(r.text()),
			Unknown:  r.take(1)[0] == 1,
		}
	}
	d.Ticket.ID = string(r.text())
	d.Ticket.URL = string(r.text())
	d.Answer = r.bytes()
	d.Trace = string(r.text())
	return d
}

func packedKey(packed []byte) delivery.Key { return delivery.Key(packed) }

func packedChat(packed []byte) []byte {
	r := reader(packed[len(delivery.Key{}):])
	return r.text()
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendVarint(b, int64(len(text))), text...)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// reader is what is left to unpack.
type reader []byte

func (r *reader) take(n int) []byte {
	taken := (*r)[:n]
	*r = (*r)[n:]
	return taken
}

func (r *reader) number() int64 {
	n, size := binary.Varint(*r)
	r.take(size)
	return n
}

func (r *reader) text() []byte { return r.take(int(r.number())) }

// bytes returns a copy, nil if there are none.
func (r *reader) bytes() []byte { return append([]byte(nil), r.text()...) }

// never stands for the zero time.
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
	return time.Unix(0, nanos)
}
