package bolt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// smallDisk is a directory with room for so much; its mount needs root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() {
		out, err := exec.Command("umount", "-l", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return dir
}

// fillUp leaves no room on a disk, and returns how to make some.
func fillUp(t *testing.T, dir string) (free func()) {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	require.NoError(t, err)
	for block := make([]byte, 4<<10); err == nil; {
		_, err = f.Write(block)
	}
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(ballast)) }
}

// A full disk keeps no server from starting, with whatever file, and loses
// nothing.
func TestFullDisk_atStart(t *testing.T) {
	sound, all := filled(t, 50)
	damaged := append([]byte(nil), sound...)
	clear(damaged[:2*bolt.PageSize])
	for name, file := range map[string][]byte{"none": nil, "empty": {}, "sound": sound, "damaged": damaged} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t, "80m")
			path := filepath.Join(dir, "deliveries.db")
			if file != nil {
				require.NoError(t, os.WriteFile(path, file, 0o600))
			}
			free := fillUp(t, dir)
			for range 2 { // a start that failed leaves nothing bad behind
				s, err := bolt.Open(bolt.Options{Path: path})
				require.NoError(t, err)
				require.NoError(t, s.Close())
			}
			s, err := bolt.Open(bolt.Options{Path: path})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			free()
			d := webhook()
			require.Eventually(t, func() bool { return s.Put(t.Context(), []*delivery.Delivery{d}) == nil }, 20*time.Second, 10*time.Millisecond)
			if len(file) == 0 {
				return
			}
			for _, d := range all {
				got, err := s.Get(t.Context(), d.ID)
				require.NoError(t, err)
				require.Equal(t, d.State, got.State)
			}
		})
	}
}
