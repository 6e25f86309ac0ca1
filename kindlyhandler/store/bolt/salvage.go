package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// piece is a record or a content, whose checksum is right.
type piece struct {
	content    bool
	key, value []byte
}

var errUnreadable = errors.New("it cannot be read")

// maxOverflow is how long a page can be, in bytes: a content is written to one.
const maxOverflow = 256 << 20

// salvage reads what can be read of a damaged file: every page that is sound,
// whether the tree leads to it or not, since one broken page high up in the
// tree would hide all below it. Pages that are known to be free are left out;
// trusted tells whether that is known. lost counts what was there and is not
// sound.
func salvage(path string, found func(piece) error, lost *int) (trusted bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, r)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	m, ok := newestMeta(f)
	if !ok || m.pageSize < minPageSize || m.pageSize > maxPageSize {
		m = meta{pageSize: guessPageSize(f, info.Size())}
	}
	free := make(map[uint64]bool)
	if ids, err := readFreelist(f, m); err == nil {
		trusted = true
		for _, id := range ids {
			free[id] = true
		}
	}
	pages := uint64(info.Size() / m.pageSize)
	if trusted {
		pages = min(pages, m.pages)
	}
	header := make([]byte, pageHeaderSize)
	for page := uint64(2); page < pages; page++ {
		if free[page] {
			continue
		}
		offset := int64(page) * m.pageSize
		if _, err := f.ReadAt(header, offset); err != nil {
			*lost++
			continue
		}
		overflow := uint64(native.Uint32(header[12:]))
		switch {
		case native.Uint64(header) != page || page+overflow >= pages && overflow > 0 || overflow > maxOverflow/uint64(m.pageSize):
			if trusted && len(bytes.Trim(header, "\x00")) > 0 {
				*lost++ // or the inside of a large page whose beginning is broken
			}
			continue
		case native.Uint16(header[8:]) != flagLeaf:
			page += overflow
			continue
		}
		b := make([]byte, (overflow+1)*uint64(m.pageSize))
		if _, err := io.ReadFull(io.NewSectionReader(f, offset, int64(len(b))), b); err != nil {
			*lost++
			continue
		}
		sound, err := leaf(b, found, lost)
		if err != nil {
			return trusted, err
		}
		if sound {
			page += overflow
		}
	}
	return trusted, nil
}

// guessPageSize returns the page size of a file of some length that has lost its
// meta pages: that at which the most of its pages say which they are. It looks at
// some all over the file, since its whole beginning may be lost, and at no
// regular distance: every other page may be the inside of a large one.
func guessPageSize(f io.ReaderAt, length int64) (guess int64) {
	const (
		looks  = 300                // of each size, each of which a cold disk may have to seek
		spread = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	)
	header := make([]byte, pageHeaderSize)
	most := -1
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		n := 0
		pages := uint64(length / size)
		for i := range min(looks, pages) {
			page := i
			if pages > looks {
				page = i * spread % pages
			}
			if _, err := f.ReadAt(header, int64(page)*size); err == nil && page > 1 && native.Uint64(header) == page {
				n++
			}
		}
		if n > most {
			guess, most = size, n
		}
	}
	return guess
}

// leaf reads the elements of a leaf page. It is sound if they all lie in it.
func leaf(b []byte, found func(piece) error, lost *int) (sound bool, err error) {
	count := int(native.Uint16(b[10:]))
	for i := range count {
		at := pageHeaderSize + i*leafElementSize
		if at+leafElementSize > len(b) {
			*lost++
			return false, nil
		}
		element := b[at : at+leafElementSize]
		start := uint64(at) + uint64(native.Uint32(element[4:]))
		middle := start + uint64(native.Uint32(element[8:]))
		end := middle + uint64(native.Uint32(element[12:]))
		if start < pageHeaderSize || end > uint64(len(b)) {
			*lost++
			return false, nil
		}
		key, value := b[start:middle], b[middle:end]
		if native.Uint32(element)&flagBucket != 0 {
			// A small table lies within the page of its parent.
			if len(value) > 16+pageHeaderSize && native.Uint64(value) == 0 {
				if _, err := leaf(value[16:], found, lost); err != nil {
					return false, err
				}
			}
			continue
		}
		if err := sift(key, value, found, lost); err != nil {
			return false, err
		}
	}
	return true, nil
}

// sift passes on what is a record or a content. Other tables have shorter
// values, or keys of other lengths, and are made anew.
func sift(key, value []byte, found func(piece) error, lost *int) error {
	switch {
	case len(key) == idSize && len(value) >= recordHeader:
		if _, err := decode(key, value); err != nil {
			*lost++
			return nil
		}
		return found(piece{key: bytes.Clone(key), value: bytes.Clone(value)})
	case len(key) == idSize+1 && (key[idSize] == kindBody || key[idSize] == kindTranscript):
		if _, err := checked(key, value); err != nil {
			*lost++
			return nil
		}
		return found(piece{content: true, key: bytes.Clone(key), value: bytes.Clone(value)})
	default:
		return nil
	}
}
