package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

func numbers() func() uint32 {
	var last uint32
	return func() uint32 { last++; return last }
}

func scenarioNamed(t *testing.T, name string) *scenario {
	i := slices.Index(scenarioNames(), name)
	require.GreaterOrEqual(t, i, 0)
	return &scenarios[i]
}

func TestDrive(t *testing.T) {
	var genuine, connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get(kindlyhandler.SignatureHeader) == kindlyhandler.Sign(secret, body) {
			genuine.Add(1)
		}
		if r.ContentLength == 1024 && genuine.Load()%10 == 0 {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, `{"reply":"Ticket 1 created."}`)
		if genuine.Load()%2 == 0 {
			w.(http.Flusher).Flush() // chunked
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()

	load, err := drive(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 4, 200*time.Millisecond, numbers())
	require.NoError(t, err)
	require.EqualValues(t, genuine.Load(), load.answered, "every request is counted, and signed")
	require.Len(t, load.latencies, load.answered)
	require.True(t, slices.IsSorted(load.latencies))
	require.Positive(t, load.inTime)
	require.LessOrEqual(t, load.inTime, load.answered)
	require.Greater(t, load.answered, int(connections.Load()), "connections are kept alive")
	require.Greater(t, int(connections.Load()), 4, "a closed connection is opened again")
}

func TestDriveFailsAtUnexpectedAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"status": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "out of order", http.StatusBadGateway) },
			`unexpected answer, status 502 (expected 200), body "out of order\n"`,
		},
		"body": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"reply":"It follows."}`) },
			`unexpected answer, status 200 (expected 200), body "{\"reply\":\"It follows.\"}"`,
		},
		"no answer": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"no complete answer to webhook 1 of a connection",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			_, err := drive(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 2, time.Minute, numbers())
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestDriveEndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		_, _ = io.Copy(w, strings.NewReader(`{"reply":"Ticket 1 created."}`))
	}))
	defer server.Close()
	_, err := drive(ctx, scenarioNamed(t, "respond"), server.Listener.Addr().String(), 2, time.Minute, numbers())
	require.ErrorIs(t, err, context.Canceled)
}

func TestDriveWithoutServer(t *testing.T) {
	addrs, err := freeAddrs(1)
	require.NoError(t, err)
	_, err = drive(t.Context(), scenarioNamed(t, "respond"), addrs[0], 1, time.Minute, numbers())
	require.ErrorContains(t, err, "cannot connect to Caddy")
}
