package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// onError answers refused webhooks in the site's own words.
const onError = "\thandle_errors {\n\t\trespond \"sorry: {err.status_code} {err.status_text}\"\n\t}\n"

// TestRefused sends what is no webhook of ours. Each is answered as the site's
// error routes say, and makes no ticket.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	c := start(t, "debug", site("http://"+address, "log", onError, s.webhook("/kindly", "max_body 64KiB")))
	url := "http://" + address + "/kindly"
	body := kindlytest.DialogueWebhook()

	signed := func(method string, body []byte, change ...func(*http.Request)) *http.Request {
		request, err := kindlytest.NewWebhookRequest(url, secret, body)
		require.NoError(t, err)
		request.Method = method
		for _, change := range change {
			change(request)
		}
		return request
	}
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
	}
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	signature := kindlyhandler.Sign(secret, body)
	raw, err := base64.StdEncoding.DecodeString(signature)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"other method":           {signed(http.MethodPut, body), http.StatusMethodNotAllowed},
		"GET":                    {signed(http.MethodGet, nil), http.StatusMethodNotAllowed},
		"no signature":           {signed(http.MethodPost, body, header(kindlyhandler.SignatureHeader)), http.StatusUnauthorized},
		"no algorithm":           {signed(http.MethodPost, body, header(kindlyhandler.AlgorithmHeader)), http.StatusUnauthorized},
		"other algorithm":        {signed(http.MethodPost, body, header(kindlyhandler.AlgorithmHeader, "HMAC-SHA-1")), http.StatusUnauthorized},
		"signature of another":   {signed(http.MethodPost, body, header(kindlyhandler.SignatureHeader, kindlyhandler.Sign("x", body))), http.StatusUnauthorized},
		"signature in hex":       {signed(http.MethodPost, body, header(kindlyhandler.SignatureHeader, hex.EncodeToString(raw))), http.StatusUnauthorized},
		"signature not padded":   {signed(http.MethodPost, body, header(kindlyhandler.SignatureHeader, strings.TrimRight(signature, "="))), http.StatusUnauthorized},
		"signature twice":        {signed(http.MethodPost, body, header(kindlyhandler.SignatureHeader, signature, signature)), http.StatusUnauthorized},
		"too large":              {signed(http.MethodPost, bytes.Repeat([]byte(" "), 64<<10+1)), http.StatusRequestEntityTooLarge},
		"too large, no length":   {signed(http.MethodPost, bytes.Repeat([]byte(" "), 128<<10), chunked), http.StatusRequestEntityTooLarge},
		"not JSON":               {signed(http.MethodPost, []byte("hello")), http.StatusBadRequest},
		"not an object":          {signed(http.MethodPost, []byte("[]")), http.StatusBadRequest},
		"not UTF-8":              {signed(http.MethodPost, []byte("{\"chat_id\":\"\xff\"}")), http.StatusBadRequest},
		"too deep":               {signed(http.MethodPost, []byte(`{"chat_id":"a","x":`+strings.Repeat("[", 65)+strings.Repeat("]", 65)+"}")), http.StatusBadRequest},
		"no event":               {signed(http.MethodPost, []byte("{}")), http.StatusBadRequest},
		"nothing":                {signed(http.MethodPost, nil), http.StatusBadRequest},
		"the chat has no id":     {signed(http.MethodPost, []byte(`{"chat_id":""}`)), http.StatusBadRequest},
		"the event is no ticket": {signed(http.MethodPost, []byte(`{"_meta":{"event":"ticket.created"}}`)), http.StatusBadRequest},
	} {
		response, err := s.kindly.Do(c.request)
		require.NoError(t, err, name)
		require.Equal(t, c.status, response.Status, name)
		require.Equal(t, fmt.Sprintf("sorry: %d %s", c.status, http.StatusText(c.status)), string(response.Body), name)
		allow := ""
		if c.status == http.StatusMethodNotAllowed {
			allow = http.MethodPost
		}
		require.Equal(t, allow, response.Header.Get("Allow"), name)
	}

	// A body without a length is as good as any.
	response, err := s.kindly.Do(signed(http.MethodPost, body, chunked))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.Status)
	require.Len(t, s.waitTickets(1), 1)
	require.Equal(t, 1, s.desk.Attempts())
	require.Contains(t, c.out.String(), `"reason":"signature"`)
}

// TestRefusedWithoutErrorRoutes proves that an answer has no body then.
func TestRefusedWithoutErrorRoutes(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "", site("http://"+address, s.webhook("/kindly", "verify_token {env.KINDLY_VERIFY_TOKEN}"), "respond elsewhere"))
	request, err := http.NewRequest(http.MethodDelete, "http://"+address+"/kindly", http.NoBody)
	require.NoError(t, err)
	response, err := s.kindly.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusMethodNotAllowed, response.Status)
	require.Equal(t, "GET, POST", response.Header.Get("Allow"))
	require.Empty(t, response.Body)

	elsewhere, err := http.Get("http://" + address + "/other")
	require.NoError(t, err)
	defer elsewhere.Body.Close()
	content, err := io.ReadAll(elsewhere.Body)
	require.NoError(t, err)
	require.Equal(t, "elsewhere", string(content))
}

// TestFull proves that Kindly is told to come back when there is no room, and
// that the person in a chat is told that there will be no ticket.
func TestFull(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	address := freeAddress(t)
	start(t, "", site("http://"+address, s.webhook("/kindly", "reply_pending pending", "reply_failed failed")))
	url := "http://" + address + "/kindly"

	const mostOfOneChat = 100
	for i := range mostOfOneChat {
		s.accepted(url, kindlytest.TicketWebhookFor(fmt.Sprintf("ticket.%d", i), "one-chat"))
	}
	response := s.send(url, kindlytest.TicketWebhookFor("ticket.more", "one-chat"))
	require.Equal(t, http.StatusServiceUnavailable, response.Status)
	require.Equal(t, "10", response.Header.Get("Retry-After"))

	told := s.accepted(url, kindlytest.DialogueWebhookFor("one-chat"))
	require.JSONEq(t, `{"reply": "failed"}`, string(told.Body))
	told = s.accepted(url, kindlytest.DialogueWebhookFor("another-chat"))
	require.JSONEq(t, `{"reply": "pending"}`, string(told.Body))
}
