package kindlyhandler_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// signer returns a key that signs nothing but tests.
func signer(t *testing.T, name string) crypto.Signer {
	t.Helper()
	content, err := os.ReadFile("testdata/chat_auth/" + name + "-private.pem")
	require.NoError(t, err)
	block, _ := pem.Decode(content)
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(crypto.Signer)
}

// authenticates turns on the check of tokens.
func authenticates(t *testing.T, required bool) func(*kindlyhandler.Options) {
	return func(o *kindlyhandler.Options) {
		o.ChatAuth = &kindlyhandler.ChatAuthOptions{
			Keys:     []kindlyhandler.ChatKey{{Key: signer(t, "rs256").Public()}, {Key: signer(t, "es256").Public()}},
			Required: required,
		}
	}
}

// userToken returns a token of a chat that is valid for a time.
func userToken(t *testing.T, chat string, lives time.Duration) string {
	t.Helper()
	token, err := kindlytest.SignToken(signer(t, "rs256"), "", map[string]any{
		"sub":   private + "-user",
		"name":  private + " name",
		"email": private + "@example.com",
		"exp":   time.Now().Add(lives).Unix(),
		"chat":  map[string]any{"id": chat},
	})
	require.NoError(t, err)
	return token
}

// sendAs posts a signed webhook with a token; an empty one is none.
func (r *rig) sendAs(token string, body []byte) kindlytest.Response {
	r.t.Helper()
	if token == "" {
		return r.send(body)
	}
	response, err := r.kindly.SendAs(r.context(), r.url, secret, token, body)
	require.NoError(r.t, err)
	return response
}

// checkNoToken checks that nobody gets a token, nor the signature of one.
func (r *rig) checkNoToken(token string) {
	r.t.Helper()
	signature := token[strings.LastIndex(token, ".")+1:]
	for _, request := range append(r.desk.Requests(), r.kindly.Requests()...) {
		for name, values := range request.Header {
			assert.NotContains(r.t, strings.Join(values, " "), signature, name)
		}
		assert.NotContains(r.t, request.URI, signature)
	}
	for _, ticket := range r.desk.Tickets() {
		assert.NotContains(r.t, string(ticket.Body), signature)
	}
}

const (
	chatID     = "chat-1"
	verified   = `{"id":"pr1vate-user","name":"pr1vate name","email":"pr1vate@example.com","phone":null,"verified":true}`
	unverified = `{"id":"b0f7c2de-6d6b-4d0a-9f43-1c6a4a1f2b3c","name":null,"email":"me@example.com","phone":null,"verified":false}`
)

func TestChatAuth(t *testing.T) {
	expired := func(t *testing.T) string { return userToken(t, chatID, -2*time.Minute) }
	good := func(t *testing.T) string { return userToken(t, chatID, time.Minute) }
	none := func(*testing.T) string { return "" }
	for name, test := range map[string]struct {
		token    func(*testing.T) string
		required bool
		status   int
		counted  string
		logged   string
	}{
		"good":              {good, false, 200, "ok", ""},
		"good and required": {good, true, 200, "ok", ""},
		"none":              {none, false, 200, "missing", ""},
		"none, but required": {
			none, true, 401, "missing", "there is no user token",
		},
		"expired":           {expired, false, 200, "bad expired", "the user token has expired"},
		"expired, required": {expired, true, 401, "bad expired", "the user token has expired"},
		"another chat": {
			func(t *testing.T) string { return userToken(t, private, time.Minute) },
			false, 200, "bad chat", "the user token is for another chat",
		},
		"no token": {func(*testing.T) string { return private }, false, 200, "bad malformed", "the user token is no signed JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: authenticates(t, test.required)})
			token := test.token(t)
			response := r.sendAs(token, kindlytest.DialogueWebhookFor(chatID))
			require.Equal(t, test.status, response.Status)
			assert.Equal(t, map[string]int{test.counted: 1}, r.counts.tokens)

			unheard, refused := r.logged("user token not accepted: the ticket goes out unverified"), r.logged("webhook refused")
			switch {
			case test.status == http.StatusUnauthorized:
				assert.Equal(t, "webhook refused\n", string(response.Body), "as for a wrong signature")
				assert.Zero(t, r.desk.Attempts())
				require.Len(t, refused, 1)
				assert.Equal(t, "chat_auth", refused[0].ContextMap()["reason"])
				assert.Equal(t, test.logged, refused[0].ContextMap()["error"])
				assert.Empty(t, unheard)
				r.counts.checkWebhooks(t, map[string]int{"refused_chat_auth": 1})
				return
			case test.logged != "":
				require.Len(t, unheard, 1)
				assert.Equal(t, test.logged, unheard[0].ContextMap()["error"])
			default:
				assert.Empty(t, unheard)
			}
			assert.Empty(t, refused)
			want := unverified
			if test.counted == "ok" {
				want = verified
			}
			assert.JSONEq(t, want, r.tickets(1)[0].Get("customer").Raw)
			if token != "" {
				r.checkNoToken(token)
			}
		})
	}
}

// What was proven when the webhook came in holds for every upstream, and for
// the attempts that know it from the store only.
func TestChatAuth_laterAttempts(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		authenticates(t, true)(o)
		second := o.Upstreams[0]
		second.Name = "second"
		o.Upstreams = append(o.Upstreams, second)
		o.NewContext = map[string]string{"name": "{kindly.customer.name}", "id": "{kindly.customer.id}"}
	}})
	r.desk.FailNext(4, kindlytest.Status(http.StatusServiceUnavailable))
	token := userToken(t, chatID, time.Minute)
	r.sendAs(token, kindlytest.DialogueWebhookFor(chatID))
	for _, ticket := range r.tickets(2) {
		assert.JSONEq(t, verified, ticket.Get("customer").Raw)
	}
	assert.Equal(t, map[string]int{"ok": 1}, r.counts.tokens)
	r.checkNoToken(token)
	require.Eventually(t, func() bool {
		again := r.sendAs(userToken(t, chatID, time.Minute), kindlytest.DialogueWebhookFor(chatID))
		return gjson.GetBytes(again.Body, "new_context.name").Str == private+" name" && gjson.GetBytes(again.Body, "new_context.id").Str == private+"-user"
	}, 10*time.Second, 10*time.Millisecond)
}

// One webhook is one ticket, whatever tokens it comes with: what the first one
// proved counts.
func TestChatAuth_duplicates(t *testing.T) {
	bad, good := userToken(t, "chat-2", time.Minute), userToken(t, chatID, time.Minute)
	for name, test := range map[string]struct{ first, second, want string }{
		"bad, then good":  {bad, good, unverified},
		"none, then good": {"", good, unverified},
		"good, then bad":  {good, bad, verified},
		"good, then none": {good, "", verified},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: authenticates(t, false)})
			first := r.sendAs(test.first, kindlytest.DialogueWebhookFor(chatID))
			second := r.sendAs(test.second, kindlytest.DialogueWebhookFor(chatID))
			assert.Equal(t, string(first.Body), string(second.Body))
			assert.JSONEq(t, test.want, r.tickets(1)[0].Get("customer").Raw)
			assert.Equal(t, 1, r.desk.Attempts())
		})
	}
	t.Run("while it is pending", func(t *testing.T) {
		r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
			authenticates(t, false)(o)
			o.ReplyPending = kindlyhandler.Texts{"": "{kindly.customer.email}"}
		}})
		r.desk.Fail(kindlytest.Status(http.StatusTooManyRequests, "Retry-After", "60"))
		for _, first := range []struct{ token, chat, email string }{
			{good, chatID, private + "@example.com"},
			{bad, "chat-3", "me@example.com"},
		} {
			for _, token := range []string{first.token, userToken(t, first.chat, time.Minute), bad, ""} {
				r.told(r.sendAs(token, kindlytest.DialogueWebhookFor(first.chat)), first.email)
			}
		}
	})
	t.Run("refused, then good", func(t *testing.T) {
		r := newRig(t, setup{options: authenticates(t, true)})
		for _, token := range []string{bad, ""} {
			require.Equal(t, http.StatusUnauthorized, r.sendAs(token, kindlytest.DialogueWebhookFor(chatID)).Status)
		}
		r.told(r.sendAs(good, kindlytest.DialogueWebhookFor(chatID)), "ticket 1")
		assert.JSONEq(t, verified, r.tickets(1)[0].Get("customer").Raw)
		require.Equal(t, http.StatusUnauthorized, r.sendAs(bad, kindlytest.DialogueWebhookFor(chatID)).Status)
	})
}

// Kindly forwards no token with ticket webhooks.
func TestChatAuth_ticketWebhooks(t *testing.T) {
	r := newRig(t, setup{options: authenticates(t, true)})
	for i, token := range []string{"", private, userToken(t, "chat-2", time.Minute)} {
		response := r.sendAs(token, kindlytest.TicketWebhookFor("ticket.created", "chat-"+string(rune('1'+i))))
		require.Equal(t, http.StatusOK, response.Status)
	}
	for _, ticket := range r.tickets(3) {
		assert.False(t, ticket.Get("customer.verified").Bool())
	}
	assert.Empty(t, r.counts.tokens)
}

// What makes no ticket needs no token.
func TestChatAuth_leftOut(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
		authenticates(t, true)(o)
		o.Events = []string{"ticket.*"}
	}})
	response := r.send(kindlytest.DialogueWebhook())
	assert.Equal(t, http.StatusOK, response.Status)
	assert.Equal(t, "{}", string(response.Body))
	assert.Empty(t, r.counts.tokens)
}

// Without a signature nobody gets as far as the token.
func TestChatAuth_behindTheSignature(t *testing.T) {
	r := newRig(t, setup{options: authenticates(t, true)})
	response := r.do(func(req *http.Request) {
		kindlytest.ForwardToken(req, userToken(t, "5a3a38dfd923ba4238c70ca0", time.Minute))
		req.Header.Set(kindlyhandler.SignatureHeader, kindlyhandler.Sign("a guess", []byte("{}")))
	})
	assert.Equal(t, http.StatusUnauthorized, response.Status)
	assert.Empty(t, r.counts.tokens)
}

// Several bad tokens are several lines in the log, but not for long.
func TestChatAuth_fewLines(t *testing.T) {
	r := newRig(t, setup{options: authenticates(t, false)})
	started := time.Now()
	for range 40 {
		r.sendAs(private, kindlytest.DialogueWebhookFor(chatID))
	}
	seconds := int(time.Since(started)/time.Second) + 2
	assert.LessOrEqual(t, len(r.logged("user token not accepted: the ticket goes out unverified")), 10*seconds)
	assert.Equal(t, map[string]int{"bad malformed": 40}, r.counts.tokens)
}

func TestMiddleware_chatAuth(t *testing.T) {
	n := new(next)
	r := newRig(t, setup{next: n, options: authenticates(t, true)})
	for _, webhook := range [][]byte{kindlytest.DialogueWebhookFor(chatID), kindlytest.TicketWebhook()} {
		r.sendAs(userToken(t, chatID, time.Minute), webhook)
		require.NotNil(t, n.request)
		assert.NotContains(t, n.request.Header, "Authorization")
	}
	r.sendAs(userToken(t, chatID, time.Minute), kindlytest.DialogueWebhookFor(chatID))
	assert.JSONEq(t, verified, gjson.Get(n.body, "customer").Raw)
	n.request = nil
	assert.Equal(t, http.StatusUnauthorized, r.send(kindlytest.DialogueWebhookFor(chatID)).Status)
	assert.Nil(t, n.request)
}

// An error page is a next handler, too: it gets no token of a refused webhook.
func TestChatAuth_takesTheToken(t *testing.T) {
	r := newRig(t, setup{options: authenticates(t, true)})
	for _, body := range []string{"{}", "", `{"chat_id":"chat-2"}`} {
		request, err := kindlytest.NewWebhookRequest(r.url, secret, []byte(body))
		require.NoError(t, err)
		kindlytest.ForwardToken(request, userToken(t, chatID, time.Minute))
		request.Body = io.NopCloser(strings.NewReader(body))
		_, err = r.handler.Serve(httptest.NewRecorder(), request)
		require.Error(t, err)
		assert.NotContains(t, request.Header, "Authorization")
	}
}
