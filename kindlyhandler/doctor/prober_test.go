package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newRequest(t *testing.T, address, token string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", token)
	return r
}

func TestGet(t *testing.T) {
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.Header().Set("X-Token", r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(strings.Repeat("x", 2<<20)))
	}))
	t.Cleanup(server.Close)
	var p Prober
	defer p.Close()

	var checks sync.WaitGroup
	for range 8 {
		checks.Go(func() {
			answer, err := p.Get(t.Context(), nil, newRequest(t, server.URL, "one"))
			assert.NoError(t, err)
			assert.Equal(t, http.StatusOK, answer.Status)
			assert.Equal(t, "one", answer.Header.Get("X-Token"))
			assert.Equal(t, 1<<20, len(answer.Body))
		})
	}
	checks.Wait()
	assert.Equal(t, int64(1), asked.Load(), "the same request is made once")

	answer, err := p.Get(t.Context(), nil, newRequest(t, server.URL, "two"))
	require.NoError(t, err)
	assert.Equal(t, "two", answer.Header.Get("X-Token"))
	own := &http.Transport{DisableKeepAlives: true}
	_, err = p.Get(t.Context(), own, newRequest(t, server.URL, "two"))
	require.NoError(t, err)
	assert.Equal(t, int64(3), asked.Load(), "another transport may lead elsewhere")

	answer, err = p.Get(t.Context(), nil, newRequest(t, server.URL+"/moved", "one"))
	require.NoError(t, err)
	assert.Equal(t, http.StatusFound, answer.Status)
	assert.Equal(t, int64(4), asked.Load(), "redirects are not followed")
}

func TestGet_faults(t *testing.T) {
	hanging := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		<-hanging
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(hanging) })
	var p Prober
	defer p.Close()
	for _, path := range []string{"/head", "/body"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := p.Get(ctx, nil, newRequest(t, slow.URL+path, "a-secret"))
		cancel()
		require.EqualError(t, err, "timeout")
	}
	_, err := p.Get(t.Context(), nil, newRequest(t, "http://"+unusedAddress(t)+"/a-secret", "a-secret"))
	require.EqualError(t, err, "dial: connection refused")
}

func TestClock(t *testing.T) {
	a := newAuthority(t)
	certificate := a.issue("desk.example", time.Now().Add(-day), 90*day)
	transport := trusting(t, a, "desk.example")
	at := func(p *Prober, date string) {
		t.Helper()
		server := serve(t, certificate, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", date) })
		_, err := p.Get(t.Context(), transport, newRequest(t, server.URL, ""))
		require.NoError(t, err)
	}
	off := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for what, c := range map[string]struct {
		dates   []string
		depends []string
		status  Status
		message string
	}{
		"right":             {[]string{off(0)}, nil, OK, "it agrees with that of a server that was asked"},
		"half a minute":     {[]string{off(-30 * time.Second)}, []string{"sign"}, OK, "it agrees"},
		"slow":              {[]string{off(10 * time.Minute)}, []string{"chat_auth", "sign"}, Problem, " slow, by the Date of the servers that were asked; chat_auth and sign depend on it"},
		"fast":              {[]string{off(-2 * time.Hour)}, []string{"sign"}, Problem, "; sign depends on it"},
		"nothing needs it":  {[]string{off(-2 * time.Hour)}, nil, Warning, " fast, by the Date"},
		"one server is off": {[]string{off(-2 * time.Hour), off(0)}, []string{"sign"}, OK, "it agrees"},
		"no date":           {[]string{"yesterday"}, []string{"sign"}, Unknown, "no server was asked by https"},
		"nobody asked":      {nil, []string{"sign"}, Unknown, "no server was asked by https"},
	} {
		t.Run(what, func(t *testing.T) {
			var p Prober
			for _, date := range c.dates {
				at(&p, date)
			}
			f := p.Clock(c.depends...)
			assert.Equal(t, c.status, f.Status, f)
			assert.Contains(t, f.Message, c.message)
			assert.Equal(t, c.status == Problem || c.status == Warning, f.Fix != "")
		})
	}

	var p Prober
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", off(-day)) }))
	t.Cleanup(server.Close)
	_, err := p.Get(t.Context(), nil, newRequest(t, server.URL, ""))
	require.NoError(t, err)
	p.Close()
	assert.Equal(t, Unknown, p.Clock().Status, "anybody on the way can change what http says")
}
