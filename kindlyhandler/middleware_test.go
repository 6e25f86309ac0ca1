package kindlyhandler_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// next is a next handler that keeps the request, and answers with a teapot.
type next struct {
	request *http.Request
	body    string
}

func (n *next) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.request, n.body = r, string(body)
	w.WriteHeader(http.StatusTeapot)
	_, _ = io.WriteString(w, "short and stout")
}

func TestMiddleware(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"with a length": func(*http.Request) {},
		"chunked":       func(r *http.Request) { r.ContentLength = -1; r.Trailer = http.Header{"X-Trailer": {"1"}} },
	} {
		t.Run(name, func(t *testing.T) {
			n := new(next)
			r := newRig(t, setup{next: n})
			response := r.do(func(req *http.Request) {
				change(req)
				for _, name := range []string{"Content-Encoding", "Content-MD5", "Content-Digest", "Repr-Digest", "Digest"} {
					req.Header.Set(name, "of the webhook")
				}
				req.Header.Set("Content-Type", "text/plain")
				req.Header.Set("Authorization", "Bearer token")
			})
			assert.Equal(t, http.StatusTeapot, response.Status)
			assert.Equal(t, "short and stout", string(response.Body), "the answer goes back as it is")

			assert.Equal(t, int64(len(n.body)), n.request.ContentLength)
			assert.Equal(t, []string{strconv.Itoa(len(n.body))}, n.request.Header["Content-Length"])
			assert.Equal(t, []string{"application/json"}, n.request.Header["Content-Type"])
			assert.Equal(t, []string{"Bearer token"}, n.request.Header["Authorization"])
			assert.Empty(t, n.request.TransferEncoding)
			assert.Empty(t, n.request.Trailer)
			for _, name := range []string{
				"Content-Encoding", "Content-Md5", "Content-Digest", "Repr-Digest", "Digest", "Trailer", "Transfer-Encoding", "Kindly-Hmac", "Kindly-Hmac-Algorithm",
			} {
				assert.NotContains(t, n.request.Header, name)
			}
			ticket := gjson.Parse(n.body)
			require.True(t, gjson.Valid(n.body))
			assert.Equal(t, "create ticket", ticket.Get("subject").Str)
			assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
			assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
			assert.NotEmpty(t, ticket.Get("id").Str)
			r.counts.checkWebhooks(t, map[string]int{"dialogue passed_on": 1})
		})
	}
}

// There is no retry in it, so a ticket goes on without what is missing.
func TestMiddleware_withoutTranscript(t *testing.T) {
	for name, test := range map[string]struct {
		mode kindlytest.Mode
		want string
	}{
		"down":    {kindlytest.Status(503), "the transcript API answered 503 Service Unavailable"},
		"unknown": {kindlytest.Status(404), "the transcript API answered 404 Not Found"},
		"hanging": {kindlytest.Hang(), "transcript API: timeout"},
		"a page":  {kindlytest.Body(200, "text/html", "<html>"), "transcript API: not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			n := new(next)
			r := newRig(t, setup{next: n, options: func(o *kindlyhandler.Options) {
				if name == "hanging" {
					o.Transcript.Timeout = 100 * time.Millisecond
				}
			}})
			r.kindly.Fail(test.mode)
			r.send(kindlytest.DialogueWebhook())
			ticket := gjson.Parse(n.body)
			assert.Equal(t, test.want, ticket.Get("transcript_error").Str)
			assert.Equal(t, gjson.Null, ticket.Get("transcript").Type)
			assert.Equal(t, "create ticket", ticket.Get("subject").Str)
			assert.Equal(t, 1, r.counts.transcriptsMissing)
			assert.Len(t, r.logged("ticket goes out without the chat's transcript"), 1)
		})
	}
}

func TestMiddleware_ticketEvent(t *testing.T) {
	n := new(next)
	r := newRig(t, setup{next: n})
	r.send(kindlytest.TicketWebhook())
	assert.Equal(t, "ticket.updated", gjson.Get(n.body, "event").Str)
	assert.Zero(t, r.kindly.Count())
}

// Nothing is stored: the same webhook is passed on again.
func TestMiddleware_noDuplicateCheck(t *testing.T) {
	n := new(next)
	r := newRig(t, setup{next: n})
	r.send(kindlytest.DialogueWebhook())
	first := gjson.Get(n.body, "id").Str
	r.send(kindlytest.DialogueWebhook())
	assert.NotEqual(t, first, gjson.Get(n.body, "id").Str)
}

// What is refused or left out never gets to the next handler.
func TestMiddleware_stops(t *testing.T) {
	n := new(next)
	r := newRig(t, setup{next: n, options: func(o *kindlyhandler.Options) { o.Events = []string{"ticket.*"} }})
	response := r.send(kindlytest.DialogueWebhook())
	assert.Equal(t, http.StatusOK, response.Status)
	assert.Equal(t, "{}", string(response.Body))
	assert.Equal(t, http.StatusUnauthorized, r.do(header("Kindly-HMAC")).Status)
	assert.Equal(t, http.StatusBadRequest, r.do(body("{}")).Status)
	assert.Equal(t, http.StatusMethodNotAllowed, r.do(func(req *http.Request) { req.Method = http.MethodPut }).Status)
	response, err := r.kindly.Handshake(r.context(), r.url, verifyToken, "challenge")
	require.NoError(t, err)
	assert.Equal(t, "challenge", string(response.Body))
	assert.Nil(t, n.request)
}

func TestMiddleware_placeholders(t *testing.T) {
	r := newRig(t, setup{})
	request, err := kindlytest.NewWebhookRequest("/", secret, kindlytest.DialogueWebhook())
	require.NoError(t, err)
	prepared, result, err := r.handler.Prepare(httptest.NewRecorder(), request)
	require.NoError(t, err)
	for name, want := range map[string]string{
		"kindly.event":                "dialogue",
		"kindly.chat.id":              "5a3a38dfd923ba4238c70ca0",
		"kindly.customer.email":       "me@example.com",
		"kindly.context.order_number": "10045",
		"kindly.ticket.id":            "",
	} {
		value, known := prepared.Placeholder(name)
		assert.True(t, known, name)
		assert.Equal(t, want, value, name)
	}
	id, _ := prepared.Placeholder("kindly.delivery.id")
	ticket, err := io.ReadAll(request.Body)
	require.NoError(t, err)
	assert.Equal(t, gjson.GetBytes(ticket, "id").Str, id)
	assert.Equal(t, kindlyhandler.Result{Delivery: uuid.MustParse(id), Event: "dialogue", Outcome: "passed_on"}, result)
	for _, name := range []string{"kindly.nothing", "http.request.host", "event", ""} {
		_, known := prepared.Placeholder(name)
		assert.False(t, known, name)
	}
}
