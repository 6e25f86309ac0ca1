package kindlytest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"pgregory.net/rapid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// TestPayloadsAreTheHandlersOwn keeps the copies equal to what package
// kindlyhandler tests with.
func TestPayloadsAreTheHandlersOwn(t *testing.T) {
	for name, got := range map[string][]byte{
		"dialogue-webhook.json": DialogueWebhook(),
		"ticket-webhook.json":   TicketWebhook(),
		"transcript.json":       TranscriptFor(dialogueChatID),
	} {
		want, err := os.ReadFile(filepath.Join("..", "testdata", name))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), name)
	}
	assert.Equal(t, DialogueWebhook(), DialogueWebhookFor(dialogueChatID))
	assert.Equal(t, TicketWebhook(), TicketWebhookFor(ticketEvent, ticketChatID))
}

func TestPayloadsAreCopies(t *testing.T) {
	DialogueWebhook()[0] = 'X'
	TicketWebhook()[0] = 'X'
	TranscriptFor("x")[0] = 'X'
	assert.True(t, gjson.ValidBytes(DialogueWebhook()))
	assert.True(t, gjson.ValidBytes(TicketWebhook()))
	assert.True(t, gjson.ValidBytes(TranscriptFor("x")))
}

func TestPayloadsForAnyChat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		event := rapid.String().Draw(t, "event")

		dialogue := DialogueWebhookFor(id)
		require.True(t, gjson.ValidBytes(dialogue), string(dialogue))
		assert.Equal(t, id, gjson.GetBytes(dialogue, "chat_id").String())
		link := gjson.GetBytes(dialogue, "_links.chat").String()
		last, err := url.PathUnescape(link[strings.LastIndexByte(link, '/')+1:])
		require.NoError(t, err)
		assert.Equal(t, id, last)

		ticket := TicketWebhookFor(event, id)
		require.True(t, gjson.ValidBytes(ticket), string(ticket))
		assert.Equal(t, id, gjson.GetBytes(ticket, "chat.id").String())
		assert.Equal(t, event, gjson.GetBytes(ticket, "_meta.event").String())

		transcript := TranscriptFor(id)
		require.True(t, gjson.ValidBytes(transcript), string(transcript))
		assert.Equal(t, id, gjson.GetBytes(transcript, "chat.id").String())
	})
	odd := DialogueWebhookFor("\xff\"")
	assert.True(t, gjson.ValidBytes(odd))
	assert.True(t, utf8.Valid(odd))
	assert.Equal(t, "\ufffd\"", gjson.GetBytes(odd, "chat_id").String())
}

func TestNewWebhookRequest(t *testing.T) {
	// The vector of Kindly's documentation.
	body := []byte(`{"foo":1,"bar":2}`)
	req, err := NewWebhookRequest("http://example.com/hook", "examplekey", body)
	require.NoError(t, err)
	assert.Equal(t, http.MethodPost, req.Method)
	assert.Equal(t, "uEeD0Q7eW9btdx6LFvvlpwkzQBWdbknsQkg1C27Cx7Q=", req.Header.Get("Kindly-HMAC"))
	assert.Equal(t, "HMAC-SHA-256 (base64 encoded)", req.Header.Get("Kindly-HMAC-algorithm"))
	assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
	sent, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	assert.Equal(t, body, sent)
	assert.EqualValues(t, len(body), req.ContentLength)

	req, err = NewWebhookRequest("http://example.com/hook", "", body)
	require.NoError(t, err)
	assert.NotContains(t, req.Header, http.CanonicalHeaderKey(kindlyhandler.SignatureHeader))
	assert.NotContains(t, req.Header, http.CanonicalHeaderKey(kindlyhandler.AlgorithmHeader))

	_, err = NewWebhookRequest("http://bad host/", "s", body)
	assert.Error(t, err)
}

// newReceiver starts a server for webhooks.
func newReceiver(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := listen(handler)
	t.Cleanup(s.close)
	return s.url
}

func TestSend(t *testing.T) {
	k := newTestKindly(t)
	target := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, kindlyhandler.Sign("s3cret", body), r.Header.Get(kindlyhandler.SignatureHeader))
		assert.Equal(t, kindlyhandler.Algorithm, r.Header.Get(kindlyhandler.AlgorithmHeader))
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(make([]byte, maxResponse))
		case "/too-large":
			_, _ = w.Write(make([]byte, maxResponse+1))
		case "/broken":
			w.Header().Set("Content-Length", "5")
			_, _ = w.Write([]byte("123"))
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		default:
			w.Header().Set("X-Test", "yes")
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprintf(w, "%d bytes", len(body))
		}
	})
	ctx := testContext(t)
	send := func(path string) (Response, error) {
		return k.Send(ctx, target+path, "s3cret", DialogueWebhook())
	}

	res, err := send("/")
	require.NoError(t, err)
	assert.Equal(t, http.StatusTeapot, res.Status)
	assert.Equal(t, "yes", res.Header.Get("X-Test"))
	assert.Equal(t, fmt.Sprintf("%d bytes", len(dialogueWebhook)), string(res.Body))

	res, err = send("/redirect")
	require.NoError(t, err)
	assert.Equal(t, http.StatusTemporaryRedirect, res.Status)

	res, err = send("/large")
	require.NoError(t, err)
	assert.Len(t, res.Body, maxResponse)

	_, err = send("/too-large")
	require.ErrorContains(t, err, "exceeds")
	_, err = send("/broken")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = k.Send(ctx, "http://bad host/", "s3cret", nil)
	require.Error(t, err)
}

func TestHandshake(t *testing.T) {
	k := newTestKindly(t)
	target := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodGet, r.Method)
		assert.Empty(t, r.Header.Get(kindlyhandler.SignatureHeader))
		assert.Equal(t, "1", r.FormValue("site"))
		if r.FormValue("verify_token") != "tök&n" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, r.FormValue("challenge"))
	})
	ctx := testContext(t)

	res, err := k.Handshake(ctx, target+"/hook?site=1", "tök&n", "c=1&d +")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.Status)
	assert.Equal(t, "c=1&d +", string(res.Body))

	res, err = k.Handshake(ctx, target+"/hook?site=1", "wrong", "c")
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, res.Status)

	for _, bad := range []string{"http://127.0.0.1:0/", "http://bad host/", "nonsense://x/", "http://%zz/?verify_token=s3cret"} {
		_, err = k.Handshake(ctx, bad, "s3cret", "c")
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}
