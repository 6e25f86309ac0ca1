package kindlyhandler

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// A stranger's id is one segment of the path, whatever is in it.
func TestTranscriptAPI_chatURL(t *testing.T) {
	tests := map[string]struct{ base, chatID, want string }{
		"plain":          {"https://bot.kindly.ai", "5a3a38dfd923ba4238c70ca0", "https://bot.kindly.ai/api/v1/chats/5a3a38dfd923ba4238c70ca0"},
		"base with path": {"https://proxy.example/kindly/", "1", "https://proxy.example/kindly/api/v1/chats/1"},
		"escaped base":   {"https://proxy.example/a%2Fb", "1", "https://proxy.example/a%2Fb/api/v1/chats/1"},
		"slash":          {"https://bot.kindly.ai", "../../v2/users", "https://bot.kindly.ai/api/v1/chats/..%2F..%2Fv2%2Fusers"},
		"query":          {"https://bot.kindly.ai", "1?x=y#z", "https://bot.kindly.ai/api/v1/chats/1%3Fx=y%23z"},
		"escape":         {"https://bot.kindly.ai", "%2f%2e", "https://bot.kindly.ai/api/v1/chats/%252f%252e"},
		"host":           {"https://bot.kindly.ai", "//evil.example/", "https://bot.kindly.ai/api/v1/chats/%2F%2Fevil.example%2F"},
		"user":           {"https://bot.kindly.ai", "@evil.example", "https://bot.kindly.ai/api/v1/chats/@evil.example"},
		"controls":       {"https://bot.kindly.ai", "a\r\nHost: evil.example\x00", "https://bot.kindly.ai/api/v1/chats/a%0D%0AHost:%20evil.example%00"},
		"unicode":        {"https://bot.kindly.ai", "ø 😀", "https://bot.kindly.ai/api/v1/chats/%C3%B8%20%F0%9F%98%80"},
		"backslash":      {"https://bot.kindly.ai", `..\..`, "https://bot.kindly.ai/api/v1/chats/..%5C.."},
		"three dots":     {"https://bot.kindly.ai", "...", "https://bot.kindly.ai/api/v1/chats/..."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			api, err := newTranscriptAPI(TranscriptOptions{APIKey: "key", API: test.base}, "test")
			require.NoError(t, err)
			defer api.close()
			u := api.chatURL(test.chatID)
			require.NotNil(t, u)
			assert.Equal(t, test.want, u.String())
		})
	}
	api, err := newTranscriptAPI(TranscriptOptions{APIKey: "key"}, "test")
	require.NoError(t, err)
	defer api.close()
	for _, id := range []string{"", ".", "..", strings.Repeat("a", maxSegment+1), strings.Repeat("\n", maxSegment/3+1)} {
		assert.Nil(t, api.chatURL(id), "%.10q", id)
	}
}

func TestBearer(t *testing.T) {
	for key, want := range map[string]string{
		"key":         "Bearer key",
		"Bearer key":  "Bearer key",
		"Basic a:b":   "Basic a:b",
		"Token a b c": "Token a b c",
	} {
		assert.Equal(t, want, bearer(key))
	}
}

// roundTripper is a transport that answers by itself.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hostileReader panics, as only a program's own mistake would.
type hostileReader struct{}

func (hostileReader) Read([]byte) (int, error) { panic("read") }
func (hostileReader) Close() error             { return nil }

func TestTranscriptAPI_budgetSurvivesPanics(t *testing.T) {
	api, err := newTranscriptAPI(TranscriptOptions{APIKey: "key", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: hostileReader{}, ContentLength: 1 << 20}, nil
	})}, "test")
	require.NoError(t, err)
	budget := outbound.NewBudget(1 << 20)
	assert.Panics(t, func() {
		memory := budget.Lease()
		defer memory.Release()
		_, _ = api.fetch(t.Context(), "1", memory)
	})
	assert.Zero(t, budget.Taken())
}

// Statuses without a name are described, too.
func TestTranscriptAPI_statuses(t *testing.T) {
	for status, want := range map[int]struct {
		text      string
		transient bool
	}{
		301: {"the transcript API answered 301 Moved Permanently", false},
		401: {"the transcript API answered 401 Unauthorized", false},
		403: {"the transcript API answered 403 Forbidden", false},
		404: {"the transcript API answered 404 Not Found", false},
		408: {"the transcript API answered 408 Request Timeout", true},
		429: {"the transcript API answered 429 Too Many Requests", true},
		500: {"the transcript API answered 500 Internal Server Error", true},
		503: {"the transcript API answered 503 Service Unavailable", true},
		599: {"the transcript API answered 599", true},
		499: {"the transcript API answered 499", false},
	} {
		api, err := newTranscriptAPI(TranscriptOptions{APIKey: "key", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		})}, "test")
		require.NoError(t, err)
		_, failure := api.fetch(t.Context(), "1", transcriptsInMemory.Lease())
		require.NotNil(t, failure)
		assert.Equal(t, want.text, failure.err.Error())
		assert.Equal(t, want.transient, failure.transient, status)
		assert.Equal(t, status, failure.status)
	}
}
