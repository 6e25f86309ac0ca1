package kindly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// runs runs a command against the admin API, and returns what it prints, and
// what it tells beside that.
func (r *adminRig) runs(cmd *cobra.Command, args ...string) (printed, told string, err error) {
	r.Helper()
	// It lives no longer than the command: while it listens, time stands still.
	server := httptest.NewServer(r.Handler)
	defer server.Close()
	var out, beside bytes.Buffer
	cmd.SetArgs(append(args, "--address", strings.TrimPrefix(server.URL, "http://")))
	cmd.SetOut(&out)
	cmd.SetErr(&beside)
	cmd.SilenceErrors = true // as Caddy has it, who prints them
	err = cmd.Execute()
	return out.String(), beside.String(), err
}

// prints requires a command to print a table.
func (r *adminRig) prints(want string, cmd *cobra.Command, args ...string) {
	r.Helper()
	printed, told, err := r.runs(cmd, args...)
	require.NoError(r, err)
	require.Empty(r, told)
	require.Equal(r, strings.TrimPrefix(want, "\n"), unpadded(printed))
}

// unpadded leaves out the spaces at the ends of lines.
func unpadded(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func TestCommandStatus(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.ofEach()
		r.passes(time.Minute)
		r.submits(4, zendesk, "", denied)
		require.NoError(t, r.q.Pause(slack))
		r.submits(5, delivery.Lane{Webhook: "long", Upstream: "gone"}, "", taken)
		r.store.status = map[string]any{"path": "/data/deliveries.db", "free_pages": 12, "compaction": nil}
		r.prints(`
NAME     UPSTREAM  CONDITION       DELIVERED  DEAD  PENDING  OLDEST PENDING
long     gone      gone            0          0     1        2026-11-22T14:31:00Z
support  slack     paused by hand  0          1     0        -
support  zendesk   paused          1          0     2        2026-11-22T14:30:00Z
all      -         -               1          1     3        2026-11-22T14:30:00Z

support, slack:
paused by hand since  2026-11-22T14:31:00Z
last error            2026-11-22T14:29:00Z  the upstream answered 422 Unprocessable Entity

support, zendesk:
paused since  2026-11-22T14:31:00Z
next probe    2026-11-22T14:32:00Z
last error    2026-11-22T14:31:00Z  the upstream answered 401 Unauthorized

Without a ticket of its own, since Caddy started:
dead  1

store compaction  null
store free pages  12
store path        /data/deliveries.db
`, statusCommand())

		printed, _, err := r.runs(statusCommand(), "--json")
		require.NoError(t, err)
		_, want := r.request(http.MethodGet, "/kindly/status", "")
		require.Equal(t, want, printed)
	})
}

func TestCommandStatusOfAnUpstreamThatAskedToBeLeftAlone(t *testing.T) {
	runAdmin(t, func(_ *testing.T, r *adminRig) {
		r.submits(1, zendesk, "", delivery.Outcome{
			Stage: delivery.StageUpstream, Status: 429, HoldLane: true, RetryAfter: time.Minute,
			Err: errors.New("the upstream answered 429 Too Many Requests"),
		})
		r.prints(`
NAME     UPSTREAM  CONDITION  DELIVERED  DEAD  PENDING  OLDEST PENDING
support  slack     healthy    0          0     0        -
support  zendesk   held       0          0     1        2026-11-22T14:28:00Z
all      -         -          0          0     1        2026-11-22T14:28:00Z

support, zendesk:
held until  2026-11-22T14:29:00Z
last error  2026-11-22T14:28:00Z  the upstream answered 429 Too Many Requests
`, statusCommand())
	})
}

func TestCommandStatusOfAStoreThatIsNotReady(t *testing.T) {
	runAdmin(t, func(_ *testing.T, r *adminRig) {
		r.store.status = map[string]any{"ready": false}
		r.store.count = func(context.Context) error { return context.DeadlineExceeded }
		r.prints(`
NAME     UPSTREAM  CONDITION  DELIVERED  DEAD  PENDING  OLDEST PENDING
support  slack     healthy    -          -     -        -
support  zendesk   healthy    -          -     -        -
all      -         -          -          -     -        -

The store is not ready: deliveries are not counted, and webhooks wait for it.

store ready  false
`, statusCommand())
	})
}

func TestCommandList(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.prints(`
ID  RECEIVED  NAME  UPSTREAM  EVENT  CHAT  STATE  ATTEMPTS  NEXT ATTEMPT  TICKET  ERROR
`, listCommand())
		r.ofEach()
		r.prints(`
ID                                    RECEIVED              NAME     UPSTREAM  EVENT     CHAT  STATE      ATTEMPTS  NEXT ATTEMPT          TICKET  ERROR
0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e03  2026-11-22T14:30:00Z  support  zendesk   dialogue  two   pending    1         2026-11-22T15:30:00Z  -       connection reset
0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e02  2026-11-22T14:29:00Z  support  slack     dialogue  -     dead       1         -                     -       the upstream answered 422 Unprocessable Entity
0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e01  2026-11-22T14:28:00Z  support  zendesk   dialogue  one   delivered  1         -                     4711    -
`, listCommand())
		r.prints(`
ID                                    RECEIVED              NAME     UPSTREAM  EVENT     CHAT  STATE    ATTEMPTS  NEXT ATTEMPT          TICKET  ERROR
0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e03  2026-11-22T14:30:00Z  support  zendesk   dialogue  two   pending  1         2026-11-22T15:30:00Z  -       connection reset
`, listCommand(), "--state", "pending", "--name", "support", "--chat", "two")

		printed, told, err := r.runs(listCommand(), "--limit", "1")
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(printed, "\n"))
		require.Contains(t, told, "There are more: --limit 2")

		printed, told, err = r.runs(listCommand(), "--limit", "2", "--json")
		require.NoError(t, err)
		require.Empty(t, told)
		require.JSONEq(t, `{"deliveries":[`+aPending+","+aDead+`],"after":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e02"}`, printed)
	})
}

// A list can be longer than what one request answers.
func TestCommandListOfMany(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		for n := range 1100 {
			r.desk.answers(taken)
			id := numbered(byte(n))
			id[14] = byte(n >> 8)
			_, err := r.q.Submit(t.Context(), []*delivery.Delivery{{ID: id, Lane: zendesk, ReceivedAt: r.now()}}, time.Minute)
			require.NoError(t, err)
		}
		for _, test := range []struct {
			limit, want string
			lines       int
		}{
			{"1050", "There are more: --limit 2100", 1051},
			{"1100", "", 1101},
			{"5000", "", 1101},
		} {
			printed, told, err := r.runs(listCommand(), "--limit", test.limit)
			require.NoError(t, err)
			require.Equal(t, test.lines, strings.Count(printed, "\n"))
			require.Contains(t, told, test.want)
			require.Equal(t, test.want == "", told == "")
		}
	})
}

// What strangers wrote does nothing to a terminal, or to the table.
func TestCommandsPrintNoControlCharacters(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		const hostile = "\x1b]0;owned\x07\n\tx\u202egnp\u009b31m\u2028" + "\xff"
		id := r.submits(1, zendesk, hostile+strings.Repeat("long", 100), lost)
		for _, cmd := range []*cobra.Command{listCommand(), showCommand()} {
			args := []string{}
			if cmd.Name() == "show" {
				args = append(args, id.String())
			}
			printed, _, err := r.runs(cmd, args...)
			require.NoError(t, err)
			require.Contains(t, printed, "�]0;owned���x�gnp�31m")
			for _, wrong := range []string{"\x1b", "\x07", "\t", "\u202e", "\u009b", "\u2028", "\xff"} {
				require.NotContains(t, printed, wrong)
			}
			if cmd.Name() == "list" {
				require.Equal(t, 2, strings.Count(printed, "\n"))
				require.NotContains(t, printed, strings.Repeat("long", 20))
			}
		}
	})
}

func TestCommandShow(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		delivered, _, pending := r.ofEach()
		r.prints(`
id        0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e01
webhook   support
upstream  zendesk
event     dialogue
chat      one
received  2026-11-22T14:28:00Z
state     delivered
ticket    4711
link      https://help.example.com/4711
trace     4bf92f3577b34da6a3ce929d0e0e4736
attempts  1

TIME                  TOOK  STAGE     STATUS  ERROR
2026-11-22T14:28:00Z  0s    upstream  201     -
`, showCommand(), delivered.String())
		r.prints(`
id            0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e03
webhook       support
upstream      zendesk
event         dialogue
chat          two
received      2026-11-22T14:30:00Z
state         pending
next attempt  2026-11-22T15:30:00Z
attempts      1

TIME                  TOOK  STAGE     STATUS  ERROR
2026-11-22T14:30:00Z  0s    upstream  -       connection reset (the ticket may have arrived all the same)

{
  "message": "<b>create ticket</b>"
}
`, showCommand(), pending.String())

		printed, _, err := r.runs(showCommand(), pending.String(), "--json")
		require.NoError(t, err)
		_, want := r.request(http.MethodGet, "/kindly/deliveries/"+pending.String(), "")
		require.Equal(t, want, printed)
	})
}

func TestCommandRetry(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		delivered, dead, pending := r.ofEach()
		r.desk.answers(taken)
		printed, _, err := r.runs(retryCommand(), delivered.String(), dead.String(), numbered(99).String(), pending.String())
		require.EqualError(t, err, delivered.String()+": it is delivered already: there is nothing to retry (HTTP 409)\n"+
			numbered(99).String()+": no such delivery: it never was, was dropped, or is no longer kept (HTTP 404)")
		require.Equal(t, dead.String()+" is due now.\n"+pending.String()+" is due now.\n", printed)
		r.is(dead, delivery.Delivered)
		r.is(pending, delivery.Delivered)

		more := []uuid.UUID{r.submits(11, zendesk, "", refused), r.submits(12, slack, "", refused), r.submits(13, slack, "", lost)}
		r.desk.answers(taken)
		r.prints("0 deliveries are due now.\n", retryCommand(), "--state", "dead", "--name", "sales")
		r.prints("2 deliveries are due now.\n", retryCommand(), "--state", "dead", "--name", "support")
		r.prints(`{"retried":1}`+"\n", retryCommand(), "--state", "pending", "--json")
		for _, id := range more {
			r.is(id, delivery.Delivered)
		}
	})
}

func TestCommandDrop(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		_, dead, pending := r.ofEach()
		r.prints(dead.String()+" is dropped.\n", dropCommand(), dead.String())
		r.prints(`{"dropped":1}`+"\n", dropCommand(), "--json", pending.String())
		_, _, err := r.runs(dropCommand(), dead.String())
		require.ErrorContains(t, err, "no such delivery")
		_, _, err = r.runs(showCommand(), pending.String())
		require.EqualError(t, err, "no such delivery: it never was, was dropped, or is no longer kept (HTTP 404)")
	})
}

func TestCommandsRefuse(t *testing.T) {
	for _, test := range []struct {
		cmd  *cobra.Command
		args string
		want string
	}{
		{showCommand(), "", "accepts 1 arg(s), received 0"},
		{showCommand(), "4711", `"4711" is no id of a delivery: write one such as`},
		{dropCommand(), "", "requires at least 1 arg(s)"},
		{dropCommand(), "..", `".." is no id of a delivery`},
		{retryCommand(), "", "nothing to retry: write ids, or --state dead"},
		{retryCommand(), "--name support", "nothing to retry: write ids, or --state dead"},
		{retryCommand(), "--state dead 0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e01", "leave them out with ids"},
		{retryCommand(), "--state delivered", `state "delivered" cannot be retried: write {"state": "dead"}`},
		{listCommand(), "--limit 0", "--limit 0: write a number from 1"},
		{listCommand(), "--state undead", `state "undead": write pending, delivered or dead (HTTP 400)`},
		{listCommand(), "dead", `unknown command "dead"`},
		{statusCommand(), "--config nothing.json", "finding the address of the admin API"},
	} {
		t.Run(test.cmd.Name()+" "+test.args, func(t *testing.T) {
			args := strings.Fields(test.args)
			if test.cmd.Name() == "status" { // where --address would go before
				test.cmd.SetArgs(args)
				test.cmd.SetOut(io.Discard)
				test.cmd.SetErr(io.Discard)
				require.ErrorContains(t, test.cmd.Execute(), test.want)
				return
			}
			runAdmin(t, func(t *testing.T, r *adminRig) {
				_, _, err := r.runs(test.cmd, args...)
				require.ErrorContains(t, err, test.want)
			})
		})
	}
}

func TestCommandsWithoutAnAdminAPI(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	ofOthers := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	for name, test := range map[string]struct{ address, want string }{
		"nobody":              {address, "no admin API answers at " + address + ": is Caddy running, and is that its address? Say --address <address> if not"},
		"no socket":           {"unix/" + filepath.Join(t.TempDir(), "none.sock"), "no admin API answers at unix/"},
		"no address":          {"localhost:1-9", "no admin API answers at localhost:1-9"},
		"Caddy without us":    {ofOthers(404, "404 page not found\n"), "has no kindly module"},
		"something else":      {ofOthers(502, "\x1b<html>"), "answered HTTP 502"},
		"something hostile":   {ofOthers(400, `{"error":"\u001b[2J"}`), "�[2J (HTTP 400)"},
		"something of HTML":   {ofOthers(200, "<html>"), "the admin API's answer cannot be read"},
		"a kindly that waits": {ofOthers(503, `{"error":"no kindly app runs"}`), "no kindly app runs (HTTP 503)"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cmd := range []*cobra.Command{statusCommand(), listCommand()} {
				cmd.SetArgs([]string{"--address", test.address})
				var out bytes.Buffer
				cmd.SetOut(&out)
				cmd.SetErr(&out)
				cmd.SilenceErrors = true
				err := cmd.Execute()
				require.ErrorContains(t, err, test.want)
				require.NotContains(t, err.Error(), "\x1b")
				require.Empty(t, out.String(), "the usage is not what is wrong")
			}
		})
	}
}

// The admin API can be at a unix socket.
func TestCommandsByASocket(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		id := r.submits(1, zendesk, "", taken)
		socket := filepath.Join(t.TempDir(), "admin.sock")
		listener, err := net.Listen("unix", socket)
		require.NoError(t, err)
		server := &http.Server{Handler: r.Handler, ReadHeaderTimeout: time.Minute}
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		cmd := showCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs([]string{id.String(), "--json", "--address", "unix/" + socket})
		require.NoError(t, cmd.Execute())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
		var document detailsDocument
		require.NoError(t, json.Unmarshal(out.Bytes(), &document))
		require.Equal(t, id, document.ID)
		require.Len(t, document.Attempts, 1)
	})
}

func TestCommandDeliveries(t *testing.T) {
	cmd := deliveriesCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{})
	require.NoError(t, cmd.Execute())
	for _, name := range []string{"list", "show", "retry", "drop"} {
		require.Contains(t, out.String(), "caddy kindly deliveries "+name)
	}
}

// The page gets the admin API's answers, and its own words where there is none.
func TestCommandPageAsks(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.ofEach()
		server := httptest.NewServer(r.Handler)
		client := &adminClient{address: strings.TrimPrefix(server.URL, "http://")}
		status, answer := client.ask(http.MethodGet, "deliveries?state=dead")
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, `{"deliveries":[`+aDead+`],"after":null}`, string(answer))
		status, answer = client.ask(http.MethodDelete, "deliveries/"+numbered(9).String())
		require.Equal(t, http.StatusNotFound, status)
		requireProblem(t, "no such delivery", string(answer))
		server.Close()
		status, answer = client.ask(http.MethodGet, "status")
		require.Equal(t, http.StatusBadGateway, status)
		requireProblem(t, "no admin API answers at "+client.address, string(answer))
	})
}
