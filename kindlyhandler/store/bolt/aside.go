package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"
)

// asides has, by its name, each damaged file and what has become of it.
var asides = table{name: "asides"}

// Aside is a damaged file that was set aside.
type Aside struct {
	Path string    `json:"path" cbor:"-"`
	At   time.Time `json:"at" cbor:"1,keyasint"`
	// Done says that all that can be read of it is imported.
	Done bool `json:"done" cbor:"2,keyasint"`
	// Imported counts the deliveries that were; Lost what could not be read:
	// deliveries, or pages of some of them.
	Imported int `json:"imported" cbor:"3,keyasint"`
	Lost     int `json:"lost" cbor:"4,keyasint"`
}

// freeName returns a name for a damaged file that no other one has.
func freeName(path string, now time.Time) string {
	first := path + ".corrupt-" + now.UTC().Format("20060102T150405Z")
	for n, name := 2, first; ; n++ {
		if _, err := os.Lstat(name); err != nil { // else the renaming says why not
			return name
		}
		name = fmt.Sprintf("%s-%d", first, n)
	}
}

func putAside(b *bbolt.Bucket, path string, a *Aside) error {
	encoded, err := cbor.Marshal(a)
	if err != nil {
		return err
	}
	return b.Put([]byte(filepath.Base(path)), encoded)
}

// listAsides returns the files that were set aside and are still there.
func (s *Store) listAsides() (all []Aside, err error) {
	known := make(map[string]Aside)
	if err := s.view(func(tx *bbolt.Tx) error {
		b := asides.in(tx)
		if b == nil {
			return nil
		}
		return b.ForEach(func(name, value []byte) error {
			var a Aside
			if err := decoding.Unmarshal(value, &a); err != nil {
				return fmt.Errorf("%w: a file set aside: %w", errDamaged, err)
			}
			known[string(name)] = a
			return nil
		})
	}); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(escapeGlob(s.path) + ".corrupt-*")
	for _, name := range names {
		a := known[filepath.Base(name)]
		a.Path = name
		if info, err := os.Stat(name); err == nil && a.At.IsZero() {
			a.At, a.Done = info.ModTime(), true // from an earlier file
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Aside) int { return a.At.Compare(b.At) })
	return all, err
}

var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func escapeGlob(path string) string { return globs.Replace(path) }

// removeAsides removes the files that were set aside before a time, and are
// imported.
func (s *Store) removeAsides(before time.Time) error {
	all, err := s.listAsides()
	for _, a := range all {
		if a.Done && a.At.Before(before) {
			err = errors.Join(err, os.Remove(a.Path))
		}
	}
	return err
}
