package upstream

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestBody(t *testing.T) {
	ticket := map[string]any{"id": "1", "subject": "<a> & ø", "messages": []any{map[string]any{"text": secret}}}
	for expression, want := range map[string]string{
		`{title: .subject, n: [.messages[].text | length]}`: `{"n":[6],"title":"<a> & ø"}`,
		`.`:                       `{"id":"1","messages":[{"text":"` + secret + `"}],"subject":"<a> & ø"}`,
		`{in: $base}`:             `{"in":"https://desk.example/a%2Fb"}`,
		`.subject | truncate(1)`:  `"…"`,
		`{b: 1, a: {d: 1, c: 2}}`: `{"a":{"c":2,"d":1},"b":1}`,
	} {
		up := newUpstream(t, Options{URL: "https://me:" + secret + "@desk.example/a%2Fb/?key=" + secret, Mapping: Mapping{Body: expression}})
		require.True(t, up.Maps())
		sent, err := up.Map(t.Context(), ticket)
		require.NoError(t, err)
		assert.Equal(t, want, string(sent.Body))
	}
	for expression, want := range map[string]string{
		`.messages[0].text.x`:                "body: it failed: expected an object but got: string",
		`empty`:                              "body: it gives no result, where one is needed: mind `empty`, `select` and `.[]` of an empty list",
		`[range(1e9)]`:                       "body: it does not come to an end: it was stopped after 2,000,000 steps",
		`reduce range(99) as $i (1; [., .])`: "body: its result is larger than 128 MiB",
	} {
		_, err := newUpstream(t, Options{URL: "https://desk.example", Mapping: Mapping{Body: expression}}).Map(t.Context(), ticket)
		assert.EqualError(t, err, want)
	}
	assert.False(t, newUpstream(t, Options{URL: "https://desk.example", Mapping: Mapping{Success: "201", TicketID: ".body.id", TicketURL: "null"}}).Maps())
}

func TestMap_method(t *testing.T) {
	ticket := map[string]any{"event": "ticket.updated", "subject": secret, "messages": []any{map[string]any{"text": secret}}}
	ask := func(o Options) (Request, error) {
		o.URL = "https://desk.example"
		up := newUpstream(t, o)
		require.True(t, up.Maps())
		require.True(t, up.NeedsAll(), "an expression of the operator's sees the whole ticket")
		return up.Map(t.Context(), ticket)
	}
	sent, err := ask(Options{Method: `if .event == "ticket.updated" then "PUT" else "POST" end`})
	require.NoError(t, err)
	assert.Equal(t, Request{Method: "PUT"}, sent, "the ticket as it is")
	sent, err = ask(Options{Method: `"PATCH"`, Mapping: Mapping{Body: ".event"}})
	require.NoError(t, err)
	assert.Equal(t, Request{Method: "PATCH", Body: []byte(`"ticket.updated"`)}, sent)
	sent, err = ask(Options{Method: `if .messages == null then "POST" else "PUT" end`, Preset: "github", PresetOptions: exampleOptions["github"]})
	require.NoError(t, err)
	assert.Equal(t, "PUT", sent.Method)
	assert.Contains(t, string(sent.Body), secret)
	for expression, want := range map[string]string{
		`.subject`:          "method: its result is none of POST, PUT and PATCH",
		`"post"`:            "method: its result is none of POST, PUT and PATCH",
		`{m: "POST"}`:       "method: its result is none of POST, PUT and PATCH",
		`.none`:             "method: its result is none of POST, PUT and PATCH",
		`.subject.x`:        "method: it failed: expected an object but got: string",
		`[range(1e9)][0]`:   "method: it does not come to an end: it was stopped after 2,000,000 steps",
		`"POST", "PUT"`:     "method: it gives more than one result, where one is needed: put brackets around it to make them a list",
		`error(.subject)`:   "method: it called `error`",
		`"\(.subject)" * 9`: "method: its result is none of POST, PUT and PATCH",
	} {
		sent, err := ask(Options{Method: expression, Mapping: Mapping{Body: ".event"}})
		require.EqualError(t, err, want)
		assert.Zero(t, sent)
	}
}

func TestNew_mappingErrors(t *testing.T) {
	for want, m := range map[string]Mapping{
		"body: line 1, column 2: unexpected EOF: something is missing, such as a bracket, a quotation mark or `end`; write a jq expression such as `{title: .subject, text: .transcript.text}`": {Body: "{"},
		"success: line 1, column 1: no function ok with 0 arguments; write a jq expression such as `.status == 200 and .body.ok`":                                                               {Success: "ok"},
		"success: \"created\" is not a status: write statuses such as 201 or 2xx, or one jq expression":                                                                                         {Success: "200 created"},
		"success: \"600\" is not a status: write statuses such as 201 or 2xx, or one jq expression":                                                                                             {Success: "600"},
		"ticket_id: line 1, column 7: no variable $x: there are $base; write a jq expression such as `.body.ticket.id`":                                                                         {TicketID: ".body[$x]"},
		"ticket_url: line 2, column 1: no function foo with 0 arguments; write a jq expression such as `.body.ticket.url`":                                                                      {TicketURL: "1 |\nfoo"},
	} {
		_, err := New(Options{URL: "https://desk.example", Mapping: m})
		assert.EqualError(t, err, want)
	}
}

// answering returns an upstream that answers with a status, a body and a header.
func answering(t *testing.T, status int, body string, m Mapping) *Upstream {
	t.Helper()
	server := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ticket-Id", "77")
		w.Header().Add("X-Two", "a")
		w.Header().Add("X-Two", "b")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	return newUpstream(t, Options{URL: server.URL, Mapping: m})
}

func TestSend_success(t *testing.T) {
	const page = "<html>" + secret + "</html>"
	for name, c := range map[string]struct {
		status  int
		body    string
		success string
		verdict delivery.Verdict
		err     string
	}{
		"a status":                  {201, "", "201", delivery.Success, ""},
		"one of several":            {202, "", "200 202", delivery.Success, ""},
		"a class":                   {204, "", "2xx", delivery.Success, ""},
		"a redirect":                {302, "", "2xx 302", delivery.Success, ""},
		"a conflict":                {409, "", "200 409", delivery.Success, ""},
		"another status":            {200, page, "201", delivery.Refused, "the upstream answered 200 OK, which is no success"},
		"another status, a failure": {422, page, "201", delivery.Permanent, "the upstream answered 422 Unprocessable Entity"},
		"down":                      {503, page, "201", delivery.Transient, "the upstream answered 503 Service Unavailable"},
		"true":                      {200, `{"ok":true}`, ".body.ok", delivery.Success, ""},
		"false":                     {200, `{"ok":false}`, ".body.ok", delivery.Refused, "the upstream answered 200 OK, which is no success"},
		"null":                      {200, `{}`, ".body.ok", delivery.Refused, "the upstream answered 200 OK, which is no success"},
		"a page":                    {200, page, ".body.ok", delivery.Refused, "the upstream answered 200 OK, which is no success: success: it failed: expected an object but got: string"},
		"neither":                   {200, `{"ok":"` + secret + `"}`, ".body.ok", delivery.Refused, "the upstream answered 200 OK, which is no success: success: it gives neither true nor false: compare with something, such as `.body.id != null`"},
		"text":                      {200, "ok\n", `.body | startswith("ok")`, delivery.Success, ""},
		"status in an expression":   {409, `{"error":"exists"}`, `.status < 300 or .body.error == "exists"`, delivery.Success, ""},
		"false for a failure":       {400, `{"ok":false}`, ".body.ok", delivery.Permanent, "the upstream answered 400 Bad Request"},
		"header":                    {200, "", `.headers["x-ticket-id"] == "77" and .headers["x-two"] == "a, b"`, delivery.Success, ""},
		"endless":                   {200, "", `[repeat(1)]`, delivery.Refused, "the upstream answered 200 OK, which is no success: success: it does not come to an end: it was stopped after 2,000,000 steps"},
		"number":                    {200, `12345678901234567890`, `.body == 12345678901234567890`, delivery.Success, ""},
		"two values":                {200, `{} {}`, `.body == "{} {}"`, delivery.Success, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := send(t, answering(t, c.status, c.body, Mapping{Success: c.success}), nil)
			assert.Equal(t, c.verdict, o.Verdict)
			assert.Equal(t, c.status, o.Status)
			if c.err == "" {
				assert.NoError(t, o.Err)
			} else {
				assert.EqualError(t, o.Err, c.err)
			}
		})
	}
}

// An answer that breaks off before it says whether the ticket is there leaves
// that open.
func TestSend_successUnknown(t *testing.T) {
	broken := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"ok":`)
	})
	o := send(t, newUpstream(t, Options{URL: broken.URL, Mapping: Mapping{Success: ".body.ok"}}), nil)
	assert.Equal(t, delivery.Transient, o.Verdict)
	assert.True(t, o.Unknown)
	assert.True(t, o.Down)
	require.EqualError(t, o.Err, "connection closed before the answer was complete")
	assert.Equal(t, delivery.Success, send(t, newUpstream(t, Options{URL: broken.URL, Mapping: Mapping{Success: "200"}}), nil).Verdict)
}

func TestSend_ticket(t *testing.T) {
	const body = `{"id":1,"result":{"number":"INC7","sys_id":"` + secret + `"},"list":[1]}`
	for name, c := range map[string]struct {
		mapping Mapping
		want    delivery.Ticket
		err     string
	}{
		"default":      {Mapping{}, delivery.Ticket{ID: "1"}, ""},
		"id":           {Mapping{TicketID: ".body.result.number"}, delivery.Ticket{ID: "INC7"}, ""},
		"number":       {Mapping{TicketID: ".body.list[0]"}, delivery.Ticket{ID: "1"}, ""},
		"header":       {Mapping{TicketID: `.headers["x-ticket-id"]`}, delivery.Ticket{ID: "77"}, ""},
		"both":         {Mapping{TicketID: ".body.result.number", TicketURL: `"https://desk.example/\(.body.id)"`}, delivery.Ticket{ID: "INC7", URL: "https://desk.example/1"}, ""},
		"url alone":    {Mapping{TicketURL: `"https://desk.example/\(.body.id)"`}, delivery.Ticket{ID: "1", URL: "https://desk.example/1"}, ""},
		"none":         {Mapping{TicketID: "null"}, delivery.Ticket{}, ""},
		"no id":        {Mapping{TicketID: ".body"}, delivery.Ticket{}, "ticket_id: its result is not one"},
		"no address":   {Mapping{TicketURL: ".body.result.sys_id"}, delivery.Ticket{ID: "1"}, "ticket_url: its result is not one"},
		"failing":      {Mapping{TicketID: ".body.result.sys_id.x"}, delivery.Ticket{}, "ticket_id: it failed: expected an object but got: string"},
		"both failing": {Mapping{TicketID: "error", TicketURL: "empty"}, delivery.Ticket{}, "ticket_id: it called `error`\nticket_url: it gives no result, where one is needed: mind `empty`, `select` and `.[]` of an empty list"},
	} {
		t.Run(name, func(t *testing.T) {
			o := send(t, answering(t, http.StatusOK, body, c.mapping), nil)
			assert.Equal(t, delivery.Success, o.Verdict)
			assert.Equal(t, c.want, o.Ticket)
			if c.err == "" {
				assert.NoError(t, o.Err)
			} else {
				assert.EqualError(t, o.Err, c.err)
			}
		})
	}
}

// A connection is used again, whether its answers are read or not.
func TestSend_reusesConnections(t *testing.T) {
	for _, m := range []Mapping{{}, {Success: "200"}, {Success: ".body.ok"}, {TicketID: ".body.id"}} {
		for _, status := range []int{200, 400} {
			connections := make(map[string]bool)
			server := listen(t, func(w http.ResponseWriter, r *http.Request) {
				connections[r.RemoteAddr] = true
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"ok":true,"id":`+strconv.Itoa(status)+`}`)
			})
			up := newUpstream(t, Options{URL: server.URL, Mapping: m})
			for range 3 {
				send(t, up, nil)
			}
			server.Close()
			assert.Len(t, connections, 1, m)
		}
	}
}
