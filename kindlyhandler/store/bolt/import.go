package bolt

import (
	"errors"
	"slices"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// resumeImport imports the files that were set aside and are not done. One
// that cannot be read at all holds nobody up: the next start tries it again.
func (s *Store) resumeImport() error {
	all, err := s.listAsides()
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Done {
			continue
		}
		if !slices.Contains(s.unfinished, a.Path) {
			s.unfinished = append(s.unfinished, a.Path)
		}
		if err := s.importFrom(&a); errors.Is(err, errUnreadable) {
			s.log.Error("a damaged file that was set aside cannot be read: it is tried again at the next start",
				zap.String("set_aside", a.Path), zap.Error(err))
			continue
		} else if err != nil {
			return err
		}
		a.Done = true
		if err := s.update(func(w *writer) error {
			for _, b := range w.create(asides) {
				if err := putAside(b, a.Path, &a); err != nil {
					return err
				}
			}
			return w.fault
		}); err != nil {
			return err
		}
		s.unfinished = slices.DeleteFunc(s.unfinished, func(path string) bool { return path == a.Path })
		s.losses.Add(delivery.Lane{}, delivery.LossDamaged, a.Lost)
		s.log.Error("what could be read of the damaged file is imported",
			zap.String("set_aside", a.Path), zap.Int("imported", a.Imported), zap.Int("lost", a.Lost))
	}
	return nil
}

// importFrom takes over what can be read of a damaged file, under the same
// ids. Of several copies the newest counts.
func (s *Store) importFrom(a *Aside) error {
	a.Imported, a.Lost = 0, 0
	if err := s.requireSealers(a.Path); err != nil {
		return err
	}
	var batch []piece
	size := 0
	flush := func() error {
		if s.ctx.Err() != nil {
			return errClosing
		}
		err := s.update(func(w *writer) error {
			for _, p := range batch {
				noteSealer(w, p.sealer())
				if p.content {
					w.put(contents, p.key, p.value)
				} else if importRecord(w, p) {
					a.Imported++
				}
			}
			return w.fault
		})
		batch, size = nil, 0
		return err
	}
	trusted, err := salvage(a.Path, func(p piece) error {
		if !s.opens(p) {
			a.Lost++
			return nil
		}
		batch, size = append(batch, p), size+len(p.value)
		if len(batch) < chunk/2 && size < maxCopied {
			return nil
		}
		return flush()
	}, &a.Lost)
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = s.importOrphans(a, trusted)
	}
	if err == nil {
		err = s.importBodies(a)
	}
	return err
}

// importRecord takes over a record, if it is the newest one of its id. It
// tells whether it is the first one.
func importRecord(w *writer, p piece) (first bool) {
	id := uuid.UUID(p.key)
	r, err := decode(p.key, p.value)
	if err != nil {
		return false
	}
	old, there := w.record(id)
	if there && old.revision >= r.revision {
		return false
	}
	if there {
		unplace(w, &old)
	}
	r.place = placeNone
	if r.state != delivery.Pending {
		w.put(settled(r.state), timeKey(r.settled, r.sequence), p.key)
	}
	// The numbers go on behind all that there are.
	if b := w.create(deliveries); b != nil && b[0].Sequence() <= max(r.sequence, r.revision) {
		if err := b[0].SetSequence(max(r.sequence, r.revision) + 1); err != nil {
			w.fail(err)
		}
	}
	w.put(deliveries, p.key, r.encode(id))
	return !there
}

// importOrphans makes deliveries of contents whose records are lost, and drops
// contents that are not needed. If it is not known which of the file's pages
// were free, old ones are not trusted: their tickets may have been delivered
// and forgotten since.
func (s *Store) importOrphans(a *Aside, trusted bool) error {
	oldest := int64(never)
	if !trusted {
		oldest = nanos(s.now().Add(-s.limits.Load().Retention))
	}
	var orphans []uuid.UUID
	if err := s.each(contents, func(tx *bbolt.Tx, key, _ []byte) error {
		if len(key) != idSize+1 {
			return errOrder
		}
		if key[idSize] == kindBody && deliveries.in(tx).Get(key[:idSize]) == nil {
			orphans = append(orphans, uuid.UUID(key[:idSize]))
		}
		return nil
	}); err != nil {
		return err
	}
	return s.updateEach(orphans, func(w *writer, id uuid.UUID) {
		if s.importOrphan(w, id, oldest) {
			a.Imported++
		} else {
			a.Lost++
		}
	})
}

func (s *Store) importOrphan(w *writer, id uuid.UUID, oldest int64) bool {
	keys := s.keysFor(w)
	o, customer, body, err := decodeBody(id, w.get(contents, contentKey(id, kindBody)), keys)
	if err == nil && o.ReceivedAt >= oldest {
		e, err := newEntry(o.delivery(id, customer, body), keys)
		if err == nil {
			e.first, e.sequence = true, w.next()
			w.write(id, &e.record)
			writeContent(w, id, kindBody, e.body)
			return true
		}
	}
	dropContents(w, id)
	return false
}

// importBodies sees to it that exactly what is not delivered has a body, since
// List finds it by that, and that all of a delivery is encrypted with one key. A
// body that is lost makes a dead letter at the next attempt; one of a delivery
// that was delivered since is a leftover.
func (s *Store) importBodies(a *Aside) error {
	var wrong []uuid.UUID
	if err := s.each(deliveries, func(tx *bbolt.Tx, key, value []byte) error {
		r, err := decode(key, value)
		id := uuid.UUID(key)
		if err == nil && !r.has(contents.in(tx), id) {
			wrong = append(wrong, id)
		}
		return err
	}); err != nil {
		return err
	}
	return s.updateEach(wrong, func(w *writer, id uuid.UUID) {
		r, ok := w.record(id)
		if !ok {
			return
		}
		if r.state == delivery.Delivered {
			dropContents(w, id)
			return
		}
		if err := s.importBody(w, id, &r, a); err != nil {
			w.fail(err)
		}
	})
}

// has tells whether a delivery has the contents that it should have.
func (r *record) has(b *bbolt.Bucket, id uuid.UUID) bool {
	body, transcript := b.Get(contentKey(id, kindBody)), b.Get(contentKey(id, kindTranscript))
	if r.state == delivery.Delivered {
		return body == nil
	}
	return body != nil && sealerOf(body) == r.sealer && (transcript == nil || sealerOf(transcript) == r.sealer)
}

// importBody writes the contents that a delivery should have.
func (s *Store) importBody(w *writer, id uuid.UUID, r *record, a *Aside) error {
	keys := s.keysFor(w)
	d, err := r.delivery(id, keys)
	if err != nil {
		return err
	}
	if w.get(contents, contentKey(id, kindBody)) == nil {
		a.Lost++
		empty, err := encodeBody(d, keys)
		if err != nil {
			return err
		}
		w.put(contents, contentKey(id, kindBody), empty)
	}
	if err := readContent(w.txs[0], d, keys); err != nil {
		return err
	}
	e, err := newEntry(d, keys)
	if err != nil {
		return err
	}
	r.sealer, r.details = e.sealer, e.details
	w.write(id, r)
	writeContent(w, id, kindBody, e.body)
	writeContent(w, id, kindTranscript, e.transcript)
	return nil
}

// updateEach calls f for each id, for a thousand in a transaction.
func (s *Store) updateEach(ids []uuid.UUID, f func(w *writer, id uuid.UUID)) error {
	for part := range slices.Chunk(ids, chunk) {
		if err := s.update(func(w *writer) error {
			for _, id := range part {
				f(w, id)
			}
			return w.fault
		}); err != nil {
			return err
		}
	}
	return nil
}
