package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// caddyfile returns the configuration. The address of the admin endpoint may
// be "off".
func caddyfile(admin string, sites []site) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\tadmin %s\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n", admin)
	for _, s := range sites {
		_, port, _ := net.SplitHostPort(s.addr)
		fmt.Fprintf(&b, "\nhttp://:%s {\n%s\n}\n", port, s.directives)
	}
	return b.Bytes()
}

// caddy is the running Caddy.
type caddy struct {
	cmd    *exec.Cmd
	log    string        // its log file
	exited chan struct{} // closed after the end of the process
	err    error         // how it ended, once exited is closed
}

// startCaddy starts Caddy with all its data in dir, and waits until it accepts
// connections at every one of the addresses.
func startCaddy(binary, dir string, config []byte, addrs []string) (*caddy, error) {
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	c := &caddy{log: filepath.Join(dir, "caddy.log"), exited: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.Command(binary, "run", "--adapter", "caddyfile", "--config", file)
	c.cmd.Env = append(os.Environ(),
		"XDG_DATA_HOME="+filepath.Join(dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start Caddy: %w", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	if err := c.wait(addrs); err != nil {
		_ = c.stop()
		return nil, fmt.Errorf("%w; its log:\n%s", err, c.logTail())
	}
	return c, nil
}

// wait waits until Caddy accepts connections at every one of the addresses.
func (c *caddy) wait(addrs []string) error {
	timeout := time.After(30 * time.Second)
	for _, addr := range addrs {
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

// stop ends Caddy, and tells if it had ended before or ends badly.
func (c *caddy) stop() error {
	select {
	case <-c.exited:
		return fmt.Errorf("the process of Caddy has ended by itself (%v)", c.err)
	default:
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil { // as on Windows
		_ = c.cmd.Process.Kill()
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
		_ = c.cmd.Process.Kill()
		<-c.exited
		return errors.New("cannot stop Caddy cleanly: it was killed after 20 s")
	}
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

// profile writes a CPU profile of the given length, in full seconds, to file.
func profile(ctx context.Context, admin string, length time.Duration, file string) error {
	seconds := max(1, int(length.Seconds()))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, seconds), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("cannot fetch Caddy's CPU profile: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("cannot fetch Caddy's CPU profile: its admin endpoint answers %s", answer.Status)
	}
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("cannot fetch Caddy's CPU profile: %w", err)
	}
	return os.WriteFile(file, data, 0o600)
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
