package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
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

// load sends webhooks, each from a chat of its own, and keeps account of them.
type load struct {
	urls  []string      // each webhook goes to one of them
	pause time.Duration // after each of a client's webhooks: it is no benchmark
	// again is how many of a hundred webhooks are sent twice, the second time to
	// another URL, if there is one, and often at the same moment.
	again int
	// refusable: that a webhook cannot be stored is no wrong answer.
	refusable bool
	// patience is how long the last tickets may take, by default as all else.
	patience time.Duration

	sent    atomic.Int64
	twice   atomic.Int64
	reset   atomic.Int64 // not answered
	refused atomic.Int64

	mu       sync.Mutex
	accepted map[string]bool // chats
	wrong    []string        // answers that nobody should get
}

// start sends from a number of connections that are kept, and a number that
// are not. The function ends that.
func (l *load) start(kept, fresh int) (stop func()) {
	l.accepted = make(map[string]bool)
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	keepAlive := &http.Transport{MaxIdleConnsPerHost: kept}
	for range kept {
		clients.Go(func() { l.run(ctx, &http.Client{Transport: keepAlive, Timeout: patience}) })
	}
	for range fresh {
		clients.Go(func() {
			l.run(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience})
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		clients.Wait()
		keepAlive.CloseIdleConnections()
	})
}

func (l *load) run(ctx context.Context, client *http.Client) {
	for ; ctx.Err() == nil; time.Sleep(l.pause) {
		chat := fmt.Sprintf("chat-%d", l.sent.Add(1))
		to := rand.N(len(l.urls))
		if rand.N(100) >= l.again {
			l.send(client, l.urls[to], chat)
			continue
		}
		l.twice.Add(1)
		var both sync.WaitGroup
		both.Go(func() { l.send(client, l.urls[to], chat) })
		time.Sleep(rand.N(20 * time.Millisecond))
		l.send(client, l.urls[(to+1)%len(l.urls)], chat)
		both.Wait()
	}
}

func (l *load) send(client *http.Client, url, chat string) {
	request, err := kindlytest.NewWebhookRequest(url, secret, kindlytest.DialogueWebhookFor(chat))
	if err != nil {
		l.note("", err.Error())
		return
	}
	response, err := client.Do(request)
	if err != nil {
		l.reset.Add(1)
		return
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	switch {
	case err != nil:
		l.reset.Add(1)
	case response.StatusCode == http.StatusOK && !strings.Contains(string(body), "Sorry"):
		l.note(chat, "")
	case response.StatusCode == http.StatusOK && l.refusable:
		l.refused.Add(1)
	default:
		l.note("", response.Status+" "+string(body))
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

// open returns the accepted chats, less those in tickets.
func (l *load) open(tickets map[string]int) map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := maps.Clone(l.accepted)
	maps.DeleteFunc(open, func(chat string, _ bool) bool { return tickets[chat] > 0 })
	return open
}

// ticketsByChat counts the tickets of each chat.
func ticketsByChat(t *testing.T, desks ...*kindlytest.HelpDesk) map[string]int {
	t.Helper()
	tickets := make(map[string]int)
	for _, desk := range desks {
		for _, delivered := range desk.Tickets() {
			var ticket kindlyhandler.Ticket
			require.NoError(t, json.Unmarshal(delivered.Body, &ticket))
			tickets[ticket.Chat.ID]++
		}
	}
	return tickets
}

// requireBalance waits until every accepted chat is at one of the help desks,
// and requires one ticket for each.
func (l *load) requireBalance(t *testing.T, desks ...*kindlytest.HelpDesk) {
	t.Helper()
	var tickets map[string]int
	for deadline := time.Now().Add(max(l.patience, patience)); ; time.Sleep(50 * time.Millisecond) {
		arrived := 0
		for _, desk := range desks {
			arrived += desk.Count()
		}
		if late := time.Now().After(deadline); arrived >= len(l.accepted) || late {
			tickets = ticketsByChat(t, desks...)
			if open := l.open(tickets); len(open) == 0 {
				break
			} else if late {
				t.Fatalf("%d of %d accepted chats have no ticket: %v", len(open), len(l.accepted), open)
			}
		}
	}
	for chat, n := range tickets {
		require.Equal(t, 1, n, chat)
	}
}
