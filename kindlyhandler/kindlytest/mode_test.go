package kindlytest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestModes(t *testing.T) {
	date := time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC).Format(http.TimeFormat)
	usual := func(h *HelpDesk) string { return fmt.Sprintf(`{"id":1,"url":"%s/tickets/1"}`, h.URL) }

	for _, test := range []struct {
		name     string
		mode     Mode
		status   int
		header   map[string]string
		body     string // empty: the usual one
		accepted int
		err      error
	}{
		{name: "none", status: 201, accepted: 1},
		{name: "503", mode: Status(503, "Retry-After", "120"), status: 503, header: map[string]string{"Retry-After": "120"}, body: `{"error":"Service Unavailable"}`},
		{name: "429 with a date", mode: Status(429, "Retry-After", date), status: 429, header: map[string]string{"Retry-After": date}, body: `{"error":"Too Many Requests"}`},
		{name: "401", mode: Status(401), status: 401, body: `{"error":"Unauthorized"}`},
		{name: "301", mode: Status(301, "Location", "http://127.0.0.1:1/"), status: 301, header: map[string]string{"Location": "http://127.0.0.1:1/"}, body: `{"error":"Moved Permanently"}`},
		{name: "500 after accept", mode: Status(500).AfterAccept(), status: 500, body: `{"error":"Internal Server Error"}`, accepted: 1},
		{name: "HTML", mode: Body(200, "text/html", "<p>hi"), status: 200, header: map[string]string{"Content-Type": "text/html", "Content-Length": "5"}, body: "<p>hi"},
		{name: "header wins", mode: Status(418, "Content-Type", "text/plain", "Date", date), status: 418, header: map[string]string{"Content-Type": "text/plain", "Date": date}, body: `{"error":"I'm a teapot"}`},
		{name: "delay", mode: Delay(time.Millisecond), status: 201, accepted: 1},
		{name: "delay after accept", mode: Delay(time.Millisecond).AfterAccept(), status: 201, accepted: 1},
		{name: "drip", mode: Drip(time.Microsecond), status: 201, accepted: 1},
		{name: "drip without interval", mode: Drip(0), status: 201, accepted: 1},
		{name: "truncate", mode: Truncate(3), status: 201, body: `{"i`, accepted: 1, err: io.ErrUnexpectedEOF},
		{name: "truncate all", mode: Truncate(-1), status: 201, body: ``, accepted: 1, err: io.ErrUnexpectedEOF},
		{name: "reset", mode: Reset(), err: syscall.ECONNRESET},
		{name: "reset after accept", mode: Reset().AfterAccept(), err: syscall.ECONNRESET, accepted: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTestHelpDesk(t)
			h.Fail(test.mode)
			res, err := post(t, h.URL, "{}")
			if test.err == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.err)
			}
			assert.Equal(t, test.status, res.status)
			for name, value := range test.header {
				assert.Equal(t, value, res.header.Get(name))
			}
			want := test.body
			if want == "" && test.err == nil {
				want = usual(h)
			}
			assert.Equal(t, want, res.body)
			assert.Equal(t, 1, h.Attempts())
			assert.Equal(t, test.accepted, h.Count())
			assert.Len(t, h.Tickets(), test.accepted)
		})
	}
}

func TestModesWithoutBody(t *testing.T) {
	h := newTestHelpDesk(t)
	h.Fail(Status(http.StatusNoContent))
	res := mustPost(t, h.URL, "{}")
	assert.Equal(t, http.StatusNoContent, res.status)
	assert.Empty(t, res.body)
}

func TestModesOfKindly(t *testing.T) {
	k := newTestKindly(t)
	ctx, client := testContext(t), newTestClient(t)
	get := func(mode Mode) (reply, error) {
		k.Fail(mode)
		return do(ctx, client, http.MethodGet, k.URL+"/api/v1/chats/c1", "", "Authorization", bearer)
	}
	transcript := string(TranscriptFor("c1"))

	res, err := get(Huge(5 << 20))
	require.NoError(t, err)
	assert.Len(t, res.body, 5<<20)
	assert.Equal(t, transcript, strings.TrimLeft(res.body, " "))
	assert.Empty(t, res.header.Get("Content-Length"))

	res, err = get(Huge(0))
	require.NoError(t, err)
	assert.Equal(t, transcript, res.body)

	res, err = get(Truncate(1 << 20))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, transcript[:len(transcript)-1], res.body)

	_, err = get(Reset())
	require.ErrorIs(t, err, syscall.ECONNRESET)

	res, err = get(Status(401))
	require.NoError(t, err)
	assert.Equal(t, 401, res.status)

	res, err = get(Mode{})
	require.NoError(t, err)
	assert.Equal(t, transcript, res.body)
}

func TestTruncateAnnouncesTheLength(t *testing.T) {
	h := newTestHelpDesk(t)
	h.Fail(Truncate(2))
	res, err := post(t, h.URL, "{}")
	require.Error(t, err)
	assert.Greater(t, res.header.Get("Content-Length"), "2")
}

func TestDelay(t *testing.T) {
	h := newTestHelpDesk(t)
	const delay = 30 * time.Millisecond
	h.Fail(Delay(delay))
	start := time.Now()
	mustPost(t, h.URL, "{}")
	assert.GreaterOrEqual(t, time.Since(start), delay)
}

// TestHangEndsWithTheClient sees the end of a hanging request by the server
// closing its half of the connection after the client closed its own.
func TestHangEndsWithTheClient(t *testing.T) {
	for name, test := range map[string]struct {
		mode     Mode
		accepted int
	}{
		"hang":               {Hang(), 0},
		"hang after accept":  {Hang().AfterAccept(), 1},
		"delay":              {Delay(time.Hour), 0},
		"delay after accept": {Delay(time.Hour).AfterAccept(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHelpDesk(t)
			h.Fail(test.mode)
			conn := dial(t, h.URL)
			_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
			require.NoError(t, err)
			require.NoError(t, h.WaitAttempts(testContext(t), 1))
			require.NoError(t, conn.CloseWrite())
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.Empty(t, answer)
			assert.Equal(t, test.accepted, h.Count())
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	for name, mode := range map[string]Mode{
		"hang":        Hang(),
		"delay":       Delay(time.Hour),
		"drip":        Drip(time.Hour),
		"huge":        Huge(1 << 50),
		"accept hang": Hang().AfterAccept(),
		"usual":       {},
	} {
		t.Run(name, func(t *testing.T) {
			running := goleak.IgnoreCurrent()
			h, k := NewHelpDesk(), NewKindly()
			client := newClient()
			ctx := testContext(t)
			h.Fail(mode)
			k.Fail(mode)
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := discard(ctx, client, http.MethodPost, h.URL)
				assert.Equal(t, mode.apply != nil, err != nil)
			})
			wg.Go(func() {
				_, err := discard(ctx, client, http.MethodGet, k.URL)
				assert.Equal(t, mode.apply != nil, err != nil)
			})
			require.NoError(t, h.WaitAttempts(ctx, 1))
			require.NoError(t, k.Wait(ctx, 1))
			if mode.apply == nil {
				wg.Wait()
			}
			h.Close()
			k.Close()
			wg.Wait()
			client.CloseIdleConnections()
			goleak.VerifyNone(t, running)
		})
	}
}

// discard sends a request and reads its answer without keeping it.
func discard(ctx context.Context, client *http.Client, method, url string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return io.Copy(io.Discard, res.Body)
}

// TestCloseEndsUnfinishedRequests closes while a request's body, or the whole
// request, is still to come.
func TestCloseEndsUnfinishedRequests(t *testing.T) {
	h := NewHelpDesk()
	idle, half := dial(t, h.URL), dial(t, h.URL)
	_, err := io.WriteString(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, h.WaitAttempts(testContext(t), 1))
	h.Close()
	for _, conn := range []io.Reader{idle, half} {
		if _, err := io.ReadAll(conn); err != nil {
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
	}
}

func TestDripShowsTheHeaderAtOnce(t *testing.T) {
	h := newTestHelpDesk(t)
	h.Fail(Drip(time.Hour))
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader("{}"))
	require.NoError(t, err)
	res, err := newTestClient(t).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, http.StatusCreated, res.StatusCode)
	assert.Equal(t, 1, h.Count())
}

func TestFaultsPlan(t *testing.T) {
	h := newTestHelpDesk(t)
	client := newTestClient(t)
	statuses := func(n int) (got []int) {
		for range n {
			res, err := do(testContext(t), client, http.MethodPost, h.URL, "{}")
			require.NoError(t, err)
			got = append(got, res.status)
		}
		return got
	}
	h.FailNext(2, Status(500))
	h.FailNext(0, Status(418))
	h.FailNext(1, Mode{})
	h.FailNext(1, Status(502))
	assert.Equal(t, []int{500, 500, 201, 502, 201}, statuses(5))

	h.Fail(Status(503))
	h.FailNext(1, Status(500))
	assert.Equal(t, []int{500, 503, 503}, statuses(3))

	h.FailNext(1, Status(500))
	h.Recover()
	assert.Equal(t, []int{201}, statuses(1))
	assert.False(t, h.active.Load())
}

func TestRecoverLeavesHangingRequests(t *testing.T) {
	h := newTestHelpDesk(t)
	h.Fail(Hang())
	ctx, cancel := context.WithCancel(testContext(t))
	client := newTestClient(t)
	failed := make(chan error, 1)
	go func() {
		_, err := do(ctx, client, http.MethodPost, h.URL, "{}")
		failed <- err
	}()
	require.NoError(t, h.WaitAttempts(ctx, 1))
	h.Recover()
	mustPost(t, h.URL, "{}")
	assert.Empty(t, failed)
	cancel()
	assert.ErrorIs(t, <-failed, context.Canceled)
}

func TestModePanics(t *testing.T) {
	assert.Panics(t, func() { Status(100) })
	assert.Panics(t, func() { Status(1000) })
	odd := []string{"Retry-After"}
	assert.Panics(t, func() { Status(503, odd...) })
}

// TestResetIsRepeatedByTransport is what the documentation of Reset warns of.
func TestResetIsRepeatedByTransport(t *testing.T) {
	h := newTestHelpDesk(t)
	client := newClient()
	defer client.CloseIdleConnections()
	ctx := testContext(t)
	_, err := do(ctx, client, http.MethodPost, h.URL, "{}", "Idempotency-Key", "1")
	require.NoError(t, err)
	h.FailNext(1, Reset().AfterAccept())
	res, err := do(ctx, client, http.MethodPost, h.URL, "{}", "Idempotency-Key", "2")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.status)
	assert.Equal(t, []int{3, 2, 1}, []int{h.Attempts(), h.Count(), h.Repeats()})

	h.Fail(Reset())
	_, err = do(ctx, client, http.MethodPost, h.URL, "{}", "Idempotency-Key", "3")
	require.Error(t, err)
	assert.ErrorIs(t, err, syscall.ECONNRESET)
}
