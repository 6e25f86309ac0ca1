package kindly

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// onFirstWrite is a demo's output that does something when it begins.
type onFirstWrite struct {
	bytes.Buffer
	do sync.Once
	f  func(shown string)
}

func (w *onFirstWrite) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	w.do.Do(func() { w.f(string(p)) })
	return n, err
}

// runDemo runs the demo to its end, and calls f with the first of what it
// shows.
func runDemo(t *testing.T, f func(shown string), args ...string) error {
	t.Helper()
	caddyfile, err := os.ReadFile("../Caddyfile.example")
	require.NoError(t, err)
	SetExample(string(caddyfile))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := demoCommand()
	cmd.SetOut(&onFirstWrite{f: f})
	cmd.SetArgs(args)
	return cmd.ExecuteContext(ctx)
}

// interrupt is Ctrl+C.
func interrupt(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	require.NoError(t, self.Signal(os.Interrupt))
}

// TestDemoIsInterrupted interrupts the demo as soon as it shows anything.
func TestDemoIsInterrupted(t *testing.T) {
	interrupted := false
	require.NoError(t, runDemo(t, func(string) {
		interrupted = true
		interrupt(t)
	}))
	require.True(t, interrupted)
	require.False(t, hasRuntime(), "Caddy goes on")
}

// TestDemoListensOnLoopbackOnly looks at where the demo listens: a site's
// address alone would not keep others out.
func TestDemoListensOnLoopbackOnly(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(loopback, func(t *testing.T) {
			if l, err := net.Listen("tcp", loopback); err == nil {
				require.NoError(t, l.Close())
			} else if loopback != "127.0.0.1:0" {
				loopback = "127.0.0.2:0" // no IPv6 here
			}
			require.NoError(t, runDemo(t, func(shown string) {
				defer interrupt(t)
				_, port, err := net.SplitHostPort(regexp.MustCompile(`http://([^/]+)/kindly`).FindStringSubmatch(shown)[1])
				require.NoError(t, err)
				_, err = net.DialTimeout("tcp", "127.0.0.3:"+port, time.Second)
				require.Error(t, err, "the demo answers elsewhere, too")
			}, "--listen", loopback))
		})
	}
}
