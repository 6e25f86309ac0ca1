package main

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ticks tell when intervals are over. They come from a timer of the kernel:
// those of Go are up to a millisecond late in a process that is idle.
type ticks struct{ timer *os.File }

func newTicks(interval time.Duration) (*ticks, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	t := &ticks{os.NewFile(uintptr(fd), "timer")}
	spec := unix.NsecToTimespec(interval.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: spec, Value: spec}, nil); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// wait returns how many intervals are over since the last call, at least one.
func (t *ticks) wait() (int, error) {
	var n [8]byte
	if _, err := t.timer.Read(n[:]); err != nil {
		return 0, err
	}
	return int(binary.NativeEndian.Uint64(n[:])), nil
}

func (t *ticks) close() { _ = t.timer.Close() }
