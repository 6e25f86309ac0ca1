package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func send(t *testing.T, method, url, body string, header ...string) (int, string) {
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestKindly(t *testing.T) {
	k, err := newKindly()
	require.NoError(t, err)
	defer k.close()

	const id = "5a3a38dfd923ba4238c70ca0"
	url := k.url + "/api/v1/chats/" + id
	status, body := send(t, "GET", url, "", "Authorization", "Bearer "+apiKey)
	require.Equal(t, http.StatusOK, status)
	var answer struct {
		Chat struct {
			ID       string `json:"id"`
			Messages []any  `json:"messages"`
		} `json:"chat"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, id, answer.Chat.ID)
	require.Len(t, answer.Chat.Messages, 4)
	require.EqualValues(t, 1, k.served.Load())

	status, _ = send(t, "GET", url, "", "Authorization", "Bearer other")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = send(t, "POST", url, "{}", "Authorization", "Bearer "+apiKey)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = send(t, "GET", k.url+"/other", "", "Authorization", "Bearer "+apiKey)
	require.Equal(t, http.StatusNotFound, status)
	require.EqualValues(t, 1, k.served.Load(), "only what was served counts")
}

func TestHelpDesk(t *testing.T) {
	desk, err := newHelpDesk(false)
	require.NoError(t, err)
	defer desk.close()

	status, body := send(t, "POST", desk.url+"/tickets", "{}")
	require.Equal(t, http.StatusCreated, status)
	require.JSONEq(t, `{"id":1,"url":"https://desk.example.com/tickets/1"}`, body)
	_, body = send(t, "POST", desk.url+"/tickets", "{}")
	require.JSONEq(t, `{"id":2,"url":"https://desk.example.com/tickets/2"}`, body)
	status, _ = send(t, "GET", desk.url+"/tickets", "")
	require.Equal(t, http.StatusNotFound, status)
	require.EqualValues(t, 2, desk.tickets.Load())
}

func TestHelpDeskKeys(t *testing.T) {
	desk, err := newHelpDesk(true)
	require.NoError(t, err)
	defer desk.close()

	send(t, "POST", desk.url, "{}", "Idempotency-Key", "a")
	send(t, "POST", desk.url, "{}", "Idempotency-Key", "b")
	require.NoError(t, desk.keys.check())
	send(t, "POST", desk.url, "{}", "Idempotency-Key", "b")
	send(t, "POST", desk.url, "{}")
	require.EqualError(t, desk.keys.check(), "of the tickets, 1 have no Idempotency-Key and 1 repeat one")
}

func TestHelpDeskIsDown(t *testing.T) {
	desk, err := newHelpDesk(false)
	require.NoError(t, err)
	url := desk.url
	send(t, "POST", url, "{}", "Connection", "close")
	desk.close()
	_, err = net.Dial("tcp", desk.addr)
	require.ErrorContains(t, err, "refused")

	require.NoError(t, desk.open())
	defer desk.close()
	require.Equal(t, url, desk.url)
	send(t, "POST", url, "{}", "Connection", "close")
	require.EqualValues(t, 2, desk.tickets.Load())
}
