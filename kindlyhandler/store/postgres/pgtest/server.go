//go:build unix

// Package pgtest runs a real PostgreSQL for tests. There is no way to skip
// them: without one, they fail and say what to install.
//
// Most tests share one server, each in a schema of its own:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestStore(t *testing.T) { dsn := pgtest.Schema(t) … }
//
// Tests that stop it start one for themselves.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Variable names the environment variable with the DSN of a server to use
// instead of one that is started. Its role may create schemas.
const Variable = "KINDLY_TEST_POSTGRES"

// Options of a [Server].
type Options struct {
	// Fast does not flush: for tests that ask for no durability.
	Fast bool
	// Settings are lines of postgresql.conf.
	Settings []string
	// Dir is where the data go; default a new temporary directory.
	Dir string
}

// Server is a PostgreSQL that belongs to the test: a process on a unix socket
// and a loopback port, with its data in a temporary directory.
type Server struct {
	// Dir has the socket and the server's log.
	Dir string
	// Port is the one of both the socket and the loopback address.
	Port int

	bin   string
	owned bool // the directory is removed at the end

	mu      sync.Mutex
	process *process
}

// Password is that of the superuser Superuser, which is asked for on the
// loopback port only.
const (
	Superuser = "kindly_super"
	Password  = "pgtest:p@ss/word?#"
)

var errNotInstalled = errors.New("no PostgreSQL was found: install its server (the package postgresql, or postgresql-15), put its programs initdb and postgres into PATH, or set " +
	Variable + " to the DSN of a server for tests")

// programs returns the directory of the newest installed server.
func programs() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
				return filepath.Dir(path), nil
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	more, _ := filepath.Glob("/usr/pgsql-*/bin/postgres")
	found = append(found, more...)
	if len(found) == 0 {
		return "", errNotInstalled
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(path))), "pgsql-"))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// Program returns the path of a program of the installation, pgbench, say.
func Program(name string) (string, error) {
	bin, err := programs()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{bin, "/usr/sbin"} {
		if path := filepath.Join(dir, name); isFile(path) {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s was not found: install it: %w", name, err)
	}
	return path, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// New starts a server of its own. Close ends it.
func New(o Options) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: o.Dir, bin: bin}
	if s.Dir == "" {
		s.owned = true
		if s.Dir, err = os.MkdirTemp("", "kindly-pg-"); err != nil {
			return nil, err
		}
	}
	if err := s.create(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

func (s *Server) create(o Options) (err error) {
	if s.Port, err = freePort(); err != nil {
		return err
	}
	passwords := filepath.Join(s.Dir, "password")
	if err := os.WriteFile(passwords, []byte(Password+"\n"), 0o600); err != nil {
		return err
	}
	if err := giveAway(s.Dir, passwords); err != nil {
		return err
	}
	initdb := exec.Command( //nolint:gosec // the installed one
		filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", Superuser, "--pwfile", passwords,
		"--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync")
	unprivileged(initdb)
	initdb.Dir = s.Dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	settings := append([]string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("unix_socket_directories = '%s'", s.Dir),
		"unix_socket_permissions = 0777",
		fmt.Sprintf("port = %d", s.Port),
		"max_connections = 60", "shared_buffers = 64MB", "max_wal_size = 512MB",
		"log_min_messages = warning",
	}, o.Settings...)
	if o.Fast {
		settings = append(settings, "fsync = off", "full_page_writes = off")
	}
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + strings.Join(settings, "\n") + "\n")
	return errors.Join(err, f.Close())
}

// giveAway makes files those of the user whom the server runs as.
func giveAway(paths ...string) error {
	uid, gid, ok := servant()
	if !ok {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(uid), int(gid)); err != nil {
			return err
		}
	}
	return nil
}

// servant is whom programs run as that refuse to run as root; ok is false if
// this process is not root.
func servant() (uid, gid uint32, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(uid), uint32(gid), true
		}
	}
	return 65534, 65534, true
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Start starts the server, if it does not run, and waits until it answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && !s.process.isOver() {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data()) //nolint:gosec // the installed one
	unprivileged(command)
	command.Dir = s.Dir
	command.Stdout, command.Stderr = log, log
	p, err := start(command)
	if err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	s.process = p
	for deadline := time.Now().Add(time.Minute); ; {
		err := s.ping()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			s.process = nil
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres has ended: %s", text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Stop ends the server: at once, as in a crash, or after it has ended its
// sessions and written what it must.
func (s *Server) Stop(immediate bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	return p.stop(immediate)
}

// Close ends the server and removes what it leaves behind.
func (s *Server) Close() error {
	err := s.Stop(true)
	if s.owned {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	return err
}

// DSN is that of the superuser, by the unix socket.
func (s *Server) DSN() string {
	return dsn(&url.URL{
		Scheme: "postgres", User: url.User(Superuser), Path: "/postgres",
		RawQuery: url.Values{"host": {s.Dir}, "port": {strconv.Itoa(s.Port)}, "sslmode": {"disable"}}.Encode(),
	})
}

// LoopbackDSN is one by the loopback port, which asks for a password.
func (s *Server) LoopbackDSN(role, password string) string {
	return dsn(&url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password), Host: fmt.Sprintf("127.0.0.1:%d", s.Port),
		Path: "/postgres", RawQuery: "sslmode=disable",
	})
}

func dsn(u *url.URL) string { return u.String() }

// With returns a DSN with a parameter added or replaced.
func With(dsn, name, value string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(errors.New("pgtest: not a DSN in the form of a URL"))
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// As returns a DSN with another role.
func As(dsn, role string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(errors.New("pgtest: not a DSN in the form of a URL"))
	}
	u.User = url.User(role)
	return u.String()
}
