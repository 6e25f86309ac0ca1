//go:build unix

package pgtest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestServer(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	require.NoError(t, pgtest.Do(s.DSN(), "CREATE TABLE t (n int); INSERT INTO t VALUES (1)"))
	require.NoError(t, pgtest.Do(s.LoopbackDSN(pgtest.Superuser, pgtest.Password), "SELECT 1/n FROM t"))
	require.Error(t, pgtest.Do(s.LoopbackDSN(pgtest.Superuser, "wrong"), "SELECT 1"))
	for _, immediate := range []bool{true, false} {
		require.NoError(t, s.Stop(immediate))
		require.Error(t, pgtest.Do(s.DSN(), "SELECT 1"))
		require.NoError(t, s.Start())
		require.NoError(t, pgtest.Do(s.DSN(), "SELECT 1/n FROM t"))
	}
}

func TestSchema(t *testing.T) {
	one, two := pgtest.Schema(t), pgtest.Schema(t)
	require.NoError(t, pgtest.Do(one, "CREATE TABLE t ()"))
	require.Error(t, pgtest.Do(two, "SELECT * FROM t"))
}
