package bolt

import (
	"encoding/binary"
	"errors"
	"time"
)

// A full disk must not keep deliveries from going on, and from being sent
// again after a crash: what becomes of them takes a few pages of the file,
// which bbolt cannot write in place. So some are kept in reserve, and given up
// when a commit fails. Webhooks are refused then until there is a reserve
// again.
type reserve struct {
	there bool
	gone  time.Time // when it was given up
	next  time.Time // when it can be made again
}

const (
	reservePages = 64
	reserveRetry = time.Second
)

// reserved has values of a page each, with nothing in them.
var reserved = table{name: "reserve"}

var errNoReserve = errors.New("the disk is full")

// keepReserve makes a reserve if there is none. Completions come first that
// could not be committed without what it takes.
func (s *Store) keepReserve() {
	r, now := &s.reserve, time.Now()
	if r.there || now.Before(r.next) {
		return
	}
	if lazy, _, _ := s.queue.waiting(); lazy > 0 && (s.room == 1 || now.Before(r.gone.Add(reserveRetry))) {
		return
	}
	err := s.update(func(w *writer) error {
		page := make([]byte, w.txs[0].DB().Info().PageSize*3/4)
		for i := range uint64(reservePages) {
			w.put(reserved, binary.BigEndian.AppendUint64(nil, i), page)
		}
		return w.fault
	})
	r.there, r.next = err == nil, time.Now().Add(reserveRetry)
}

// giveUpReserve makes room in the file.
func (s *Store) giveUpReserve() {
	if !s.reserve.there {
		return
	}
	err := s.update(func(w *writer) error {
		w.drop(reserved)
		return w.fault
	})
	if err == nil {
		s.reserve = reserve{gone: time.Now()}
	}
}
