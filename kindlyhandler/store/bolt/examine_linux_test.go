package bolt

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// Who may not write is told so, and root has to be somebody else for that.
func TestExamine_permissions(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // else nobody else gets there
	require.NoError(t, os.Chmod(dir, 0o755))
	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(closed, 0o555))
	theirs := filepath.Join(dir, "deliveries.db")
	require.NoError(t, os.WriteFile(theirs, nil, 0o400))
	var newFile, oldFile doctor.Finding
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and ends with the goroutine
		if os.Geteuid() == 0 {
			_ = unix.Setfsuid(65534)
		}
		newFile, oldFile = Examine(filepath.Join(closed, "deliveries.db")), Examine(theirs)
	}()
	<-done
	assert.Equal(t, doctor.Problem, newFile.Status, newFile)
	assert.Contains(t, newFile.Message, "write to "+closed+": permission denied")
	assert.Contains(t, newFile.Fix, "let the user that the server runs as write to "+closed)
	assert.Equal(t, doctor.Problem, oldFile.Status, oldFile)
	assert.Contains(t, oldFile.Message, "permission denied")
}
