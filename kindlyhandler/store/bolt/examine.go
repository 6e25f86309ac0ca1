package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// What free space is little, in bytes: a queue grows while an upstream is down,
// by some 5 KB for a chat, and one webhook can have 24 MiB.
const (
	scarce   = 256 << 20
	critical = 32 << 20
)

// Examine says whether the file at a path can be a store of whoever asks. It
// makes and changes nothing, and does not open the database: a server may be
// running with it.
func Examine(path string) doctor.Finding {
	f := doctor.Finding{Check: "store"}
	dir := filepath.Dir(path)
	existing, err := nearest(dir)
	if err == nil {
		err = writable(existing)
	}
	if err == nil {
		err = usable(path)
	}
	if err == nil {
		err = usable(path + ".lock")
	}
	if err != nil {
		f.Status = doctor.Problem
		f.Message = fmt.Sprintf("%s cannot be used%s: %v", path, asUser(), err)
		f.Fix = "let the user that the server runs as write to " + existing + ", or write another path (`store bolt <path>`)"
		return f
	}
	if free, _, known := diskSpace(filepath.Join(existing, "any")); known && free < scarce {
		f.Status = doctor.Warning
		if free < critical {
			f.Status = doctor.Problem
		}
		f.Message = fmt.Sprintf("the disk of %s has only %d MiB left: webhooks are refused when it is full", existing, free>>20)
		f.Fix = "make room there, or write another path (`store bolt <path>`)"
		return f
	}
	f.Status = doctor.OK
	switch {
	case isLocked(path + ".lock"):
		f.Message = path + " is in use by a server that runs"
	case existing != dir:
		f.Message = fmt.Sprintf("%s can be made%s", path, asUser())
	default:
		f.Message = fmt.Sprintf("%s can be written%s", path, asUser())
	}
	return f
}

// nearest returns the directory of a path, or what there is of the way to it.
func nearest(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch parent := filepath.Dir(dir); {
		case err == nil && !info.IsDir():
			return dir, fmt.Errorf("%s is not a directory", dir)
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist) || parent == dir:
			return dir, err
		default:
			dir = parent
		}
	}
}

// usable says whether a file can be opened, if it is there.
func usable(name string) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// asUser names who asks: the server may run as somebody else.
func asUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return " by " + u.Username
}
