package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

func TestWebhooks(t *testing.T) {
	chats := make(map[string]bool)
	for connection := range uint32(3) {
		webhooks := newWebhooks("127.0.0.1:1234", secret, connection)
		for range 100 {
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(webhooks.next())))
			require.NoError(t, err)
			require.Equal(t, http.MethodPost, request.Method)
			require.Equal(t, path, request.URL.Path)
			require.Equal(t, "127.0.0.1:1234", request.Host)
			require.EqualValues(t, 1024, request.ContentLength)

			body, err := io.ReadAll(request.Body)
			require.NoError(t, err)
			require.Equal(t, kindlyhandler.Algorithm, request.Header.Get(kindlyhandler.AlgorithmHeader))
			require.Equal(t, kindlyhandler.Sign(secret, body), request.Header.Get(kindlyhandler.SignatureHeader))

			var webhook struct {
				ChatID string `json:"chat_id"`
				Links  struct {
					Chat string `json:"chat"`
				} `json:"_links"`
			}
			require.NoError(t, json.Unmarshal(body, &webhook))
			require.Len(t, webhook.ChatID, 24)
			require.Equal(t, "https://bot.kindly.ai/api/v1/chats/"+webhook.ChatID, webhook.Links.Chat)
			require.False(t, chats[webhook.ChatID], "every webhook is of another chat")
			chats[webhook.ChatID] = true
		}
	}
}

func TestWebhookAgain(t *testing.T) {
	webhooks := newWebhooks("127.0.0.1:1234", secret, 7)
	webhooks.next()
	second := bytes.Clone(webhooks.next())
	third := bytes.Clone(webhooks.next())
	require.NotEqual(t, second, third)

	others := newWebhooks("127.0.0.1:1234", secret, 0)
	require.Equal(t, string(second), string(others.of(webhooks.chat-2)))
	require.Equal(t, string(third), string(others.of(webhooks.chat-1)))
	id := idOf(webhooks.chat - 1)
	require.Contains(t, string(third), `"chat_id":"`+string(id[:])+`"`)
}

func TestWebhooksAllocateNothing(t *testing.T) {
	webhooks := newWebhooks("127.0.0.1:1234", secret, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { webhooks.next() }))
}

func BenchmarkWebhooks(b *testing.B) {
	webhooks := newWebhooks("127.0.0.1:1234", secret, 1)
	b.ReportAllocs()
	for b.Loop() {
		webhooks.next()
	}
}
