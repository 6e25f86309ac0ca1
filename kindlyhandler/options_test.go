package kindlyhandler

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// An error says what to write, and not what was written: that may be a secret.
func TestNew_refuses(t *testing.T) {
	const hidden = "s3cr3t"
	tests := map[string]struct {
		change func(o *Options)
		want   string
	}{
		"name":                 {func(o *Options) { o.Name = "a b" }, `name "a b" is not valid`},
		"long name":            {func(o *Options) { o.Name = strings.Repeat("a", 64) }, "is not valid"},
		"no secret":            {func(o *Options) { o.Secrets = nil }, "secret is missing: write the one"},
		"empty secret":         {func(o *Options) { o.Secrets = []string{hidden, ""} }, "secret is empty"},
		"negative max_body":    {func(o *Options) { o.MaxBody = -1 }, "max_body is negative: write"},
		"max_body too large":   {func(o *Options) { o.MaxBody = 24 << 20 }, "max_body is too large: write"},
		"respond_within":       {func(o *Options) { o.RespondWithin = -1 }, "respond_within is negative: write"},
		"retry":                {func(o *Options) { o.Retry.MaxElapsed = -1 }, "retry: max_elapsed must be longer than 0: write"},
		"events":               {func(o *Options) { o.Events = []string{"dialogue", "ticket.["} }, `events: "ticket.[" is not a pattern: write`},
		"no api_key":           {func(o *Options) { o.Transcript.APIKey = "" }, "api_key is missing: write"},
		"api_key":              {func(o *Options) { o.Transcript.APIKey = hidden + "\n" }, "api_key has characters that no header can carry"},
		"api":                  {func(o *Options) { o.Transcript.API = "bot.kindly.ai" }, "transcript api has no scheme; write"},
		"api with a query":     {func(o *Options) { o.Transcript.API = "https://bot.kindly.ai?key=" + hidden }, "transcript api is a base URL: leave out"},
		"api with a user":      {func(o *Options) { o.Transcript.API = "https://" + hidden + "@bot.kindly.ai" }, "transcript api is a base URL: leave out"},
		"api without TLS":      {func(o *Options) { o.Transcript.API = "http://bot.kindly.ai" }, "in the clear; write https"},
		"api almost loopback":  {func(o *Options) { o.Transcript.API = "http://127.0.0.1.example.com" }, "in the clear; write https"},
		"transcript timeout":   {func(o *Options) { o.Transcript.Timeout = -1 }, "transcript: timeout is negative: write"},
		"negative max_size":    {func(o *Options) { o.Transcript.MaxSize = -1 }, "transcript: max_size is negative: write"},
		"max_size too large":   {func(o *Options) { o.Transcript.MaxSize = 48 << 20 }, "max_size is too large: write"},
		"upstream name":        {func(o *Options) { o.Upstreams[0].Name = "-" }, `upstream: name "-" is not valid`},
		"upstream name twice":  {func(o *Options) { o.Upstreams = append(o.Upstreams, o.Upstreams[0]) }, `upstream "default": another upstream of this webhook has the same name; write`},
		"no URL":               {func(o *Options) { o.Upstreams[0].URL = "" }, `upstream "default": url is empty; write`},
		"URL without a scheme": {func(o *Options) { o.Upstreams[0].URL = hidden + ".example.com" }, `upstream "default": url has no scheme; write`},
		"URL without a host":   {func(o *Options) { o.Upstreams[0].URL = "https:///" + hidden }, `upstream "default": url has no host; write`},
		"URL that is none":     {func(o *Options) { o.Upstreams[0].URL = "https://" + hidden + ".example.com/\x7f" }, `upstream "default": url is not a URL`},
		"URL with a bad port":  {func(o *Options) { o.Upstreams[0].URL = "https://example.com:port/" + hidden }, `upstream "default": url is not a URL`},
		"URL with a huge port": {func(o *Options) { o.Upstreams[0].URL = "https://example.com:99999/" + hidden }, `upstream "default": url has no valid port; write`},
		"URL with port 0":      {func(o *Options) { o.Upstreams[0].URL = "https://example.com:0/" + hidden }, `upstream "default": url has no valid port; write`},
		"method":               {func(o *Options) { o.Upstreams[0].Method = "P OST" }, `upstream "default": method: line 1, column 3: unexpected token "OST"; write a jq expression such as`},
		"method in small":      {func(o *Options) { o.Upstreams[0].Method = "post" }, `method "post" is not one: write POST, PUT or PATCH, or a jq expression`},
		"method of readers":    {func(o *Options) { o.Upstreams[0].Method = "GET" }, `method "GET" is not one: write`},
		"concurrency":          {func(o *Options) { o.Upstreams[0].Concurrency = -1 }, `upstream "default": concurrency is negative: write`},
		"timeout":              {func(o *Options) { o.Upstreams[0].Timeout = -1 }, `upstream "default": timeout is negative: write`},
		"rate of nothing":      {func(o *Options) { o.Upstreams[0].Rate.Per = time.Second }, `upstream "default": rate must be of at least one request`},
		"rate in no time":      {func(o *Options) { o.Upstreams[0].Rate.Attempts = 1 }, `upstream "default": rate must be of at least one request`},
		"reserved header":      {func(o *Options) { o.Upstreams[0].Header = http.Header{"idempotency-key": {hidden}} }, `header "idempotency-key" is set for every request: leave it out`},
		"header name":          {func(o *Options) { o.Upstreams[0].Header = http.Header{"a b": {hidden}} }, `header "a b" is no name of a field: write`},
		"header placeholder":   {func(o *Options) { o.Upstreams[0].Header = http.Header{"X": {hidden + "{http.x}"}} }, "header X: placeholder {http.x}"},
		"header without value": {func(o *Options) { o.Upstreams[0].Header = http.Header{"X": {hidden + "{env.UNSET}"}} }, "header X: placeholder {env.UNSET} has no value"},
		"reply":                {func(o *Options) { o.Reply = Texts{"nb": "{kindly.x}"} }, "reply: unknown placeholder {kindly.x}"},
		"reply_pending":        {func(o *Options) { o.ReplyPending = Texts{"": "{http.x}"} }, "reply_pending: placeholder {http.x}"},
		"reply_failed":         {func(o *Options) { o.ReplyFailed = Texts{"norsk": ""} }, `reply_failed: "norsk" is not a language tag`},
		"two texts":            {func(o *Options) { o.Reply = Texts{"nb": "a", "NB": "b"} }, "reply: there are two texts for the language nb"},
		"new_context":          {func(o *Options) { o.NewContext = map[string]string{"k": "{kindly.x}"} }, "new_context k: unknown placeholder"},
		"exchange_slug":        {func(o *Options) { o.ExchangeSlug = "{kindly.x}" }, "exchange_slug: unknown placeholder"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := Options{
				Secrets:    []string{hidden},
				Transcript: &TranscriptOptions{APIKey: hidden},
				Upstreams:  []UpstreamOptions{{URL: "https://desk.example.com/" + hidden}},
				Lookup:     environment,
			}
			test.change(&o)
			_, err := New(o)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), hidden)
		})
	}
}

func TestNew_defaults(t *testing.T) {
	h, err := New(Options{
		Secrets:    []string{"a"},
		Transcript: &TranscriptOptions{APIKey: "key"},
		Upstreams:  []UpstreamOptions{{URL: "https://desk.example.com"}},
	})
	require.NoError(t, err)
	defer h.Close()
	assert.Equal(t, int64(4<<20), h.maxBody)
	assert.Equal(t, "https://bot.kindly.ai", h.transcripts.base.String())
	assert.Equal(t, 10*time.Second, h.transcripts.timeout)
	assert.Equal(t, int64(16<<20), h.transcripts.maxSize)
	lane := delivery.Lane{Webhook: "default", Upstream: "default"}
	require.Contains(t, h.Lanes(), lane)
	assert.Equal(t, 16, h.Lanes()[lane].Concurrency)
	assert.Equal(t, delivery.DefaultRetryPolicy, h.Lanes()[lane].Retry)
}

func TestNew_someOfRetry(t *testing.T) {
	h, err := New(Options{
		Secrets:   []string{"a"},
		Upstreams: []UpstreamOptions{{URL: "https://desk.example.com"}},
		Retry:     delivery.RetryPolicy{MaxElapsed: time.Hour},
	})
	require.NoError(t, err)
	defer h.Close()
	want := delivery.DefaultRetryPolicy
	want.MaxElapsed = time.Hour
	assert.Equal(t, want, h.Lanes()[delivery.Lane{Webhook: "default", Upstream: "default"}].Retry)
}

func TestNew_loopbackNeedsNoTLS(t *testing.T) {
	for _, api := range []string{"http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost", "http://127.8.9.1/base/"} {
		h, err := New(Options{Secrets: []string{"a"}, Transcript: &TranscriptOptions{APIKey: "key", API: api}})
		require.NoError(t, err, api)
		h.Close()
	}
}

func TestUserAgent(t *testing.T) {
	assert.Regexp(t, `^caddy-kindly(/v[0-9].*)?$`, userAgent())
}
