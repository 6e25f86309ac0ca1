package bolt

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

const (
	flagBranch        = 0x01
	branchElementSize = 16
	bucketHeaderSize  = 16
	maxDepth          = 32
)

// checkTree fails with errDamaged if the inner pages of the file's tree are not
// sound: bbolt would walk in a circle for ever where a page leads back to one
// above it. Of the leaves, which are a hundred times as many, it reads only the
// few that have tables in them.
func checkTree(path string) error { return checkTable(path, "") }

// checkTable is checkTree for what leads to one table, and for that: few pages,
// however large the file is.
func checkTable(path, only string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, ok := newestMeta(f)
	if !ok {
		return fmt.Errorf("%w: it has no sound meta page", errDamaged)
	}
	w := treeWalk{file: f, meta: m, only: only, inner: make(map[uint64]bool)}
	return w.page(m.root, 0, tablesOfTables)
}

// content says what the leaves of a table have in them.
type content int

const (
	records content = iota
	tables
	tablesOfTables
)

type treeWalk struct {
	file io.ReaderAt
	meta meta
	// only is the name of the table that is checked, empty for all of them.
	only string
	// inner are the branch pages, each of which may be met once.
	inner map[uint64]bool
}

func (w *treeWalk) page(id uint64, depth int, of content) error {
	b, err := w.read(id)
	if err != nil {
		return err
	}
	switch native.Uint16(b[8:]) {
	case flagBranch:
		return w.branch(id, b, depth, of)
	case flagLeaf:
		if of == records {
			return nil
		}
		return w.leaf(b, of)
	default:
		return fmt.Errorf("%w: page %d is of no known kind", errDamaged, id)
	}
}

func (w *treeWalk) branch(id uint64, b []byte, depth int, of content) error {
	if w.inner[id] || depth > maxDepth {
		return fmt.Errorf("%w: page %d is below itself", errDamaged, id)
	}
	w.inner[id] = true
	count := int(native.Uint16(b[10:]))
	if count == 0 {
		return fmt.Errorf("%w: page %d is empty", errDamaged, id)
	}
	var last []byte
	children := make([]uint64, 0, count)
	for i := range count {
		at := pageHeaderSize + i*branchElementSize
		if at+branchElementSize > len(b) {
			return fmt.Errorf("%w: page %d is cut off", errDamaged, id)
		}
		start := uint64(at) + uint64(native.Uint32(b[at:]))
		end := start + uint64(native.Uint32(b[at+4:]))
		if end > uint64(len(b)) {
			return fmt.Errorf("%w: page %d is cut off", errDamaged, id)
		}
		key := b[start:end]
		if i > 0 && bytes.Compare(key, last) <= 0 {
			return errOrder
		}
		last = key
		children = append(children, native.Uint64(b[at+8:]))
	}
	for i, child := range children {
		if child < 2 || child >= w.meta.pages || w.inner[child] {
			return fmt.Errorf("%w: page %d leads astray", errDamaged, id)
		}
		if i > 0 && of == records && !w.inner[children[0]] {
			continue // leaves, as the first one: a page's children are of one kind
		}
		if err := w.page(child, depth+1, of); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the tables that a leaf has in it.
func (w *treeWalk) leaf(b []byte, of content) error {
	for i := range int(native.Uint16(b[10:])) {
		at := pageHeaderSize + i*leafElementSize
		if at+leafElementSize > len(b) {
			return fmt.Errorf("%w: a page is cut off", errDamaged)
		}
		if native.Uint32(b[at:])&flagBucket == 0 {
			continue
		}
		name := uint64(at) + uint64(native.Uint32(b[at+4:]))
		start := name + uint64(native.Uint32(b[at+8:]))
		end := start + uint64(native.Uint32(b[at+12:]))
		if end > uint64(len(b)) || end-start < bucketHeaderSize {
			return fmt.Errorf("%w: a table is cut off", errDamaged)
		}
		if w.only != "" && of == tablesOfTables && string(b[name:start]) != w.only {
			continue
		}
		inside := records
		if of == tablesOfTables && hasParts(string(b[name:start])) {
			inside = tables
		}
		root := native.Uint64(b[start:])
		if root == 0 { // within this page
			inline := b[start+bucketHeaderSize : end]
			if len(inline) < pageHeaderSize || native.Uint16(inline[8:]) != flagLeaf {
				return fmt.Errorf("%w: a table is cut off", errDamaged)
			}
			if err := w.leaf(inline, inside); err != nil {
				return err
			}
			continue
		}
		if root >= w.meta.pages {
			return fmt.Errorf("%w: a table is not in it", errDamaged)
		}
		if err := w.page(root, 0, inside); err != nil {
			return err
		}
	}
	return nil
}

// read returns a page with what it overflows into.
func (w *treeWalk) read(id uint64) ([]byte, error) {
	header := make([]byte, pageHeaderSize)
	offset := int64(id) * w.meta.pageSize
	if _, err := w.file.ReadAt(header, offset); err != nil {
		return nil, fmt.Errorf("%w: page %d cannot be read: %w", errDamaged, id, err)
	}
	overflow := uint64(native.Uint32(header[12:]))
	if native.Uint64(header) != id || id+overflow >= w.meta.pages || overflow > maxOverflow/uint64(w.meta.pageSize) {
		return nil, fmt.Errorf("%w: page %d is not where it should be", errDamaged, id)
	}
	b := make([]byte, (overflow+1)*uint64(w.meta.pageSize))
	if _, err := w.file.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("%w: page %d cannot be read: %w", errDamaged, id, err)
	}
	return b, nil
}
