package page

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	authority = "127.0.0.1:8019"
	id        = "0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e01"
)

// rig is a page in front of an admin API that only takes notes.
type rig struct {
	*testing.T
	*Page
	asked []string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t}
	r.Page = New(authority, func(method, path string) (int, []byte) {
		r.asked = append(r.asked, method+" "+path)
		return http.StatusOK, []byte(`{"of":"people"}`)
	})
	return r
}

// request returns one that nothing is wrong with, but for the cookie.
func request(method, target string) *http.Request {
	request := httptest.NewRequest(method, "http://"+authority+target, nil)
	if method != http.MethodGet {
		request.Header.Set("Origin", "http://"+authority)
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return request
}

func (r *rig) serve(request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, request)
	return recorder
}

// open uses the token, and returns the cookie.
func (r *rig) open() *http.Cookie {
	r.Helper()
	answer := r.serve(request(http.MethodGet, r.fromURL()))
	require.Equal(r, http.StatusOK, answer.Code)
	cookies := answer.Result().Cookies()
	require.Len(r, cookies, 1)
	return cookies[0]
}

// fromURL is the path and the query that the command prints.
func (r *rig) fromURL() string {
	r.Helper()
	u, err := url.Parse(r.URL())
	require.NoError(r, err)
	require.Equal(r, authority, u.Host)
	return u.RequestURI()
}

// refuses requires that nothing is told, and nothing asked.
func (r *rig) refuses(request *http.Request) {
	r.Helper()
	before := len(r.asked)
	answer := r.serve(request)
	assert.Equal(r, http.StatusForbidden, answer.Code)
	assert.Equal(r, refusal+"\n", answer.Body.String())
	assert.Empty(r, answer.Result().Cookies())
	assert.Len(r, r.asked, before)
}

func TestPageOpensOnce(t *testing.T) {
	r := newRig(t)
	cookie := r.open()
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.Equal(t, r.path, cookie.Path, "servers on other ports do not see it")
	r.refuses(request(http.MethodGet, r.fromURL()))

	again := request(http.MethodGet, r.fromURL())
	again.AddCookie(cookie)
	answer := r.serve(again)
	require.Equal(t, http.StatusOK, answer.Code, "it is the same browser")
	require.Equal(t, document, answer.Body.Bytes())
	require.Empty(t, answer.Result().Cookies())

	other := newRig(t)
	require.NotEqual(t, r.path, other.path)
	other.refuses(request(http.MethodGet, other.path+"?token="+r.token))
	other.refuses(request(http.MethodGet, r.fromURL()))
}

func TestPageOpensOnceForMany(t *testing.T) {
	r := newRig(t)
	answers := make(chan int, 16)
	var together sync.WaitGroup
	target := r.fromURL()
	for range cap(answers) {
		together.Go(func() { answers <- r.serve(request(http.MethodGet, target)).Code })
	}
	together.Wait()
	close(answers)
	opened := 0
	for code := range answers {
		if code == http.StatusOK {
			opened++
		}
	}
	require.Equal(t, 1, opened)
}

// Nobody but the page's own browser, and in it nobody but the page, gets
// anything.
func TestPageRefuses(t *testing.T) {
	r := newRig(t)
	cookie := r.open()
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	retry := "api/deliveries/" + id + "/retry"
	with := func(name, value string) func(*http.Request) {
		return func(request *http.Request) { request.Header.Set(name, value) }
	}
	host := func(host string) func(*http.Request) {
		return func(request *http.Request) { request.Host = host }
	}
	for name, test := range map[string]struct {
		method, path string
		is           func(*http.Request) // what is wrong
	}{
		"no cookie":                    {get, "", with("Cookie", "")},
		"no cookie, of the API":        {get, "api/deliveries", with("Cookie", "")},
		"no cookie, to change":         {post, retry, with("Cookie", "")},
		"another cookie":               {get, "api/status", with("Cookie", cookieName+"="+strings.Repeat("A", 26))},
		"the token as a cookie":        {get, "api/status", with("Cookie", cookieName+"="+r.token)},
		"a cookie of another name":     {get, "api/status", with("Cookie", "x="+cookie.Value)},
		"the token and no cookie":      {get, "api/status?token=" + r.token, with("Cookie", "")},
		"a rebound name":               {get, "", host("evil.example:8019")},
		"a rebound name, of the API":   {get, "api/status", host("evil.example:8019")},
		"localhost":                    {get, "", host("localhost:8019")},
		"another port":                 {get, "", host("127.0.0.1:80")},
		"no port":                      {get, "", host("127.0.0.1")},
		"no host":                      {get, "", host("")},
		"another site's script":        {get, "api/deliveries", with("Origin", "https://evil.example")},
		"another site's form":          {post, retry, with("Origin", "https://evil.example")},
		"a sandboxed site's form":      {post, retry, with("Origin", "null")},
		"another port's script":        {post, retry, with("Origin", "http://127.0.0.1:8020")},
		"the same origin with TLS":     {post, retry, with("Origin", "https://"+authority)},
		"a form without an origin":     {post, retry, func(r *http.Request) { r.Header.Del("Origin") }},
		"a drop without an origin":     {del, "api/deliveries/" + id, func(r *http.Request) { r.Header.Del("Origin") }},
		"two origins":                  {post, retry, func(r *http.Request) { r.Header.Add("Origin", "https://evil.example") }},
		"a link to the API":            {get, "api/deliveries", with("Sec-Fetch-Site", "cross-site")},
		"a link from another port":     {get, "api/deliveries", with("Sec-Fetch-Site", "same-site")},
		"the API in the address bar":   {get, "api/deliveries", with("Sec-Fetch-Site", "none")},
		"another site's post":          {post, retry, with("Sec-Fetch-Site", "cross-site")},
		"another site's post, to open": {post, "", with("Origin", "https://evil.example")},
	} {
		t.Run(name, func(t *testing.T) {
			request := request(test.method, r.path+test.path)
			request.AddCookie(cookie)
			test.is(request)
			(&rig{T: t, Page: r.Page}).refuses(request)
		})
	}
	for _, path := range []string{"/", "/api/status", "/favicon.ico", r.path[:len(r.path)-1], "/" + strings.Repeat("A", 26) + "/"} {
		request := request(get, path)
		request.AddCookie(cookie)
		r.refuses(request)
	}
	require.Empty(t, r.asked)

	beside := request(get, r.path+"api/status")
	beside.AddCookie(&http.Cookie{Name: cookieName, Value: "of-another-port"})
	beside.AddCookie(cookie)
	require.Equal(t, http.StatusOK, r.serve(beside).Code, "what others set does no harm")
}

// The page can ask for what it needs, and nothing else.
func TestPagePassesOn(t *testing.T) {
	r := newRig(t)
	cookie := r.open()
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	for _, test := range []struct {
		method, path string
		status       int
		asked        string // "": nothing
	}{
		{get, "status", 200, "GET status"},
		{get, "status?x=y", 200, "GET status"},
		{get, "deliveries", 200, "GET deliveries"},
		{get, "deliveries?state=dead&chat_id=a%26b%23", 200, "GET deliveries?chat_id=a%26b%23&state=dead"},
		{get, "deliveries/" + id, 200, "GET deliveries/" + id},
		{del, "deliveries/" + id, 200, "DELETE deliveries/" + id},
		{post, "deliveries/" + id + "/retry", 200, "POST deliveries/" + id + "/retry"},
		{post, "upstreams/support/default/pause", 200, "POST upstreams/support/default/pause"},
		{post, "upstreams/support/default/resume", 200, "POST upstreams/support/default/resume"},

		{get, "deliveries/" + id + "/retry", 405, ""},
		{get, "upstreams/support/default/pause", 405, ""},
		{del, "deliveries", 405, ""},
		{http.MethodPut, "deliveries/" + id, 405, ""},
		{post, "deliveries/retry", 405, ""},
		{post, "chats/erase", 404, ""},
		{get, "config/", 404, ""},
		{post, "load", 404, ""},
		{post, "stop", 404, ""},
		{get, "deliveries/4711", 404, ""},
		{get, "deliveries/..%2F..%2Fconfig", 404, ""},
		{get, "deliveries/" + id + "%3Fx", 404, ""},
		{post, "upstreams/support/..%2F..%2F..%2Fstop/pause", 404, ""},
		{post, "upstreams/%2e%2e/default/pause", 404, ""},
		{get, "", 404, ""},
	} {
		r.asked = nil
		request := request(test.method, r.path+"api/"+test.path)
		request.AddCookie(cookie)
		answer := r.serve(request)
		if test.asked == "" {
			assert.Empty(t, r.asked, test.path)
			assert.NotContains(t, answer.Body.String(), "people")
			if answer.Code == http.StatusTemporaryRedirect { // to the path without dots
				continue
			}
		} else {
			assert.Equal(t, []string{test.asked}, r.asked)
			assert.JSONEq(t, `{"of":"people"}`, answer.Body.String())
			assert.Equal(t, "application/json", answer.Header().Get("Content-Type"))
		}
		assert.Equal(t, test.status, answer.Code, test.path)
	}
}

func TestPageProtectsEveryAnswer(t *testing.T) {
	r := newRig(t)
	wrong := request(http.MethodGet, "/")
	right := request(http.MethodGet, r.fromURL())
	api := request(http.MethodGet, r.path+"api/status")
	missing := request(http.MethodGet, r.path+"api/nothing")
	cookie := r.open()
	for _, request := range []*http.Request{wrong, right, api, missing} {
		request.AddCookie(cookie)
		h := r.serve(request).Header()
		assert.Equal(t, policy, h.Get("Content-Security-Policy"))
		assert.Equal(t, "no-store", h.Get("Cache-Control"))
		assert.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		assert.Equal(t, "DENY", h.Get("X-Frame-Options"))
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"))
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
		assert.Empty(t, h.Get("Access-Control-Allow-Origin"))
	}
}

// Nothing runs that is not ours, and the page asks nobody else for anything.
func TestPageDocument(t *testing.T) {
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		assert.Contains(t, policy, part)
	}
	assert.NotContains(t, policy, "unsafe")
	assert.NotContains(t, policy, "http")
	html := string(document)
	inline := regexp.MustCompile(`(?s)<(script|style)>(.*?)</(?:script|style)>`).FindAllStringSubmatch(html, -1)
	require.Len(t, inline, len(scripts)+1)
	for _, element := range inline {
		assert.Contains(t, policy, hash(element[2]))
	}
	assert.Equal(t, len(inline), strings.Count(policy, "'sha256-"))
	assert.Equal(t, len(scripts), strings.Count(html, "<script"))
	for _, way := range []string{
		"src=", "@import", "url(", "style=", "onclick=", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "<!--",
	} {
		assert.NotContains(t, html, way)
	}
}
