package bolt

import (
	"cmp"
	"slices"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// keys finds the delivery that makes a webhook a duplicate, in memory: random
// keys in a tree on disk would dirty a page for each webhook. An entry has the
// first 8 bytes of a key and of an id, some 25 bytes in all; whoever follows
// it compares the whole key.
//
// Entries live in generations by the time at which they expire, and are
// forgotten a generation at a time. If there are too many in all, the largest
// generation moves to the disk (spill.go).
type keys struct {
	generations []*generation // by until
	// clashes are keys that share their first 8 bytes with another one.
	clashes map[delivery.Key]clash
	// spilled are the ends of the generations that are on disk, too.
	spilled map[int64]bool
}

type generation struct {
	until int64
	// ids does not change any more once it is frozen.
	ids    map[uint64]uint64
	frozen bool
}

type clash struct {
	id      uint64
	expires int64
}

// generationsPerWindow is how many generations there are of one dedupe window:
// entries stay an eighth of it longer than they need.
const generationsPerWindow = 8

// add enters a key that expires at a time, and returns how to take it out.
func (k *keys) add(key delivery.Key, id uint64, received, expires int64) (remove func()) {
	g, short := k.generation(endOf(received, expires)), head(key[:])
	if _, taken := g.ids[short]; taken {
		if k.clashes == nil {
			k.clashes = make(map[delivery.Key]clash)
		}
		before, there := k.clashes[key]
		k.clashes[key] = clash{id, expires}
		return func() {
			if there {
				k.clashes[key] = before
			} else {
				delete(k.clashes, key)
			}
		}
	}
	g.ids[short] = id
	return func() { delete(g.ids, short) }
}

// endOf returns when the generation of a key ends.
func endOf(received, expires int64) int64 {
	step := max((expires-received)/generationsPerWindow, int64(time.Second))
	return (expires/step + 1) * step
}

// generation returns the one that ends at a time and is not frozen.
func (k *keys) generation(until int64) *generation {
	i, _ := slices.BinarySearchFunc(k.generations, until, func(g *generation, until int64) int {
		return cmp.Compare(g.until, until)
	})
	for ; i < len(k.generations) && k.generations[i].until == until; i++ {
		if !k.generations[i].frozen {
			return k.generations[i]
		}
	}
	g := &generation{until: until, ids: make(map[uint64]uint64)}
	k.generations = slices.Insert(k.generations, i, g)
	return g
}

// find returns the beginnings of the ids that may have the key.
func (k *keys) find(key delivery.Key) (ids []uint64) {
	for _, g := range k.generations {
		if id, ok := g.ids[head(key[:])]; ok {
			ids = append(ids, id)
		}
	}
	if c, ok := k.clashes[key]; ok {
		ids = append(ids, c.id)
	}
	return ids
}

// forget drops the generations that have expired.
func (k *keys) forget(now int64) {
	n := 0
	for n < len(k.generations) && k.generations[n].until < now {
		n++
	}
	if n == 0 {
		return
	}
	k.generations = slices.Delete(k.generations, 0, n)
	for key, c := range k.clashes {
		if c.expires < now {
			delete(k.clashes, key)
		}
	}
}

// spill notes that a generation is on disk.
func (k *keys) spill(until int64) {
	if k.spilled == nil {
		k.spilled = make(map[int64]bool)
	}
	k.spilled[until] = true
}

func (k *keys) len() int {
	n := len(k.clashes)
	for _, g := range k.generations {
		n += len(g.ids)
	}
	return n
}
