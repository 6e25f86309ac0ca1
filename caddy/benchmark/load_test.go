package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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

	load, err := drive(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 4, 200*time.Millisecond, unlimited, numbers())
	require.NoError(t, err)
	require.EqualValues(t, genuine.Load(), load.answered, "every request is counted, and signed")
	require.Len(t, load.latencies, load.answered)
	require.True(t, slices.IsSorted(load.latencies))
	require.Positive(t, load.inTime)
	require.LessOrEqual(t, load.inTime, load.answered)
	require.Equal(t, 200*time.Millisecond, load.took)
	require.Greater(t, load.answered, int(connections.Load()), "connections are kept alive")
	require.Greater(t, int(connections.Load()), 4, "a closed connection is opened again")
}

func TestDriveEndsWhenEnoughIsSent(t *testing.T) {
	var answered atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, `{"reply":"Ticket %d created."}`, answered.Add(1))
	}))
	defer server.Close()

	load, err := drive(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 3, time.Minute, 50, numbers())
	require.NoError(t, err)
	require.EqualValues(t, 50, answered.Load())
	require.Equal(t, 50, load.answered)
	require.Equal(t, 50, load.inTime)
	require.Less(t, load.took, time.Minute, "the rate is that of the time it took")
}

func TestDriveSamples(t *testing.T) {
	var all sync.WaitGroup
	all.Add(4)
	var started atomic.Int64
	var mu sync.Mutex
	answers := make(map[string]string) // by chat
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var webhook struct {
			ChatID string `json:"chat_id"`
		}
		_ = json.NewDecoder(r.Body).Decode(&webhook)
		if started.Add(1) <= 4 {
			all.Done()
			all.Wait() // for each connection to have sent one
		}
		mu.Lock()
		defer mu.Unlock()
		answer := fmt.Sprintf(`{"reply":"Ticket %d created."}`, len(answers))
		answers[webhook.ChatID] = answer
		if len(answers)%3 == 0 {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()

	load, err := drive(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 4, time.Minute, 100, numbers())
	require.NoError(t, err)
	require.Len(t, load.samples, 4, "one of each connection")
	for _, s := range load.samples {
		id := idOf(s.chat)
		require.Equal(t, answers[string(id[:])], s.answer)
		delete(answers, string(id[:]))
	}
	require.Len(t, answers, 96, "each is another one")
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
			_, err := drive(t.Context(), scenarioNamed(t, "respond"), server.Listener.Addr().String(), 2, time.Minute, unlimited, numbers())
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
	_, err := drive(ctx, scenarioNamed(t, "respond"), server.Listener.Addr().String(), 2, time.Minute, unlimited, numbers())
	require.ErrorIs(t, err, context.Canceled)
}

func TestDriveWithoutServer(t *testing.T) {
	addrs, err := freeAddrs(1)
	require.NoError(t, err)
	_, err = drive(t.Context(), scenarioNamed(t, "respond"), addrs[0], 1, time.Minute, unlimited, numbers())
	require.ErrorContains(t, err, "cannot connect to Caddy")
}
