package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long anything may take that should not take long.
const patience = 30 * time.Second

// output is what a process has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a program of ours that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    output
	exited chan struct{}
}

// run starts a binary. It is ended after the test, and must not have printed
// what no log may have.
func run(t *testing.T, env []string, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(t, env, binary, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop(terminate)
		printed := p.out.String()
		for _, wrong := range []string{"DATA RACE", "panic"} {
			if strings.Contains(printed, wrong) {
				t.Errorf("the process has printed %q", wrong)
			}
		}
		if t.Failed() {
			t.Logf("%s printed last:\n%s", binary, printed[max(0, len(printed)-10_000):])
		}
	})
	return p
}

// command prepares a binary, one that was built or one of an absolute path, to
// run with directories of its own.
func command(t *testing.T, env []string, binary string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if !filepath.IsAbs(binary) {
		binary = filepath.Join(binaries, binary)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// dir is where the process keeps its files.
func (p *process) dir() string { return p.cmd.Dir }

// signal tells the process something.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		require.NoError(p.t, err)
	}
}

// stop ends the process by a signal and returns its exit status.
func (p *process) stop(s os.Signal) int {
	p.t.Helper()
	p.signal(s)
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
		p.t.Errorf("%s does not end", p.cmd.Path)
	}
	return p.cmd.ProcessState.ExitCode()
}

// ends waits until the process has ended by itself, and returns its exit status.
func (p *process) ends() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end by itself", p.cmd.Path)
	}
	return p.cmd.ProcessState.ExitCode()
}

// running fails the test if the process has ended.
func (p *process) running() {
	p.t.Helper()
	select {
	case <-p.exited:
		p.t.Fatalf("%s has ended", p.cmd.Path)
	default:
	}
}

// waitFor waits until the process has printed text.
func (p *process) waitFor(text string) {
	p.t.Helper()
	p.eventually("it prints "+text, func() bool { return strings.Contains(p.out.String(), text) })
}

// eventually waits until something is true.
func (p *process) eventually(what string, is func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		p.running()
		if time.Now().After(deadline) {
			p.t.Fatalf("it never happened: %s", what)
		}
	}
}

// call runs a binary to its end, and returns its exit status and what it
// printed.
func call(t *testing.T, env []string, stdin io.Reader, binary string, args ...string) (status int, printed string) {
	t.Helper()
	cmd := command(t, env, binary, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &out
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// within returns a context that ends when patience does.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// terminate is the signal that asks a process to end.
const terminate = syscall.SIGTERM
