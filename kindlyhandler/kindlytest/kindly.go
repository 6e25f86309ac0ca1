package kindlytest

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// chatsPath is where the Chat Transcript API has its chats.
const chatsPath = "/api/v1/chats/"

// Kindly is a simulated Kindly. It serves the Chat Transcript API, GET
// /api/v1/chats/{chat_id}, answers 404 to everything else, and sends webhooks
// by Send and Handshake.
type Kindly struct {
	// URL is the base URL of the Transcript API, without a slash at the end:
	// it stands for https://bot.kindly.ai.
	URL string

	// APIKey is the key that every request has to carry, as "Authorization:
	// Bearer <key>" or, as in Kindly's own example, as the bare key. Others
	// are answered 401. By default it is "test-api-key".
	APIKey string

	// Strict answers 404 for chats that SetTranscript did not set. By
	// default they have the built-in transcript: see [TranscriptFor].
	Strict bool

	// Forget keeps only the count of requests, not what they were, so that
	// memory stays bounded under load.
	Forget bool

	// Client sends the webhooks. By default it follows no redirects, uses
	// no proxy and has no timeout. It can be replaced, say by one that
	// trusts the receiver's certificate.
	Client *http.Client

	faults

	server      *server
	ownClient   *http.Client
	requests    journal[Request]
	count       tally
	mu          sync.RWMutex
	transcripts map[string][]byte
}

// NewKindly starts a simulated Kindly on a free loopback port. The caller has
// to close it. It panics if there is no port to listen on.
func NewKindly() *Kindly {
	client := newClient()
	k := &Kindly{
		APIKey:      "test-api-key",
		Client:      client,
		ownClient:   client,
		transcripts: make(map[string][]byte),
	}
	k.server = listen(http.HandlerFunc(k.serve))
	k.URL = k.server.url
	return k
}

// Close ends all transcript requests, also hanging ones, and frees the port.
// Webhooks that are being sent are not affected: end them by their contexts.
// What was recorded can still be read.
func (k *Kindly) Close() {
	k.server.close()
	k.ownClient.CloseIdleConnections()
}

// SetTranscript sets what is served for a chat: json, whether it is JSON or
// not. A nil json takes back what was set before.
func (k *Kindly) SetTranscript(chatID string, json []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if json == nil {
		delete(k.transcripts, chatID)
		return
	}
	k.transcripts[chatID] = bytes.Clone(json)
}

// Requests returns everything that was asked so far, in order of arrival,
// also what was refused or failed on purpose. It is empty if Forget is set.
func (k *Kindly) Requests() []Request {
	return k.requests.list()
}

// Count returns how many requests have arrived. It is cheap.
func (k *Kindly) Count() int {
	return k.count.count()
}

// Wait returns when n requests have arrived, whether or not they were answered
// already. It fails when ctx ends, and with [ErrClosed] after Close.
func (k *Kindly) Wait(ctx context.Context, n int) error {
	return k.count.wait(ctx, k.server.closing, n)
}

func (k *Kindly) serve(w http.ResponseWriter, r *http.Request) {
	chatID, isChat := chatIDOf(r.URL)
	if !k.Forget {
		k.requests.add(newRequest(r, chatID))
	}
	mode := k.next()
	k.count.add() // last, so that whoever waits finds all of it done
	if !mode.unread {
		if _, ok := readBody(w, r, true); !ok {
			return
		}
	}
	k.server.handle(w, r, mode, func() answer {
		if !isChat || r.Method != http.MethodGet {
			return refusal(http.StatusNotFound, "no such page")
		}
		return k.transcript(r.Header["Authorization"], chatID)
	})
}

func (k *Kindly) transcript(authorization []string, chatID string) answer {
	if len(authorization) != 1 || strings.TrimPrefix(authorization[0], "Bearer ") != k.APIKey {
		return refusal(http.StatusUnauthorized, "wrong API key")
	}
	k.mu.RLock()
	body, known := k.transcripts[chatID]
	k.mu.RUnlock()
	if !known {
		if k.Strict {
			return refusal(http.StatusNotFound, "no such chat")
		}
		body = TranscriptFor(chatID)
	}
	return answer{status: http.StatusOK, contentType: jsonType, body: body}
}

// chatIDOf returns the chat id in a transcript's URL, which is one segment of
// the path as it was sent: an id can contain any byte, also an escaped slash.
// "." and ".." are none, escaped or not, as URL parsers resolve them.
func chatIDOf(u *url.URL) (string, bool) {
	// EscapedPath would rewrite a path with characters that should have been
	// escaped, and take its escaped slashes for slashes.
	path := u.RawPath
	if path == "" {
		path = u.EscapedPath()
	}
	segment, ok := strings.CutPrefix(path, chatsPath)
	if !ok || strings.Contains(segment, "/") {
		return "", false
	}
	chatID, err := url.PathUnescape(segment)
	if err != nil || chatID == "" || chatID == "." || chatID == ".." {
		return "", false
	}
	return chatID, true
}
