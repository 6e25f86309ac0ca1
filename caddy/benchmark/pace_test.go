package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTicks(t *testing.T) {
	const interval = time.Millisecond
	start := time.Now()
	ticks, err := newTicks(interval)
	require.NoError(t, err)
	defer ticks.close()
	seen := 0
	for seen < 20 {
		n, err := ticks.wait()
		require.NoError(t, err)
		require.Positive(t, n)
		seen += n
	}
	require.GreaterOrEqual(t, time.Since(start), 20*interval)

	time.Sleep(20 * interval)
	n, err := ticks.wait()
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 19, "none is left out")
}

func TestDrivePaced(t *testing.T) {
	var answered atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, `{"reply":"Ticket %d created."}`, answered.Add(1))
	}))
	defer server.Close()

	start := time.Now()
	load, err := drivePaced(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 500, 200*time.Millisecond, numbers())
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), 200*time.Millisecond, "none is sent early")
	require.EqualValues(t, 100, answered.Load())
	require.Equal(t, 100, load.answered)
	require.Len(t, load.late, 100)
	require.Len(t, load.latencies, 100)
	require.True(t, slices.IsSorted(load.late))
	require.True(t, slices.IsSorted(load.latencies))
	require.GreaterOrEqual(t, load.end.Sub(start), 200*time.Millisecond)
	require.NotEmpty(t, load.samples)
}

// TestDrivePacedCountsStalls has a server that answers nothing for a while, so
// that there is no connection left for most of what comes meanwhile.
func TestDrivePacedCountsStalls(t *testing.T) {
	const rate, stall = 1000, 300 * time.Millisecond
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-over
		_, _ = io.WriteString(w, `{"reply":"Ticket 1 created."}`)
	}))
	defer server.Close()
	time.AfterFunc(stall, func() { close(over) })

	load, err := drivePaced(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), rate, stall, numbers())
	require.NoError(t, err)
	require.Equal(t, 300, load.answered)
	// The 200th is due after 200 ms, when all connections wait.
	require.Greater(t, load.late[len(load.late)-1], 50*time.Millisecond, "what waits here is late")
	require.Greater(t, quantile(load.latencies, 0.5), 50*time.Millisecond, "and has to wait")
}

func TestDrivePacedFailsAtUnexpectedAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of order", http.StatusBadGateway)
	}))
	defer server.Close()
	_, err := drivePaced(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 100, time.Minute, numbers())
	require.ErrorContains(t, err, `unexpected answer, status 502 (expected 200)`)
}

func TestDrivePacedEndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		_, _ = io.WriteString(w, `{"reply":"Ticket 1 created."}`)
	}))
	defer server.Close()
	_, err := drivePaced(ctx, scenarioNamed(t, "respond"), server.Listener.Addr().String(), 100, time.Minute, numbers())
	require.ErrorIs(t, err, context.Canceled)
}
