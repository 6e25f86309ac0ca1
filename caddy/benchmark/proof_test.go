package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTickets(t *testing.T) {
	for _, test := range []struct {
		name                                  string
		s                                     scenario
		answered, tickets, transcripts, twice int
		want                                  string
	}{
		{name: "all of them", s: scenario{tickets: true, deliveries: true}, answered: 3, tickets: 3, transcripts: 3},
		{name: "no tickets expected", answered: 3},
		{name: "one too many", s: scenario{tickets: true}, answered: 3, tickets: 4, want: "there must be 3 tickets at the help desk, but there are 4"},
		{name: "one missing", s: scenario{tickets: true}, answered: 3, tickets: 2, want: "there must be 3 tickets at the help desk, but there are 2"},
		{name: "tickets of rejected ones", answered: 3, tickets: 1, want: "there must be 0 tickets at the help desk, but there are 1"},
		{name: "without transcript", s: scenario{tickets: true, deliveries: true}, answered: 3, tickets: 3, transcripts: 2, want: "3 tickets need a transcript, but only 2 were fetched"},
		{name: "same key", s: scenario{tickets: true}, answered: 3, tickets: 3, twice: 1, want: "0 have no Idempotency-Key and 1 repeat one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			desk := &helpDesk{keys: &keys{repeated: test.twice}}
			desk.tickets.Store(int64(test.tickets))
			target := &target{scenario: test.s, kindly: new(kindly), desk: desk, answered: test.answered}
			target.kindly.served.Store(int64(test.transcripts))
			err := target.check()
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
		})
	}
}

func TestAwaitTickets(t *testing.T) {
	for _, test := range []struct {
		name string
		come int // a ticket every 20 s
		want string
	}{
		{name: "slow", come: 5},
		{name: "too few", come: 4, want: "there must be 5 tickets at the help desk, but there are 4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := &target{scenario: scenario{tickets: true}, kindly: new(kindly), desk: new(helpDesk), answered: 5}
				go func() {
					for range test.come {
						time.Sleep(20 * time.Second)
						target.desk.tickets.Add(1)
					}
				}()
				err := target.awaitTickets(t.Context())
				if test.want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.want)
				}
			})
		})
	}
}

// instanceOf returns an instance whose Caddy answers every webhook, and tells
// in its admin API, what the test says.
func instanceOf(t *testing.T, answer, status, list string, s sample) *instance {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(site.Close)
	i := &instance{name: "durable", caddy: adminOf(t, map[string]string{
		"/kindly/status": fmt.Sprintf(`{"upstreams": [%s]}`, status),
		"/kindly/deliveries?state=delivered&limit=1000": fmt.Sprintf(`{"deliveries": [%s], "after": null}`, list),
	})}
	i.targets = []*target{{
		scenario: *scenarioNamed(t, "whole_job"), instance: i, addr: site.Listener.Addr().String(),
		answered: 1, samples: []sample{s},
	}}
	return i
}

func TestCheckHistory(t *testing.T) {
	const (
		reply   = `{"reply":"Ticket 7 created."}`
		pending = `{"reply":"A ticket follows."}`
		settled = `{"name": "whole_job", "condition": "healthy", "deliveries": {"pending": 0, "delivered": 1, "dead": 0}}`
	)
	id := idOf(1)
	entry := func(ticket string) string {
		return fmt.Sprintf(`{"name": "whole_job", "chat_id": %q, "ticket": {"id": %q}}`, id, ticket)
	}
	for _, test := range []struct {
		name                        string
		first, again, status, entry string
		want                        string
	}{
		{name: "known", first: reply, again: reply, status: settled, entry: entry("7")},
		{name: "known, and delivered later", first: pending, again: reply, status: settled, entry: entry("7")},
		{
			name: "dead letter", first: reply, again: reply, entry: entry("7"), want: "Delivered:0 Dead:1",
			status: `{"name": "whole_job", "deliveries": {"pending": 0, "delivered": 0, "dead": 1}}`,
		},
		{name: "all gone", first: reply, again: reply, want: "after the restart these are known: {Pending:0 Delivered:0 Dead:0}"},
		{name: "not listed", first: reply, again: reply, status: settled, want: "1 webhooks were answered, but after the restart the history has 0"},
		{
			name: "second ticket", first: reply, again: `{"reply":"Ticket 8 created."}`, status: settled, entry: entry("7"),
			want: `body "{\"reply\":\"Ticket 8 created.\"}": it speaks of ticket "8", the history of "7"`,
		},
		{name: "forgotten answer", first: reply, again: pending, status: settled, entry: entry("7"), want: `it speaks of ticket "", the history of "7"`},
		{
			name: "other ticket than at first", first: `{"reply":"Ticket 6 created."}`, again: reply, status: settled, entry: entry("7"),
			want: `the first answer was "{\"reply\":\"Ticket 6 created.\"}"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := instanceOf(t, test.again, test.status, test.entry, sample{1, test.first})
			err := i.checkHistory(t.Context())
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
		})
	}
}

func TestCheckWaiting(t *testing.T) {
	const pending = `{"reply":"A ticket follows."}`
	for _, test := range []struct {
		name, again, condition string
		pending                int
		want                   string
	}{
		{name: "waits", again: pending, condition: "open", pending: 1},
		{name: "not known to be down", again: pending, condition: "healthy", pending: 1, want: `its state is "healthy"`},
		{name: "lost", again: pending, condition: "open", pending: 0, want: "{Pending:0 Delivered:0 Dead:0}"},
		{name: "accepted twice", again: pending, condition: "open", pending: 2, want: "{Pending:2 Delivered:0 Dead:0}"},
		{name: "other answer", again: `{}`, condition: "open", pending: 1, want: "the first answer was"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := fmt.Sprintf(`{"name": "whole_job", "condition": %q, "deliveries": {"pending": %d}}`, test.condition, test.pending)
			i := instanceOf(t, test.again, status, "", sample{1, pending})
			err := i.checkWaiting(t.Context(), i.targets[0])
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
		})
	}
}

func TestCheckRepeats(t *testing.T) {
	const reply = `{"reply":"Ticket 7 created."}`
	require.NoError(t, instanceOf(t, reply, "", "", sample{1, reply}).checkRepeats())
	err := instanceOf(t, `{"reply":"Ticket 8 created."}`, "", "", sample{1, reply}).checkRepeats()
	require.ErrorContains(t, err, "unexpected answer to a webhook that came again")
}

func TestCount(t *testing.T) {
	first, second := []sample{{1, "a"}, {2, "b"}}, []sample{{3, "c"}}
	durable := &target{instance: &instance{name: "durable"}}
	durable.count(10, first)
	durable.count(5, second)
	require.Equal(t, 15, durable.answered)
	require.Len(t, durable.samples, 3)

	memory := &target{instance: &instance{name: "memory"}}
	memory.count(10, first)
	memory.count(5, second)
	require.Equal(t, 15, memory.answered)
	require.Equal(t, second, memory.samples, "memory forgets")
}
