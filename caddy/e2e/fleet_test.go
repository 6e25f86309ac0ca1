//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// TestFleetTakesOver ends the Caddy that has taken a webhook in, while it is
// delivering it: another one does, under the same key, and knows it when it
// comes again.
func TestFleetTakesOver(t *testing.T) {
	t.Parallel()
	for end, signal := range map[string]os.Signal{"stopped": terminate, "killed": syscall.SIGKILL} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 2, "respond_within 1s", "reply {kindly.ticket.id}", "reply_pending later")
			f.desk.FailNext(1, kindlytest.Hang())
			replies(t, "later", f.accepted(f.members[0].url, kindlytest.DialogueWebhook()))
			key := f.desk.Requests()[0].Header.Get("Idempotency-Key")
			f.members[0].stop(signal)
			require.Equal(t, key, f.waitTickets(1)[0].IdempotencyKey)
			other := f.members[1]
			other.eventually("it is delivered", func() bool { return other.states()["delivered"] == 1 })
			replies(t, "4711", f.accepted(other.url, kindlytest.DialogueWebhook()))
			f.members[0].start()
			replies(t, "4711", f.accepted(f.members[0].url, kindlytest.DialogueWebhook()))
			require.Equal(t, 2, f.desk.Attempts())
		})
	}
}

// TestFleetDuplicates sends the same webhook to all members: one after the
// other, at once, and while the first one waits for its answer. It is one
// ticket, and one answer.
func TestFleetDuplicates(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "reply {kindly.ticket.id}")
	f.desk.IgnoreIdempotencyKey = true
	for _, m := range f.members {
		replies(t, "4711", f.accepted(m.url, kindlytest.DialogueWebhook()))
	}
	require.Equal(t, 1, f.desk.Attempts())

	f.desk.Fail(kindlytest.Delay(300 * time.Millisecond))
	for round := range 3 {
		webhook := kindlytest.DialogueWebhookFor(fmt.Sprintf("round-%d", round))
		answers := make([]kindlytest.Response, 24)
		var senders sync.WaitGroup
		for i := range answers {
			senders.Go(func() { answers[i] = f.accepted(f.members[i%3].url, webhook) })
		}
		senders.Wait()
		for _, answer := range answers {
			replies(t, fmt.Sprint(4712+round), answer)
		}
	}
	require.Equal(t, 4, f.desk.Attempts())
}

// TestFleetOrder has a chat go on at one member after the other, while the help
// desk fails now and then.
func TestFleetOrder(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, "respond_within 0", "retry {\n\t\t\tinitial_interval 50ms\n\t\t\tmax_interval 100ms\n\t\t}")
	texts := readable("message", 24)
	for i, text := range texts {
		if i%3 == 0 {
			f.desk.FailNext(1, kindlytest.Status(http.StatusServiceUnavailable))
		}
		f.accepted(f.members[i%3].url, says("chat", text))
	}
	f.waitTickets(len(texts))
	require.Equal(t, texts, f.messages())
}

// TestFleetRate counts at the help desk how many attempts a fleet makes in a
// time: all members together as many as it may, within a tenth; and never more,
// also when one goes and comes back.
func TestFleetRate(t *testing.T) {
	t.Parallel()
	const perSecond, n = 20, 260
	f := planFleet(t, pgtest.Schema(t), 3, "respond_within 0")
	f.upstream = fmt.Sprintf("rate %d/s", perSecond)
	f.start()
	f.meet()
	for i := range n {
		f.accepted(f.members[i%3].url, kindlytest.DialogueWebhookFor(fmt.Sprint(i)))
	}
	require.NoError(t, f.desk.Wait(within(t), n/2))
	require.Zero(t, f.members[2].stop(terminate))
	f.members[2].start()
	f.waitTickets(n)

	var times []time.Time
	for _, request := range f.desk.Requests() {
		times = append(times, request.Received)
	}
	slices.SortFunc(times, time.Time.Compare)
	const from, to = perSecond, n / 2 // after those that may come at once, before the restart
	reached := (to - from) / times[to].Sub(times[from]).Seconds()
	require.InEpsilon(t, perSecond, reached, 0.1)
	// What one process counts another one sees some milliseconds later, or not.
	for i := range times[:n-5*perSecond] {
		require.Greater(t, times[i+5*perSecond].Sub(times[i]), 4500*time.Millisecond, "%d in 5 s", 5*perSecond)
	}
	t.Logf("%.1f attempts a second of %d", reached, perSecond)
}

// TestFleetOperators looks at and handles the deliveries of all from any of
// them.
func TestFleetOperators(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	chats := readable("chat", 4)
	for i, chat := range chats {
		f.accepted(f.members[i%3].url, kindlytest.DialogueWebhookFor(chat))
	}
	ids := make(map[string]string)
	for _, m := range f.members {
		require.Equal(t, map[string]int{"dead": 4}, m.states())
		require.Regexp(t, `(?m)^support +default +healthy +0 +4 +0 +-$`, m.kindly("status"))
		for _, chat := range chats {
			one := m.list("--chat", chat)
			require.Len(t, one, 1)
			require.Contains(t, m.kindly("deliveries", "show", one[0].ID), `"message": "create ticket"`)
			ids[chat] = one[0].ID
		}
	}

	f.desk.Recover()
	require.Equal(t, ids[chats[0]]+" is due now.\n", f.members[1].kindly("deliveries", "retry", ids[chats[0]]))
	require.Equal(t, ids[chats[0]], f.waitTickets(1)[0].IdempotencyKey)
	require.Equal(t, ids[chats[1]]+" is dropped.\n", f.members[2].kindly("deliveries", "drop", ids[chats[1]]))
	status, answer := f.members[0].ask(http.MethodPost, "/kindly/chats/erase", `{"chat_id":"`+chats[2]+`"}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"erased":1}`, answer)
	require.Equal(t, "1 deliveries are due now.\n", f.members[2].kindly("deliveries", "retry", "--state", "dead"))
	f.waitTickets(2)
	for _, m := range f.members {
		m.eventually("what is left is delivered", func() bool { return m.states()["delivered"] == 2 })
		require.Len(t, m.list(), 2)
		require.Equal(t, int64(2), gjson.Get(askPage(t, startPage(t, m.admin), "api/deliveries?limit=10"), "deliveries.#").Int())
	}
}
