package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// What bbolt's file format looks like, as far as it must be sound before the
// file is mapped: bbolt has checksums for its two meta pages only, and reads
// the rest as it is.
const (
	pageHeaderSize  = 16
	metaSize        = 64
	metaMagic       = 0xED0CDAED
	metaVersion     = 2
	flagLeaf        = 0x02
	flagFreelist    = 0x10
	flagBucket      = 0x01
	leafElementSize = 16
	minPageSize     = 512
	maxPageSize     = 64 << 10
)

var native = binary.NativeEndian

// meta is what a meta page says.
type meta struct {
	pageSize int64
	root     uint64
	freelist uint64
	pages    uint64 // the file's, as far as they are in use
	tx       uint64
}

// readMeta reads the meta page at an offset; ok is false if it is not sound.
func readMeta(r io.ReaderAt, offset int64) (m meta, ok bool) {
	b := make([]byte, pageHeaderSize+metaSize)
	if _, err := r.ReadAt(b, offset); err != nil {
		return m, false
	}
	b = b[pageHeaderSize:]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	if native.Uint32(b) != metaMagic || native.Uint32(b[4:]) != metaVersion || native.Uint64(b[metaSize-8:]) != h.Sum64() {
		return m, false
	}
	return meta{
		pageSize: int64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		pages:    native.Uint64(b[40:]),
		tx:       native.Uint64(b[48:]),
	}, true
}

// newestMeta returns the meta page that holds.
func newestMeta(r io.ReaderAt) (newest meta, ok bool) {
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		for _, offset := range []int64{0, size} {
			m, sound := readMeta(r, offset)
			if sound && (offset == 0 || m.pageSize == size) && (!ok || m.tx > newest.tx) {
				newest, ok = m, true
			}
		}
	}
	return newest, ok
}

// check fails with errDamaged if the file at a path would not survive being
// opened. A file that is not there, or empty, is fine. It reads the meta pages
// and the freelist only.
func check(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	m, ok := newestMeta(f)
	switch {
	case !ok:
		return fmt.Errorf("%w: it has no sound meta page", errDamaged)
	case m.pageSize < minPageSize || m.pageSize > maxPageSize:
		return fmt.Errorf("%w: its page size is %d", errDamaged, m.pageSize)
	case m.pages > uint64(info.Size()/m.pageSize):
		return fmt.Errorf("%w: it has %d bytes instead of %d", errDamaged, info.Size(), m.pages*uint64(m.pageSize))
	case m.root < 2 || m.root >= m.pages:
		return fmt.Errorf("%w: its root is not in it", errDamaged)
	}
	_, err = readFreelist(f, m)
	return err
}

// readFreelist returns the ids of the pages that are free.
func readFreelist(r io.ReaderAt, m meta) ([]uint64, error) {
	broken := fmt.Errorf("%w: its list of free pages is not sound", errDamaged)
	if m.freelist < 2 || m.freelist >= m.pages {
		return nil, broken
	}
	offset := int64(m.freelist) * m.pageSize
	b := make([]byte, pageHeaderSize+8)
	if _, err := r.ReadAt(b, offset); err != nil {
		return nil, broken
	}
	room := (uint64(native.Uint32(b[12:]))+1)*uint64(m.pageSize) - pageHeaderSize
	if native.Uint64(b) != m.freelist || native.Uint16(b[8:]) != flagFreelist || room > m.pages*uint64(m.pageSize) {
		return nil, broken
	}
	count, at := uint64(native.Uint16(b[10:])), offset+pageHeaderSize
	if count == 0xFFFF { // then the first entry is the count
		count, at = native.Uint64(b[pageHeaderSize:]), at+8
		room -= 8
	}
	if count > room/8 || count >= m.pages {
		return nil, broken
	}
	raw := make([]byte, 8*count)
	if _, err := r.ReadAt(raw, at); err != nil {
		return nil, broken
	}
	ids := make([]uint64, count)
	for i := range ids {
		ids[i] = native.Uint64(raw[8*i:])
		if ids[i] < 2 || ids[i] >= m.pages || i > 0 && ids[i] <= ids[i-1] {
			return nil, broken
		}
	}
	return ids, nil
}
