package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// harmed returns the path of a file with deliveries that has lost its meta
// pages: all can be read, but not by bbolt.
func harmed(t *testing.T, n int) (path string, all []*delivery.Delivery) {
	file, all := filled(t, n)
	for _, meta := range []int{0, bolt.PageSize} {
		clear(file[meta:][:bolt.PageSize])
	}
	path = filepath.Join(fastDir(t), "deliveries.db")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	return path, all
}

func requireAll(t *testing.T, path string, all []*delivery.Delivery) {
	t.Helper()
	s := openStore(t, path)
	for _, d := range all {
		got, err := s.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.State, got.State)
	}
	asides := s.Status().(bolt.Status).SetAside
	require.NotEmpty(t, asides)
	for _, a := range asides {
		require.True(t, a.Done)
	}
}

// Whenever a crash interrupts the replacement of a damaged file, everything is
// there after the next start.
func TestDamage_crash_while_replaced(t *testing.T) {
	path, all := harmed(t, 100)
	var images []string
	snapshot := func() {
		dir := fastDir(t)
		require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Dir(path))))
		images = append(images, filepath.Join(dir, "deliveries.db"))
	}
	bolt.Renames(func(from, to string) error {
		snapshot()
		err := os.Rename(from, to)
		snapshot()
		return err
	})
	t.Cleanup(func() { bolt.Renames(os.Rename) })
	requireAll(t, path, all)
	bolt.Renames(os.Rename)
	require.GreaterOrEqual(t, len(images), 2)
	for _, image := range images {
		requireAll(t, image, all)
	}
}

// Each step fails at first: it is tried again until it works.
func TestDamage_failure_while_replaced(t *testing.T) {
	path, all := harmed(t, 100)
	left := 1
	bolt.Renames(func(from, to string) error {
		if left > 0 && from != path {
			left--
			return errors.New("the disk fails")
		}
		return os.Rename(from, to)
	})
	t.Cleanup(func() { bolt.Renames(os.Rename) })
	require.NoError(t, os.MkdirAll(filepath.Join(path+".new", "in the way"), 0o700))
	time.AfterFunc(100*time.Millisecond, func() { _ = os.RemoveAll(path + ".new") })
	requireAll(t, path, all)
	require.Zero(t, left)
}

// The new file is damaged, too, before all of the first one is imported.
func TestDamage_while_importing(t *testing.T) {
	path, all := harmed(t, 100)
	goOn := make(chan struct{})
	bolt.Renames(func(from, to string) error {
		<-goOn
		return os.Rename(from, to)
	})
	t.Cleanup(func() { bolt.Renames(os.Rename) })
	s, err := bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	again := false
	s.Commits(func(commit func() error) error {
		if !again {
			again = true
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, make([]byte, info.Size()), 0o600))
		}
		return commit()
	})
	close(goOn)
	_, err = s.Count(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.True(t, again)
	requireAll(t, path, all)
}
