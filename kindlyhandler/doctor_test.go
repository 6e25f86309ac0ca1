package kindlyhandler_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

const hiddenKey = "the-hidden-key"

func TestCheckSecrets(t *testing.T) {
	for what, c := range map[string]struct {
		secrets []string
		status  doctor.Status
		message string
	}{
		"one":        {[]string{hiddenKey}, doctor.OK, "it is set; whether it is Kindly's, only a webhook tells"},
		"two":        {[]string{hiddenKey, "other"}, doctor.OK, "2 are set"},
		"none":       {nil, doctor.Problem, "there is none"},
		"empty":      {[]string{hiddenKey, ""}, doctor.Problem, "anybody could sign with it"},
		"line break": {[]string{hiddenKey + "\n"}, doctor.Warning, "a space or a line break"},
	} {
		t.Run(what, func(t *testing.T) {
			f := kindlyhandler.CheckSecrets(c.secrets)
			assert.Equal(t, "secret", f.Check)
			assert.Equal(t, c.status, f.Status)
			assert.Contains(t, f.Message, c.message)
			assert.Equal(t, c.status == doctor.OK, f.Fix == "")
			assert.NotContains(t, f.Message+f.Fix, hiddenKey)
		})
	}
}

// What Kindly answers for a chat that there is not is not documented: the key is
// only called good where a wrong one is refused.
func TestCheckTranscripts(t *testing.T) {
	for what, c := range map[string]struct {
		ours, wrong int // what is answered to the key, and to a wrong one
		status      doctor.Status
		message     string
		requests    int64
	}{
		"good, no such chat":  {404, 401, doctor.OK, "Kindly's API takes the key: it refuses a wrong one, and not this one", 2},
		"good, an empty chat": {200, 403, doctor.OK, "takes the key", 2},
		"good, no chat's id":  {400, 401, doctor.OK, "takes the key", 2},
		"wrong key":           {401, 401, doctor.Problem, "Kindly's API answers 401 Unauthorized: it refuses the key", 1},
		"without the scope":   {403, 401, doctor.Problem, "403 Forbidden: it refuses the key", 1},
		"the same for all":    {404, 404, doctor.Unknown, "Kindly's API answers 404 Not Found for a chat that there is not, and the same for a wrong key: whether it takes this one cannot be known without a chat", 2},
		"it takes all":        {200, 200, doctor.Unknown, "cannot be known", 2},
		"odd":                 {404, 500, doctor.Unknown, "and 500 Internal Server Error for a wrong key", 2},
		"moved":               {301, 301, doctor.Problem, "redirects are not followed", 1},
		"down":                {503, 401, doctor.Warning, "that may be over soon", 1},
		"too many":            {429, 401, doctor.Warning, "that may be over soon", 1},
	} {
		t.Run(what, func(t *testing.T) {
			requests := new(atomic.Int64)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				assert.Equal(t, "GET /base/api/v1/chats/000000000000000000000000", r.Method+" "+r.RequestURI)
				w.Header().Set("Location", "/elsewhere")
				if r.Header.Get("Authorization") == "Bearer "+hiddenKey {
					w.WriteHeader(c.ours)
				} else {
					w.WriteHeader(c.wrong)
				}
			}))
			t.Cleanup(server.Close)
			var p doctor.Prober
			t.Cleanup(p.Close)
			var f doctor.Finding
			for range 2 {
				f = kindlyhandler.CheckTranscripts(t.Context(), kindlyhandler.TranscriptOptions{APIKey: hiddenKey, API: server.URL + "/base"}, &p)
			}
			assert.Equal(t, "api_key", f.Check)
			assert.Equal(t, c.status, f.Status, f)
			assert.Contains(t, f.Message, c.message)
			assert.Equal(t, c.status == doctor.OK, f.Fix == "")
			assert.NotContains(t, f.Message+f.Fix, hiddenKey)
			assert.Equal(t, c.requests, requests.Load(), "two webhooks with one key ask once")
		})
	}
}

func TestCheckTranscripts_unreachable(t *testing.T) {
	hanging := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hanging }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hanging) })
	var p doctor.Prober
	t.Cleanup(p.Close)
	check := func(api string) doctor.Finding {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return kindlyhandler.CheckTranscripts(ctx, kindlyhandler.TranscriptOptions{APIKey: hiddenKey, API: api}, &p)
	}
	f := check(server.URL)
	assert.Equal(t, doctor.Problem, f.Status)
	assert.Regexp(t, `^Kindly's API at 127\.0\.0\.1:\d+ cannot be reached: timeout$`, f.Message)
	f = check("http://kindly.example")
	assert.Equal(t, doctor.Problem, f.Status)
	assert.Contains(t, f.Message, "http would send the API key in the clear; write https")

	k := kindlytest.NewKindly()
	t.Cleanup(k.Close)
	k.Strict, k.APIKey = true, hiddenKey
	f = kindlyhandler.CheckTranscripts(t.Context(), kindlyhandler.TranscriptOptions{APIKey: hiddenKey, API: k.URL}, &p)
	assert.Equal(t, doctor.OK, f.Status)
}

// The check has the operator's header fields, but those that are about a chat.
func TestCheckUpstream(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	var p doctor.Prober
	t.Cleanup(p.Close)
	o := kindlyhandler.UpstreamOptions{
		Preset:        "jira",
		URL:           server.URL,
		PresetOptions: map[string]any{"project": "SUP"},
		Header:        http.Header{"Authorization": {"Bearer {env.TOKEN}"}, "X-Chat": {"{kindly.chat.id}"}, "X-Fixed": {"yes"}},
	}
	lookup := func(string) (string, bool) { return hiddenKey, true }
	findings := kindlyhandler.CheckUpstream(t.Context(), o, lookup, &p)
	require.Len(t, findings, 1)
	assert.Equal(t, "upstream jira", findings[0].Check)
	assert.Equal(t, doctor.OK, findings[0].Status, findings[0])
	assert.Equal(t, "Bearer "+hiddenKey, got.Get("Authorization"))
	assert.Equal(t, "yes", got.Get("X-Fixed"))
	assert.Empty(t, got.Values("X-Chat"))

	for what, c := range map[string]struct {
		options kindlyhandler.UpstreamOptions
		want    string
	}{
		"no URL":         {kindlyhandler.UpstreamOptions{}, `upstream "default": url is empty`},
		"no credentials": {kindlyhandler.UpstreamOptions{Name: "desk", Preset: "jira", URL: server.URL, PresetOptions: map[string]any{"project": "SUP"}}, `upstream "desk": credentials are missing`},
		"bad oauth2":     {kindlyhandler.UpstreamOptions{URL: server.URL, OAuth2: &upstream.OAuth2{}}, "oauth2: token_url is missing"},
	} {
		t.Run(what, func(t *testing.T) {
			findings := kindlyhandler.CheckUpstream(t.Context(), c.options, lookup, &p)
			require.Len(t, findings, 1)
			assert.Equal(t, doctor.Problem, findings[0].Status)
			assert.Contains(t, findings[0].Message, c.want)
		})
	}
}
