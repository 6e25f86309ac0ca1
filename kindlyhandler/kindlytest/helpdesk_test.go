package kindlytest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestHelpDeskAcceptsTickets(t *testing.T) {
	h := newTestHelpDesk(t)
	h.FirstID = 4711
	before := time.Now()

	for i, method := range []string{"POST", "PUT", "PATCH"} {
		res, err := do(testContext(t), newTestClient(t), method, h.URL+"/api/v2/tickets?a=b", `{"n":1}`, "X-Test", "yes")
		require.NoError(t, err)
		assert.Equal(t, http.StatusCreated, res.status)
		assert.Equal(t, "application/json", res.header.Get("Content-Type"))
		assert.JSONEq(t, fmt.Sprintf(`{"id":%d,"url":"%s/tickets/%d"}`, 4711+i, h.URL, 4711+i), res.body)
	}
	assert.Equal(t, 3, h.Count())
	assert.Equal(t, 3, h.Attempts())
	assert.Equal(t, 0, h.Repeats())
	tickets := h.Tickets()
	require.Len(t, tickets, 3)
	assert.Equal(t, "4711", tickets[0].ID)
	assert.Equal(t, "POST", tickets[0].Method)
	assert.Equal(t, "/api/v2/tickets?a=b", tickets[0].URI)
	assert.Equal(t, `{"n":1}`, string(tickets[0].Body))
	assert.Equal(t, "yes", tickets[0].Header.Get("X-Test"))
	assert.Empty(t, tickets[0].IdempotencyKey)
	assert.False(t, tickets[0].Received.Before(before))
	assert.Len(t, h.Requests(), 3)

	res, err := do(testContext(t), newTestClient(t), http.MethodDelete, h.URL, "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusMethodNotAllowed, res.status)
	assert.Contains(t, res.header.Get("Allow"), "POST")
	assert.Equal(t, 3, h.Attempts())
}

func TestHelpDeskIdempotency(t *testing.T) {
	t.Run("honoured", func(t *testing.T) {
		h := newTestHelpDesk(t)
		first := mustPost(t, h.URL, "1", "Idempotency-Key", "a")
		again := mustPost(t, h.URL, "other", "Idempotency-Key", "a")
		second := mustPost(t, h.URL, "2", "Idempotency-Key", "b")
		mustPost(t, h.URL, "3")
		mustPost(t, h.URL, "3")

		assert.Equal(t, http.StatusCreated, first.status)
		assert.Equal(t, http.StatusOK, again.status)
		assert.Equal(t, first.body, again.body)
		assert.Equal(t, "2", gjson.Get(second.body, "id").Raw)
		assert.Equal(t, 4, h.Count())
		assert.Equal(t, 1, h.Repeats())
		assert.Equal(t, 5, h.Attempts())
		assert.Equal(t, "a", h.Tickets()[0].IdempotencyKey)
		assert.Equal(t, "1", string(h.Tickets()[0].Body))
	})
	t.Run("ignored", func(t *testing.T) {
		h := newTestHelpDesk(t)
		h.IgnoreIdempotencyKey = true
		mustPost(t, h.URL, "1", "Idempotency-Key", "a")
		again := mustPost(t, h.URL, "1", "Idempotency-Key", "a")
		assert.Equal(t, http.StatusCreated, again.status)
		assert.Equal(t, 2, h.Count())
		assert.Equal(t, 0, h.Repeats())
		assert.Equal(t, "a", h.Tickets()[1].IdempotencyKey)
	})
	t.Run("concurrently", func(t *testing.T) {
		h := newTestHelpDesk(t)
		ctx, client := testContext(t), newTestClient(t)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				_, err := do(ctx, client, http.MethodPost, h.URL, "{}", "Idempotency-Key", fmt.Sprint(i%10))
				assert.NoError(t, err)
			})
		}
		require.NoError(t, h.Wait(ctx, 10))
		wg.Wait()
		assert.Equal(t, 10, h.Count())
		assert.Equal(t, 30, h.Repeats())
		for i, ticket := range h.Tickets() {
			assert.Equal(t, fmt.Sprint(i+1), ticket.ID)
		}
	})
}

func TestHelpDeskForget(t *testing.T) {
	h := newTestHelpDesk(t)
	h.Forget = true
	mustPost(t, h.URL, "1", "Idempotency-Key", "a")
	assert.Equal(t, http.StatusOK, mustPost(t, h.URL, "1", "Idempotency-Key", "a").status)
	assert.Equal(t, 1, h.Count())
	assert.Equal(t, 2, h.Attempts())
	assert.Empty(t, h.Tickets())
	assert.Empty(t, h.Requests())
	res, err := do(testContext(t), newTestClient(t), http.MethodGet, h.URL+"/tickets/1", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, res.status)
}

func TestHelpDeskShowsTickets(t *testing.T) {
	h := newTestHelpDesk(t)
	h.FirstID = 10
	hostile := `<script>alert(1)</script>`
	mustPost(t, h.URL, `{"message":"`+hostile+`"}`, "Idempotency-Key", hostile, "Authorization", "Bearer hidden")
	mustPost(t, h.URL, hostile+"\xff")
	mustPost(t, h.URL, "")

	for _, test := range []struct {
		path string
		body string // gjson's raw body field; empty: 404
	}{
		{"/tickets/10", `{"message":"\u003cscript\u003ealert(1)\u003c/script\u003e"}`},
		{"/tickets/11", `"\u003cscript\u003ealert(1)\u003c/script\u003e\ufffd"`},
		{"/tickets/12", `""`},
		{"/tickets/9", ""},
		{"/tickets/13", ""},
		{"/tickets/010", ""},
		{"/tickets/+10", ""},
		{"/tickets/-9223372036854775808", ""},
		{"/tickets/99999999999999999999", ""},
		{"/tickets/", ""},
		{"/tickets/<b>", ""},
		{"/", ""},
	} {
		t.Run(test.path, func(t *testing.T) {
			res, err := do(testContext(t), newTestClient(t), http.MethodGet, h.URL+test.path, "")
			require.NoError(t, err)
			assert.True(t, gjson.Valid(res.body))
			assert.NotContains(t, res.body, "<")
			assert.NotContains(t, res.body, "hidden")
			if test.body == "" {
				assert.Equal(t, http.StatusNotFound, res.status)
				return
			}
			assert.Equal(t, http.StatusOK, res.status)
			assert.Equal(t, "application/json", res.header.Get("Content-Type"))
			assert.Equal(t, "nosniff", res.header.Get("X-Content-Type-Options"))
			assert.Equal(t, strings.TrimPrefix(test.path, "/tickets/"), gjson.Get(res.body, "id").Raw)
			assert.Equal(t, test.body, gjson.Get(res.body, "body").Raw)
			_, err = time.Parse(time.RFC3339Nano, gjson.Get(res.body, "received").String())
			assert.NoError(t, err)
		})
	}
	assert.Equal(t, 3, h.Attempts(), "looking at tickets is no attempt")
}

func TestHelpDeskWait(t *testing.T) {
	h := newTestHelpDesk(t)
	ctx, client := testContext(t), newTestClient(t)
	var wg sync.WaitGroup
	for _, n := range []int{7, 1, 3, 10, 0, -1} {
		wg.Go(func() {
			if assert.NoError(t, h.Wait(ctx, n)) {
				assert.GreaterOrEqual(t, h.Count(), n)
				assert.GreaterOrEqual(t, len(h.Tickets()), n)
			}
		})
	}
	wg.Go(func() { assert.ErrorIs(t, h.Wait(ctx, 11), ErrClosed) })
	for range 10 {
		_, err := do(ctx, client, http.MethodPost, h.URL, "{}")
		require.NoError(t, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, h.Wait(ended, 11), context.Canceled)
	h.Close()
	wg.Wait()
}

func TestHelpDeskRefusesHugeBody(t *testing.T) {
	h := newTestHelpDesk(t)
	conn := dial(t, h.URL)
	_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", maxRequest+1)
	require.NoError(t, err)
	go func() {
		// The answer may come before all of it is sent.
		for range maxRequest/len(blanks) + 1 {
			if _, err := conn.Write(blanks); err != nil {
				return
			}
		}
	}()
	line := make([]byte, len("HTTP/1.1 413"))
	_, err = io.ReadFull(conn, line)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 413", string(line))
	assert.Equal(t, 0, h.Count())
	assert.Equal(t, 1, h.Attempts())
}

func TestHelpDeskAcceptsNoBrokenBody(t *testing.T) {
	h := newTestHelpDesk(t)
	conn := dial(t, h.URL)
	_, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	line := make([]byte, len("HTTP/1.1 400"))
	_, err = io.ReadFull(conn, line)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 400", string(line))
	assert.Equal(t, 0, h.Count())
}
