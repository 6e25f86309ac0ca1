package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// load sends webhooks, each from a chat of its own, until its context ends.
type load struct {
	url   string
	sent  atomic.Int64
	reset atomic.Int64 // not answered: Caddy resets connections while listeners change hands

	mu       sync.Mutex
	accepted map[string]bool // chats
	wrong    []string        // answers that a reload must not cause
}

func (l *load) run(ctx context.Context, client *http.Client) {
	for ctx.Err() == nil {
		chat := fmt.Sprintf("chat-%d", l.sent.Add(1))
		request, err := kindlytest.NewWebhookRequest(l.url, secret, kindlytest.DialogueWebhookFor(chat))
		if err != nil {
			l.note("", err.Error())
			return
		}
		response, err := client.Do(request)
		if err != nil {
			l.reset.Add(1)
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		switch {
		case err != nil:
			l.note("", err.Error())
		case response.StatusCode != http.StatusOK, strings.Contains(string(body), "Sorry"):
			l.note("", response.Status+" "+string(body))
		default:
			l.note(chat, "")
		}
		time.Sleep(10 * time.Millisecond) // not a benchmark
	}
}

func (l *load) note(chat, wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wrong != "" {
		l.wrong = append(l.wrong, wrong)
		return
	}
	l.accepted[chat] = true
}

// TestReloadUnderLoad reloads again and again while webhooks come in. None is
// refused because of it, and all accepted ones become one ticket each.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s, other := newSides(t), newSides(t)
	s.desk.IgnoreIdempotencyKey, other.desk.IgnoreIdempotencyKey = true, true
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()

	address := freeAddress(t)
	at := func(directives ...string) string { return site("http://"+address, directives...) }
	const reply = "reply_pending later"
	good := []string{
		at(s.webhook("/kindly shop")),
		at(s.webhook("/kindly shop", "reply other")),
		at(strings.Replace(s.webhook("/kindly shop"), s.desk.URL, other.desk.URL, 1)),
		at(s.webhook("/kindly", reply)),
		at(s.webhook("/kindly"), other.webhook("/more shop", reply)),
	}
	wrong := at(s.webhook("/kindly shop", "reply {kindly.unknown}"))
	// Caddy finds this one out when one of the servers takes requests already.
	unusable := at(other.webhook("/kindly shop")) + site("http://"+taken.Addr().String(), "respond taken")
	c := start(t, "", good[0])

	l := &load{url: "http://" + address + "/kindly", accepted: make(map[string]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	keepAlive := &http.Transport{MaxIdleConnsPerHost: 16}
	defer keepAlive.CloseIdleConnections()
	for range 16 {
		clients.Go(func() { l.run(ctx, &http.Client{Transport: keepAlive, Timeout: patience}) })
	}
	for range 4 {
		clients.Go(func() {
			l.run(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience})
		})
	}

	for i := range 20 {
		time.Sleep(150 * time.Millisecond)
		require.NoError(t, c.reload("", good[(i+1)%len(good)]))
		require.Error(t, c.reload("", wrong))
		for range 4 {
			require.Error(t, c.reload("", unusable))
		}
	}
	cancel()
	clients.Wait()
	require.Empty(t, l.wrong)

	// In the end there is a webhook of each name, so that all deliveries go out.
	require.NoError(t, c.reload("", at(s.webhook("/kindly"), s.webhook("/more shop"))))
	t.Logf("%d webhooks accepted, %d connections reset", len(l.accepted), l.reset.Load())
	c.eventually("every accepted webhook is a ticket", func() bool {
		return s.desk.Count()+other.desk.Count() >= len(l.accepted)
	})
	tickets := make(map[string]int)
	for _, delivered := range append(s.desk.Tickets(), other.desk.Tickets()...) {
		var ticket kindlyhandler.Ticket
		require.NoError(t, json.Unmarshal(delivered.Body, &ticket))
		tickets[ticket.Chat.ID]++
	}
	for chat := range l.accepted {
		require.Equal(t, 1, tickets[chat], chat)
	}
	for chat, n := range tickets {
		require.Equal(t, 1, n, chat)
	}
	require.NotZero(t, other.desk.Count())
}
