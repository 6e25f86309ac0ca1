package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// A table is a bucket, or one within it. Only deliveries and contents are the
// truth, whose values have checksums; the others are indexes, which can be
// made from them.
type table struct{ name, part string }

var (
	deliveries = table{name: "deliveries"} // id → record
	contents   = table{name: "contents"}   // id, kind → body or transcript
	held       = table{name: "held"}       // chat, sequence → id
	delivered  = table{"settled", "delivered"}
	dead       = table{"settled", "dead"} // both: time, sequence → id
)

// hasParts tells whether a table consists of others.
func hasParts(name string) bool { return name == "due" || name == "settled" || name == "keys" }

// due has what waits for its time in a lane: time, sequence → id.
func due(lane delivery.Lane) table {
	return table{"due", lane.Webhook + "\x00" + lane.Upstream}
}

func settled(state delivery.State) table {
	if state == delivery.Dead {
		return dead
	}
	return delivered
}

// in returns the table's bucket, nil if there is none yet.
func (t table) in(tx *bbolt.Tx) *bbolt.Bucket {
	b := tx.Bucket([]byte(t.name))
	if b != nil && t.part != "" {
		return b.Bucket([]byte(t.part))
	}
	return b
}

func (t table) create(tx *bbolt.Tx) (*bbolt.Bucket, error) {
	b, err := tx.CreateBucketIfNotExists([]byte(t.name))
	if err == nil && t.part != "" {
		b, err = b.CreateBucketIfNotExists([]byte(t.part))
	}
	if err != nil {
		return nil, err
	}
	// Most keys come in their order, so that little room for others in between
	// is needed; records grow when they are settled.
	b.FillPercent = 0.9
	if t == deliveries {
		b.FillPercent = 0.7
	}
	return b, nil
}

// timeKey orders by time, then by sequence. Times before 1970 sort first.
func timeKey(nanos int64, sequence uint64) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint64(b, uint64(nanos)^1<<63)
	binary.BigEndian.PutUint64(b[8:], sequence)
	return b
}

func timeOfKey(key []byte) int64 { return int64(binary.BigEndian.Uint64(key) ^ 1<<63) }

func heldKey(chat, sequence uint64) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint64(b, chat)
	binary.BigEndian.PutUint64(b[8:], sequence)
	return b
}

// chatHash names a delivery's chat within its lane, 0 if it has none. Two
// chats with one hash would wait for each other, and no more than that.
func chatHash(d *delivery.Delivery) uint64 {
	if d.ChatID == "" {
		return 0
	}
	return hashChat(d.Lane, d.ChatID)
}

func hashChat(lane delivery.Lane, chatID string) uint64 {
	h := fnv.New64a()
	for _, s := range []string{lane.Webhook, lane.Upstream, chatID} {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

func idOf(b []byte) (id uuid.UUID, err error) {
	if len(b) != len(id) {
		return id, fmt.Errorf("%w: an index does not lead to a delivery", errDamaged)
	}
	return uuid.UUID(b), nil
}

// writer is a transaction that writes. While a file is compacted, it writes to
// both the old and the new one; it reads from the old one.
type writer struct {
	id      int // of the transaction
	txs     []*bbolt.Tx
	buckets map[table][]*bbolt.Bucket
	// dirty: there is something to commit.
	dirty bool
	// undo takes back, last first, what was done to the index.
	undo []func()
	// fault is the first write that failed: the transaction is to fail.
	fault error
}

func newWriter(tx *bbolt.Tx) *writer {
	return &writer{id: tx.ID(), txs: []*bbolt.Tx{tx}, buckets: make(map[table][]*bbolt.Bucket, 8)}
}

func (w *writer) fail(err error) {
	if errors.Is(err, berrors.ErrIncompatibleValue) {
		err = fmt.Errorf("%w: what is a table and what a value is mixed up", errDamaged)
	}
	if w.fault == nil {
		w.fault = err
	}
}

// bucket returns a table to read from, nil if there is none yet.
func (w *writer) bucket(t table) *bbolt.Bucket {
	if buckets := w.buckets[t]; buckets != nil {
		return buckets[0]
	}
	return t.in(w.txs[0])
}

// create returns a table of each file to write to.
func (w *writer) create(t table) []*bbolt.Bucket {
	w.dirty = true
	if buckets := w.buckets[t]; buckets != nil {
		return buckets
	}
	buckets := make([]*bbolt.Bucket, len(w.txs))
	for i, tx := range w.txs {
		b, err := t.create(tx)
		if err != nil {
			w.fail(err)
			return nil
		}
		buckets[i] = b
	}
	w.buckets[t] = buckets
	return buckets
}

func (w *writer) get(t table, key []byte) []byte {
	if b := w.bucket(t); b != nil {
		return b.Get(key)
	}
	return nil
}

func (w *writer) put(t table, key, value []byte) {
	for _, b := range w.create(t) {
		if err := b.Put(key, value); err != nil {
			w.fail(err)
		}
	}
}

func (w *writer) delete(t table, key []byte) {
	if w.bucket(t) == nil {
		return
	}
	for _, b := range w.create(t) {
		if err := b.Delete(key); err != nil {
			w.fail(err)
		}
	}
}

// empty deletes the first n keys of a table, and tells whether there are more.
func (w *writer) empty(t table, n int) (more bool) {
	b := w.bucket(t)
	if b == nil {
		return false
	}
	var keys [][]byte
	c := b.Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if len(keys) == n {
			more = true
			break
		}
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys {
		w.delete(t, key)
	}
	return more
}

// drop deletes a table.
func (w *writer) drop(t table) {
	for _, tx := range w.txs {
		if t.in(tx) == nil {
			continue
		}
		w.dirty = true
		var err error
		if t.part == "" {
			err = tx.DeleteBucket([]byte(t.name))
		} else {
			err = tx.Bucket([]byte(t.name)).DeleteBucket([]byte(t.part))
		}
		if err != nil {
			w.fail(err)
		}
	}
	delete(w.buckets, t)
}

// next numbers the writes.
func (w *writer) next() uint64 {
	buckets := w.create(deliveries)
	if buckets == nil {
		return 0
	}
	n, err := buckets[0].NextSequence()
	if err != nil {
		w.fail(err)
	}
	return n
}

// record reads a record; ok is false if there is none.
func (w *writer) record(id uuid.UUID) (r record, ok bool) {
	b := w.get(deliveries, id[:])
	if b == nil {
		return r, false
	}
	r, err := decode(id[:], b)
	if err != nil {
		w.fail(err)
		return r, false
	}
	r.details, r.siblings = bytes.Clone(r.details), bytes.Clone(r.siblings) // the page may move
	return r, true
}

// write stores a record under a new revision.
func (w *writer) write(id uuid.UUID, r *record) {
	r.revision = w.next()
	w.put(deliveries, id[:], r.encode(id))
}

// onFailure undoes a change to the index, if the transaction fails.
func (w *writer) onFailure(undo func()) { w.undo = append(w.undo, undo) }

func (w *writer) rollBack() {
	for _, undo := range slices.Backward(w.undo) {
		undo()
	}
	w.undo = nil
}
