package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const caddyPackage = "github.com/caddy-kindly/caddy-kindly/caddy/kindly-caddy"

// build builds Caddy with the module into dir.
func build(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	binary := filepath.Join(dir, "bin", "kindly-caddy")
	if err := os.Mkdir(filepath.Dir(binary), 0o700); err != nil {
		return "", err
	}
	// A directory as the output lets Go add what an executable's name ends in.
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Dir(binary)+string(filepath.Separator), caddyPackage)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build Caddy, start the benchmark from within the repository or give -binary: %w\n%s", err, output)
	}
	return binary, nil
}

// A site is one server of the Caddyfile.
type site struct {
	addr       string
	directives string
}

// caddyfile returns a configuration.
func caddyfile(admin, store string, sites []site) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\tadmin %s\n\tauto_https off\n\tdefault_bind 127.0.0.1\n\tkindly {\n\t\tstore %s\n\t}\n}\n", admin, store)
	for _, s := range sites {
		_, port, _ := net.SplitHostPort(s.addr)
		fmt.Fprintf(&b, "\nhttp://:%s {\n%s\n}\n", port, s.directives)
	}
	return b.Bytes()
}

// caddy is a Caddy that runs, or can be started again.
type caddy struct {
	binary string
	dir    string   // all its data
	log    string   // its log file
	admin  string   // address of its admin API
	addrs  []string // of that and of its sites

	cmd    *exec.Cmd     // nil while it is stopped
	exited chan struct{} // closed after the end of the process
	err    error         // how it ended, once exited is closed
}

// startCaddy starts Caddy with all its data in dir, and waits until it accepts
// connections at all its addresses.
func startCaddy(binary, dir, admin, store string, sites []site) (*caddy, error) {
	c := &caddy{binary: binary, dir: dir, log: filepath.Join(dir, "caddy.log"), admin: admin, addrs: []string{admin}}
	for _, s := range sites {
		c.addrs = append(c.addrs, s.addr)
	}
	if err := os.WriteFile(c.config(), caddyfile(admin, store, sites), 0o600); err != nil {
		return nil, err
	}
	return c, c.start()
}

func (c *caddy) config() string { return filepath.Join(c.dir, "Caddyfile") }

// start starts it, for the first time or after stop or kill.
func (c *caddy) start() error {
	log, err := os.OpenFile(c.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(c.binary, "run", "--adapter", "caddyfile", "--config", c.config())
	cmd.Env = append(os.Environ(),
		"XDG_DATA_HOME="+filepath.Join(c.dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(c.dir, "config"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start Caddy: %w", err)
	}
	exited := make(chan struct{})
	c.cmd, c.exited = cmd, exited
	go func() {
		c.err = cmd.Wait()
		close(exited)
	}()
	if err := c.wait(); err != nil {
		_ = c.stop()
		return err
	}
	return nil
}

// wait waits until Caddy accepts connections at all its addresses.
func (c *caddy) wait() error {
	timeout := time.After(30 * time.Second)
	for _, addr := range c.addrs {
		for {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
				break
			}
			select {
			case <-c.exited:
				return fmt.Errorf("cannot start Caddy: it has ended (%v)", c.err)
			case <-timeout:
				return fmt.Errorf("cannot start Caddy: it does not listen at %s after 30 s", addr)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

// stop ends Caddy, and tells if it had ended before or ends badly. It does
// nothing if Caddy is stopped.
func (c *caddy) stop() error {
	if c.cmd == nil {
		return nil
	}
	cmd := c.cmd
	c.cmd = nil
	select {
	case <-c.exited:
		return fmt.Errorf("the process of Caddy has ended by itself (%v)", c.err)
	default:
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil { // as on Windows
		_ = cmd.Process.Kill()
		<-c.exited
		return nil
	}
	select {
	case <-c.exited:
		if c.err != nil {
			return fmt.Errorf("cannot stop Caddy cleanly: %w", c.err)
		}
		return nil
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-c.exited
		return errors.New("cannot stop Caddy cleanly: it was killed after 20 s")
	}
}

// kill ends Caddy at once, as a crash would.
func (c *caddy) kill() error {
	cmd := c.cmd
	c.cmd = nil
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("cannot kill Caddy: %w", err)
	}
	<-c.exited
	return nil
}

// cpu returns the CPU time that Caddy has used so far, 0 where it cannot be
// measured.
func (c *caddy) cpu() (time.Duration, error) {
	return cpuTime(c.cmd.Process.Pid)
}

// logTail returns the last 4 KiB of Caddy's log.
func (c *caddy) logTail() string {
	log, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return strings.ToValidUTF8(string(log[max(0, len(log)-4096):]), "")
}

// freeAddrs returns n loopback addresses that nobody listens at.
func freeAddrs(n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // after the loop, so that no address comes twice
		addrs[i] = listener.Addr().String()
	}
	return addrs, nil
}
