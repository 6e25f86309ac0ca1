package bolt_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/storetest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

func TestMain(m *testing.M) {
	// A file that is damaged while a transaction begins leaves bbolt locked: its
	// Close waits for ever then, in a goroutine that is given up.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("go.etcd.io/bbolt.(*DB).Close"))
}

func TestConformance(t *testing.T) { conform(t, nil) }

func TestConformance_encrypted(t *testing.T) { conform(t, sealtest.Keys(t, 1)) }

func conform(t *testing.T, keys *seal.Keys) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) delivery.Store {
		s, err := bolt.Open(bolt.Options{Path: filepath.Join(fastDir(t), "deliveries.db"), Now: now, Keys: keys})
		require.NoError(t, err)
		return s
	})
}

// fastDir is a directory where flushing costs little, if there is such a place:
// what is tested in it does not depend on that.
func fastDir(t *testing.T) string {
	dir, err := os.MkdirTemp(fastTemp(), "kindly-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
