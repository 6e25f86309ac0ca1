//go:build unix

package pgtest

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// process is a child that is ended by a signal.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

// start starts a command from a goroutine that stays until it has ended: on
// Linux, the child ends with the thread that has started it, and so with a test
// that is killed, but not before.
func start(command *exec.Cmd) (*process, error) {
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		lockThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// isOver tells whether the child has ended, by itself maybe.
func (p *process) isOver() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop ends a server: SIGQUIT is PostgreSQL's immediate shutdown, SIGINT its
// fast one.
func (p *process) stop(immediate bool) error {
	signal := syscall.SIGINT
	if immediate {
		signal = syscall.SIGQUIT
	}
	return p.end(signal)
}

func (p *process) end(signal syscall.Signal) error {
	_ = p.command.Process.Signal(signal) // it may have ended by itself
	select {
	case <-p.ended:
		return nil
	case <-time.After(30 * time.Second):
	}
	_ = p.command.Process.Kill()
	<-p.ended
	return fmt.Errorf("%s did not end within 30 s and was killed", p.command.Path)
}
