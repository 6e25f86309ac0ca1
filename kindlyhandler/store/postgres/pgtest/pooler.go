//go:build unix

package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Pooler starts a pgbouncer in front of a server, in the pool mode "session" or
// "transaction", and returns a DSN for a database through it. It ends with the
// test.
func Pooler(t testing.TB, s *Server, mode, database string) string {
	t.Helper()
	program, err := Program("pgbouncer")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	users, config := filepath.Join(s.Dir, "users-"+mode), filepath.Join(s.Dir, "pgbouncer-"+mode)
	for path, text := range map[string]string{
		users: fmt.Sprintf("%q \"\"\n", Superuser),
		config: fmt.Sprintf("[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
			"auth_type = trust\nauth_file = %s\npool_mode = %s\ndefault_pool_size = 10\n", s.Dir, s.Port, port, users, mode),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatalf("pgtest: %v", err)
		}
	}
	if err := giveAway(users, config); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	command := exec.Command(program, "-q", config)
	unprivileged(command)
	command.Dir = s.Dir
	p, err := start(command)
	if err != nil {
		t.Fatalf("pgtest: starting pgbouncer: %v", err)
	}
	t.Cleanup(func() { _ = p.end(syscall.SIGTERM) })
	dsn := dsn(&url.URL{
		Scheme: "postgres", User: url.User(Superuser), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/" + database, RawQuery: "sslmode=disable",
	})
	for range 200 {
		if err = Do(dsn, "SELECT 1"); err == nil {
			return dsn
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("pgtest: pgbouncer does not answer: %v", err)
	return ""
}
