//go:build unix

package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var shared struct {
	sync.Mutex
	server *Server
	err    error
	tried  bool
	number int
}

// Main runs the tests of a package, and ends the server that they share.
func Main(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			return max(code, 1)
		}
	}
	return code
}

// Shared returns a DSN of the server that all tests of the process share: the
// one that [Variable] names, else one that is started for them and does not
// flush.
func Shared(t testing.TB) string {
	t.Helper()
	if dsn := os.Getenv(Variable); dsn != "" {
		return dsn
	}
	shared.Lock()
	defer shared.Unlock()
	if !shared.tried {
		shared.tried = true
		shared.server, shared.err = New(Options{Fast: true})
	}
	if shared.err != nil {
		t.Fatalf("pgtest: %v", shared.err)
	}
	return shared.server.DSN()
}

// Schema returns a DSN of the shared server whose search_path is an empty
// schema, which is dropped after the test.
func Schema(t testing.TB) string {
	t.Helper()
	return SchemaIn(t, Shared(t))
}

// SchemaIn is [Schema] in another server.
func SchemaIn(t testing.TB, dsn string) string {
	t.Helper()
	shared.Lock()
	shared.number++
	name := fmt.Sprintf("kindly_test_%d_%d", os.Getpid(), shared.number)
	shared.Unlock()
	if err := Do(dsn, "CREATE SCHEMA "+name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { // not if the server was stopped
		_ = Do(dsn, "SET client_min_messages = error; DROP SCHEMA IF EXISTS "+name+" CASCADE")
	})
	return With(dsn, "search_path", name)
}

// Do runs statements on a connection of their own.
func Do(dsn string, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statements)
	return err
}

// Start starts a server for one test, which may stop it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return s
}
