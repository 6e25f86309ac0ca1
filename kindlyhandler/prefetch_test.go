package kindlyhandler

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// scene is a handler in virtual time, between a Kindly whose chats go on all
// the time and a help desk.
type scene struct {
	*testing.T
	handler *Handler

	mu          sync.Mutex
	down        bool
	transcripts []string // the chats that were asked for
	tickets     []gjson.Result
}

// inVirtualTime runs a test. At its end the queue is closed.
func inVirtualTime(t *testing.T, test func(s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t}
		h, err := New(Options{
			Secrets:       []string{"secret"},
			Transcript:    &TranscriptOptions{APIKey: "key", Transport: roundTripper(s.transcript)},
			Upstreams:     []UpstreamOptions{{URL: "https://desk.example.com/tickets", Transport: roundTripper(s.ticket)}},
			RespondWithin: 5 * time.Second,
		})
		require.NoError(t, err)
		s.handler = h
		queue := delivery.NewDispatcher(memory.New(memory.Options{}))
		defer func() { require.NoError(t, queue.Close()) }()
		queue.Push(h.Lanes())
		h.Connect(queue)
		test(s)
	})
}

// answered is an answer to a request.
func answered(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// transcript answers with the chat as it is at the moment.
func (s *scene) transcript(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transcripts = append(s.transcripts, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	return answered(200, `{"chat":{"messages":[{"sender":"USER","message":"`+time.Now().Format(time.TimeOnly)+`"}]}}`)
}

func (s *scene) ticket(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return answered(503, "")
	}
	s.tickets = append(s.tickets, gjson.ParseBytes(body))
	return answered(201, `{"id":1}`)
}

// send sends a webhook of a chat, and returns how long it took to answer.
func (s *scene) send(chat string) time.Duration {
	s.Helper()
	body := []byte(`{"chat_id":"` + chat + `","message":"create ticket"}`)
	r := httptest.NewRequestWithContext(s.Context(), http.MethodPost, "/", bytes.NewReader(body))
	r.Header = signed("secret", body)
	w := httptest.NewRecorder()
	started := time.Now()
	s.handler.ServeHTTP(w, r)
	require.Equal(s, http.StatusOK, w.Code)
	return time.Since(started)
}

func (s *scene) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// An outage of the help desk costs Kindly one request for each webhook, however
// long it is, and the tickets show the chats as they were.
func TestPrefetch_outage(t *testing.T) {
	inVirtualTime(t, func(s *scene) {
		s.setDown(true)
		var chats []string
		send := func() {
			chats = append(chats, "chat-"+string(rune('a'+len(chats))))
			assert.Zero(s, s.send(chats[len(chats)-1]))
			time.Sleep(time.Second)
		}
		received := make(map[string]string)
		for range 6 { // five of which are attempted at once
			received[time.Now().Format(time.TimeOnly)] = ""
			send()
		}
		time.Sleep(10 * time.Minute)
		for range 6 {
			received[time.Now().Format(time.TimeOnly)] = ""
			send()
		}
		time.Sleep(50 * time.Minute)
		s.setDown(false)
		time.Sleep(2 * time.Hour) // retries
		synctest.Wait()

		assert.ElementsMatch(s, chats, s.transcripts, "each once")
		require.Len(s, s.tickets, len(chats))
		shown := make(map[string]string)
		for _, ticket := range s.tickets {
			shown[ticket.Get("messages.0.text").Str] = ""
		}
		assert.Equal(s, received, shown)
	})
}

// With a webhook that carries its messages, there is nothing to fetch.
func TestPrefetch_nothingToFetch(t *testing.T) {
	inVirtualTime(t, func(s *scene) {
		d := &delivery.Delivery{Body: readTestdata(t, "ticket-webhook.json")}
		target := s.handler.targets[0]
		target.Prefetch(s.Context(), d)
		assert.Empty(s, d.Transcript)
		assert.Empty(s, s.transcripts)

		d = &delivery.Delivery{Body: []byte("not an event")}
		target.Prefetch(s.Context(), d)
		assert.Empty(s, d.Transcript)
	})
}
