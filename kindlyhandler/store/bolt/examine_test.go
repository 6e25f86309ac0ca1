package bolt

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// files returns what there is below a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		names = append(names, name)
		return err
	}))
	return names
}

func TestExamine(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "directory.lock"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "there.db"), []byte("whatever it is"), 0o600))
	before := files(t, dir)
	for what, c := range map[string]struct {
		path    string
		status  doctor.Status
		message string
	}{
		"not there yet":         {"deliveries.db", doctor.OK, "deliveries.db can be written by "},
		"there":                 {"there.db", doctor.OK, "there.db can be written by "},
		"no directory yet":      {"a/b/deliveries.db", doctor.OK, "deliveries.db can be made by "},
		"no directory at all":   {"file/deliveries.db", doctor.Problem, "not a directory"},
		"a directory":           {".", doctor.Problem, "is not a regular file"},
		"a directory as a lock": {"directory", doctor.Problem, "directory.lock is not a regular file"},
	} {
		t.Run(what, func(t *testing.T) {
			f := Examine(filepath.Join(dir, filepath.FromSlash(c.path)))
			assert.Equal(t, "store", f.Check)
			assert.Equal(t, c.status, f.Status, f)
			assert.Contains(t, f.Message, c.message)
			assert.Equal(t, c.status == doctor.OK, f.Fix == "")
		})
	}
	assert.Equal(t, before, files(t, dir), "nothing is made")
}

// A server that runs goes on, and one that starts at the moment does.
func TestExamine_besideServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deliveries.db")
	store, err := Open(Options{Path: path, LockTimeout: time.Second})
	require.NoError(t, err)
	f := Examine(path)
	assert.Equal(t, doctor.OK, f.Status)
	assert.Equal(t, path+" is in use by a server that runs", f.Message)
	require.NoError(t, store.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	f = Examine(path)
	assert.Contains(t, f.Message, "can be written by ")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, content, after)

	examined := make(chan struct{})
	go func() {
		defer close(examined)
		for range 100 {
			Examine(path)
		}
	}()
	for range 10 {
		store, err := Open(Options{Path: path})
		require.NoError(t, err)
		require.NoError(t, store.Close())
	}
	<-examined
}
