package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// lock returns the number of an advisory lock of this store alone. The server
// has one space of them for each database.
func (s *Store) lock(parts ...string) int64 {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], s.names.Load().space)
	h.Write(n[:])
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}

// chatLock is held until the commit by who changes which deliveries of a chat
// are pending: they are in an order, and each is held back or not by what is
// committed.
func (s *Store) chatLock(lane delivery.Lane, chat uuid.UUID) int64 {
	return s.lock("chat", lane.Webhook, lane.Upstream, string(chat[:]))
}

// lockSQL takes advisory locks in the order that they are given in.
const lockSQL = `SELECT count(pg_advisory_xact_lock(l)) FROM unnest($1::bigint[]) l`

// sorted locks are taken in one order by all, so that none wait for each other.
func sorted(locks []int64) []int64 {
	slices.Sort(locks)
	return slices.Compact(locks)
}
