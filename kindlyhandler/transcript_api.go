package kindlyhandler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/span"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

// Defaults of [TranscriptOptions].
const (
	DefaultTranscriptAPI     = "https://bot.kindly.ai"
	DefaultTranscriptTimeout = 10 * time.Second
	DefaultTranscriptSize    = 16 << 20
)

// TranscriptOptions say how to reach Kindly's Chat Transcript API.
type TranscriptOptions struct {
	// APIKey is a bot's API key with the scope "Read chats". It is sent as a
	// Bearer token, unless it names another scheme itself.
	APIKey string
	// API is the base URL: https, or http on a loopback address. Default
	// https://bot.kindly.ai.
	API string
	// Timeout of one request, to the end of its answer; default 10 s.
	Timeout time.Duration
	// MaxSize of a transcript; default 16 MiB.
	MaxSize int64
	// Transport makes the requests. By default it is one of its own, with
	// the environment's proxy.
	Transport http.RoundTripper
}

// transcriptsInMemory bounds what answers of the API can make this process
// hold.
var transcriptsInMemory = outbound.NewBudget(maxTranscripts)

const maxTranscripts = 128 << 20

var (
	errNoMessages = errors.New("the answer has no messages")
	errChatID     = errors.New("no URL can carry the chat's id")
	errKeyUnsafe  = errors.New("http would send the API key in the clear; write https, or the address of a loopback interface")
)

// transcriptAPI fetches transcripts. The API key goes to the configured host
// only: the URL never comes from a webhook, and redirects are not followed.
type transcriptAPI struct {
	base          *url.URL
	authorization []string
	userAgent     []string
	timeout       time.Duration
	maxSize       int64
	transport     http.RoundTripper
	own           *http.Transport
}

func newTranscriptAPI(o TranscriptOptions, userAgent string) (*transcriptAPI, error) {
	if o.APIKey == "" {
		return nil, errors.New("api_key is missing: write the API key with the scope \"Read chats\" (Kindly: Connect › API Keys), or `transcript off`")
	}
	if o.API == "" {
		o.API = DefaultTranscriptAPI
	}
	base, err := upstream.ParseURL(o.API)
	if err != nil {
		return nil, fmt.Errorf("transcript api %w", err)
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("transcript api is a base URL: leave out user, query and fragment")
	}
	if base.Scheme == "http" && !outbound.IsLoopback(base.Hostname()) {
		return nil, fmt.Errorf("transcript api: %w", errKeyUnsafe)
	}
	a := &transcriptAPI{
		base:          base,
		authorization: []string{bearer(o.APIKey)},
		timeout:       o.Timeout,
		maxSize:       o.MaxSize,
		transport:     o.Transport,
		userAgent:     []string{userAgent},
	}
	if !httpguts.ValidHeaderFieldValue(a.authorization[0]) {
		return nil, errors.New("api_key has characters that no header can carry, such as a newline")
	}
	if a.timeout < 0 {
		return nil, errors.New("transcript: timeout is negative: write a duration such as 10s")
	}
	if a.maxSize < 0 {
		return nil, errors.New("transcript: max_size is negative: write a size such as 16MiB")
	}
	if a.maxSize >= outbound.Largest(maxTranscripts) {
		return nil, errors.New("transcript: max_size is too large: write less than 48MiB, since 128MiB are for all of them at once")
	}
	if a.timeout == 0 {
		a.timeout = DefaultTranscriptTimeout
	}
	if a.maxSize == 0 {
		a.maxSize = DefaultTranscriptSize
	}
	if a.transport == nil {
		a.own = outbound.NewTransport(64)
		a.transport = a.own
	}
	return a, nil
}

// bearer returns the Authorization header for a key.
func bearer(key string) string {
	if strings.Contains(key, " ") {
		return key
	}
	return "Bearer " + key
}

func (a *transcriptAPI) close() {
	if a != nil && a.own != nil {
		a.own.CloseIdleConnections()
	}
}

// transcriptError is why there is no transcript, in words for the ticket and
// the log.
type transcriptError struct {
	err       error
	status    int
	transient bool
}

func (e *transcriptError) Error() string { return e.err.Error() }

// end ends the span of a transcript, which there is if e is nil.
func (e *transcriptError) end(s trace.Span) {
	if e == nil {
		span.End(s, 0, nil)
		return
	}
	span.End(s, e.status, e.err)
}

// fetch asks for the transcript of a chat, into memory that the lease pays for.
func (a *transcriptAPI) fetch(ctx context.Context, chatID string, memory *outbound.Lease) ([]byte, *transcriptError) {
	address := a.chatURL(chatID)
	if address == nil {
		return nil, &transcriptError{err: errChatID}
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	r := (&http.Request{
		Method: http.MethodGet,
		URL:    address,
		Host:   address.Host,
		Header: http.Header{
			"Authorization": a.authorization,
			"Accept":        jsonType,
			"User-Agent":    a.userAgent,
		},
	}).WithContext(ctx)
	resp, err := outbound.RoundTrip(a.transport, r)
	if err != nil {
		return nil, &transcriptError{err: fmt.Errorf("transcript API: %w", outbound.Describe(err)), transient: true}
	}
	defer resp.Body.Close()
	if status := resp.StatusCode; status < 200 || status > 299 {
		return nil, &transcriptError{
			err:       errors.New("the transcript API answered " + outbound.Status(status)),
			status:    status,
			transient: status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500,
		}
	}
	body, err := outbound.Read(resp.Body, resp.ContentLength, a.maxSize, memory)
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, outbound.ErrTooLarge):
		err = fmt.Errorf("transcript API: the transcript is larger than %d bytes", a.maxSize)
		return nil, &transcriptError{err: err, status: resp.StatusCode}
	case !errors.Is(err, outbound.ErrNoMemory):
		err = outbound.Describe(err)
	}
	return nil, &transcriptError{err: fmt.Errorf("transcript API: %w", err), status: resp.StatusCode, transient: true}
}

// chatURL is the address of a chat's transcript, nil if no URL can carry the
// chat's id.
func (a *transcriptAPI) chatURL(chatID string) *url.URL {
	escaped := pathSegment(chatID)
	if escaped == "" {
		return nil
	}
	u := *a.base
	const chats = "/api/v1/chats/"
	u.Path = strings.TrimSuffix(a.base.Path, "/") + chats + chatID
	u.RawPath = strings.TrimSuffix(a.base.EscapedPath(), "/") + chats + escaped
	return &u
}
