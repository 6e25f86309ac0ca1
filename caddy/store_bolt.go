package kindly

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

func init() {
	caddy.RegisterModule(BoltStore{})
}

// BoltStore keeps deliveries in one file of this machine: what was accepted is
// on disk before Kindly is answered, and survives crashes and power cuts.
//
// The file belongs to one Caddy at a time; a second process does not start with
// it. It must be on a local disk, not on a network's. Beside it there can be
// files of the same name with more at its end: `.lock`, `.compact` while the
// file is made smaller, and `.corrupt-<time>`, which is a damaged file that was
// set aside.
type BoltStore struct {
	// The file's path. It is made if there is none, with its directory, for
	// Caddy's user alone. Symbolic links are followed when the configuration
	// starts. Global placeholders are resolved when the configuration is
	// loaded. Default: `kindly/deliveries.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	path string
}

// CaddyModule returns the Caddy module information.
func (BoltStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  stores + ".bolt",
		New: func() caddy.Module { return new(BoltStore) },
	}
}

// UnmarshalCaddyfile implements [caddyfile.Unmarshaler]. Syntax:
//
//	bolt [<path>]
func (b *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the engine's name
	if d.NextArg() {
		if b.Path = d.Val(); b.Path == "" {
			return d.Err("the path of store bolt is empty: write `store bolt <path>`, or `store bolt` for the default")
		}
	}
	return storeEnds(d, "bolt [<path>]")
}

// Provision implements [caddy.Provisioner]. It does not look at the disk.
func (b *BoltStore) Provision(caddy.Context) (err error) {
	if b.path, err = resolve("path", b.Path); err != nil {
		return err
	}
	if b.path == "" {
		b.path = filepath.Join(caddy.AppDataDir(), "kindly", "deliveries.db")
	}
	return nil
}

// Locate implements [Engine]. It returns the file's path without symbolic
// links, so that there is one for each file.
func (b *BoltStore) Locate() (string, error) {
	path, err := realPath(b.path)
	if err != nil {
		return "", fmt.Errorf("store bolt %s: %w", b.path, err)
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil
	case err != nil:
		return "", fmt.Errorf("store bolt %s: %w", b.path, err)
	case info.IsDir():
		return "", fmt.Errorf("store bolt %s: it is a directory: write the path of a file, such as %s", b.path, filepath.Join(b.path, "deliveries.db"))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("store bolt %s: it is not a regular file: write the path of one", b.path)
	default:
		return path, nil
	}
}

// realPath returns the absolute path of a file without symbolic links. Neither
// the file nor its directories need to be there.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := realPath(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, filepath.Base(path))
	target, err := os.Readlink(path)
	if err != nil { // it is no link
		return path, nil //nolint:nilerr // but a file that is not there yet
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, target)
	}
	return realPath(target)
}

// Open implements [Engine].
func (*BoltStore) Open(location string, o StoreOptions) (Store, error) {
	store, err := bolt.Open(bolt.Options{Path: location, Limits: o.Limits, Keys: o.Keys, Log: o.Log, Losses: o.Losses})
	if err != nil {
		return nil, err
	}
	return store, nil
}

// Examine implements [Examiner].
func (b *BoltStore) Examine(context.Context) []doctor.Finding {
	path, err := b.Locate()
	if err != nil {
		return []doctor.Finding{{Check: "store", Status: doctor.Problem, Message: err.Error(), Fix: "let the user that the server runs as write there, or write another path (`store bolt <path>`)"}}
	}
	return []doctor.Finding{bolt.Examine(path)}
}

// Durable implements [Engine].
func (*BoltStore) Durable() bool { return true }

// Encrypts implements [Encrypter].
func (*BoltStore) Encrypts() bool { return true }

// Interface guards
var (
	_ caddy.Provisioner     = (*BoltStore)(nil)
	_ Encrypter             = (*BoltStore)(nil)
	_ KeyedStore            = (*bolt.Store)(nil)
	_ Examiner              = (*BoltStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
)
