package kindlytest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"pgregory.net/rapid"
)

const bearer = "Bearer test-api-key"

func TestKindlyServesTranscripts(t *testing.T) {
	k := newTestKindly(t)
	k.SetTranscript("known", []byte(`{"chat":{"id":"mine"}}`))
	k.SetTranscript("a/b", []byte(`{"chat":{"id":"slash"}}`))

	for _, test := range []struct {
		name, method, path, authorization string
		status                            int
		id                                string // chat.id in the answer
	}{
		{"built in", "GET", "/api/v1/chats/c1", bearer, 200, "c1"},
		{"bare key", "GET", "/api/v1/chats/c1", "test-api-key", 200, "c1"},
		{"set", "GET", "/api/v1/chats/known", bearer, 200, "mine"},
		{"escaped slash", "GET", "/api/v1/chats/a%2Fb", bearer, 200, "slash"},
		{"escaped slash, unescaped quote", "GET", "/api/v1/chats/a%2F%22\"", bearer, 200, `a/""`},
		{"escaped percent", "GET", "/api/v1/chats/a%252Fb", bearer, 200, "a%2Fb"},
		{"escaped NUL and question mark", "GET", "/api/v1/chats/%00%3F", bearer, 200, "\x00?"},
		{"escaped dots and a slash", "GET", "/api/v1/chats/..%2F..", bearer, 200, "../.."},
		{"plus is no space", "GET", "/api/v1/chats/a+b", bearer, 200, "a+b"},
		{"query", "GET", "/api/v1/chats/c1?x=y", bearer, 200, "c1"},
		{"no key", "GET", "/api/v1/chats/c1", "", 401, ""},
		{"wrong key", "GET", "/api/v1/chats/c1", "Bearer other", 401, ""},
		{"other scheme", "GET", "/api/v1/chats/c1", "Basic test-api-key", 401, ""},
		{"no id", "GET", "/api/v1/chats/", bearer, 404, ""},
		{"dot", "GET", "/api/v1/chats/.", bearer, 404, ""},
		{"dots", "GET", "/api/v1/chats/..", bearer, 404, ""},
		{"escaped dots", "GET", "/api/v1/chats/%2e%2E", bearer, 404, ""},
		{"deeper", "GET", "/api/v1/chats/c1/messages", bearer, 404, ""},
		{"not cleaned", "GET", "//api/v1/chats/c1", bearer, 404, ""},
		{"other path", "GET", "/", bearer, 404, ""},
		{"other method", "POST", "/api/v1/chats/c1", bearer, 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			target, err := url.Parse(k.URL)
			require.NoError(t, err)
			target.Opaque = "//" + target.Host + test.path // goes out as it is
			req := &http.Request{Method: test.method, URL: target, Header: make(http.Header)}
			if test.authorization != "" {
				req.Header.Set("Authorization", test.authorization)
			}
			res, err := k.Do(req.WithContext(testContext(t)))
			require.NoError(t, err)
			assert.Equal(t, test.status, res.Status)
			assert.True(t, gjson.ValidBytes(res.Body))
			assert.Equal(t, test.id, gjson.GetBytes(res.Body, "chat.id").String())
			assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
			if test.status == 200 && test.id != "mine" && test.id != "slash" {
				assert.Len(t, gjson.GetBytes(res.Body, "chat.messages").Array(), 4)
			}
		})
	}
}

func TestKindlyRefusesTwoKeys(t *testing.T) {
	k := newTestKindly(t)
	res, err := do(testContext(t), newTestClient(t), http.MethodGet, k.URL+"/api/v1/chats/c1", "",
		"Authorization", bearer, "Authorization", bearer)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, res.status)
}

func TestKindlyAnyChatID(t *testing.T) {
	k := newTestKindly(t)
	ctx := testContext(t)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).
			Filter(func(id string) bool { return id != "" && id != "." && id != ".." }).Draw(t, "id")
		body := []byte(quote(id) + " as set")
		k.SetTranscript(id, body)
		defer k.SetTranscript(id, nil)
		res, err := do(ctx, k.Client, http.MethodGet, k.URL+"/api/v1/chats/"+url.PathEscape(id), "", "Authorization", bearer)
		require.NoError(t, err)
		assert.Equal(t, string(body), res.body)
		requests := k.Requests()
		assert.Equal(t, id, requests[len(requests)-1].ChatID)
	})
}

func TestKindlyStrict(t *testing.T) {
	k := newTestKindly(t)
	k.Strict, k.APIKey = true, "Token token=x"
	transcript := []byte(`not JSON`)
	k.SetTranscript("c1", transcript)
	transcript[0] = 'X' // the caller's slice is not kept
	ctx, client := testContext(t), newTestClient(t)
	get := func(id string) reply {
		res, err := do(ctx, client, http.MethodGet, k.URL+"/api/v1/chats/"+id, "", "Authorization", "Token token=x")
		require.NoError(t, err)
		return res
	}
	assert.Equal(t, "not JSON", get("c1").body)
	assert.Equal(t, http.StatusNotFound, get("c2").status)
	k.SetTranscript("c1", nil)
	assert.Equal(t, http.StatusNotFound, get("c1").status)
}

func TestKindlyRecordsRequests(t *testing.T) {
	k := newTestKindly(t)
	client := newTestClient(t)
	ctx := testContext(t)
	before := time.Now()
	k.FailNext(1, Status(503))
	for _, path := range []string{"/api/v1/chats/a%2Fb?x=%20", "/api/v1/chats/c2", "/elsewhere"} {
		_, err := do(ctx, client, http.MethodGet, k.URL+path, "", "X-Test", path)
		require.NoError(t, err)
	}
	assert.Equal(t, 3, k.Count())
	requests := k.Requests()
	require.Len(t, requests, 3)
	assert.Equal(t, "a/b", requests[0].ChatID)
	assert.Equal(t, "/api/v1/chats/a%2Fb?x=%20", requests[0].URI)
	assert.Equal(t, "GET", requests[0].Method)
	assert.Equal(t, requests[0].URI, requests[0].Header.Get("X-Test"))
	assert.False(t, requests[0].Received.Before(before))
	assert.Equal(t, "c2", requests[1].ChatID)
	assert.Empty(t, requests[2].ChatID)
	assert.Equal(t, "/elsewhere", requests[2].URI)
}

func TestKindlyForget(t *testing.T) {
	k := newTestKindly(t)
	k.Forget = true
	_, err := do(testContext(t), newTestClient(t), http.MethodGet, k.URL, "")
	require.NoError(t, err)
	assert.Equal(t, 1, k.Count())
	assert.Empty(t, k.Requests())
}

func TestKindlyWait(t *testing.T) {
	k := newTestKindly(t)
	ctx, client := testContext(t), newTestClient(t)
	k.Fail(Hang())
	go func() { _, _ = do(ctx, client, http.MethodGet, k.URL, "") }()
	require.NoError(t, k.Wait(ctx, 1))
	assert.Len(t, k.Requests(), 1)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.NoError(t, k.Wait(ended, 1), "the count wins over the context")
	require.ErrorIs(t, k.Wait(ended, 2), context.Canceled)

	var wg sync.WaitGroup
	wg.Go(func() { assert.ErrorIs(t, k.Wait(ctx, 2), ErrClosed) })
	k.Close()
	wg.Wait()
	require.NoError(t, k.Wait(ctx, 1))
	k.Close() // twice is allowed
}

func TestKindlyConcurrently(t *testing.T) {
	k := newTestKindly(t)
	ctx := testContext(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				res, err := do(ctx, k.Client, http.MethodGet, k.URL+"/api/v1/chats/c", "", "Authorization", bearer)
				if assert.NoError(t, err) {
					assert.Contains(t, []int{200, 503}, res.status)
				}
			}
		})
	}
	for range 50 {
		k.FailNext(1, Status(503))
		k.SetTranscript("c", []byte(`{}`))
		k.Fail(Status(503))
		k.Requests()
		k.Recover()
	}
	wg.Wait()
	assert.Equal(t, 160, k.Count())
	assert.Len(t, k.Requests(), 160)
}

func TestCloseDuringRequests(t *testing.T) {
	// Connections are opened while the server closes: none may survive it.
	for range 20 {
		k := NewKindly()
		client := newTestClient(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					_, err := do(t.Context(), client, http.MethodGet, k.URL, "")
					if err != nil {
						return
					}
				}
			})
		}
		if err := k.Wait(testContext(t), 4); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		k.Close()
		wg.Wait()
	}
}
