package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

// secret never stands in an error.
const secret = "s3cr3t"

var exampleID = uuid.MustParse("0198f3c2-0000-7000-8000-000000000000")

func newUpstream(t *testing.T, o upstream.Options) *upstream.Upstream {
	t.Helper()
	up, err := upstream.New(o)
	require.NoError(t, err)
	t.Cleanup(up.Close)
	return up
}

// send delivers an example, and checks that no error tells a secret.
func send(t *testing.T, up *upstream.Upstream, header http.Header) delivery.Outcome {
	t.Helper()
	o := up.Send(t.Context(), exampleID, upstream.Request{Body: []byte(`{"version":1}`)}, header)
	assert.Equal(t, delivery.StageUpstream, o.Stage)
	if o.Err != nil {
		assert.NotContains(t, o.Err.Error(), secret)
		assert.NotContains(t, o.Err.Error(), "127.0.0.1")
	}
	return o
}

// tokenEndpoint serves a simulated token endpoint and a help desk that takes its
// tokens, until the end of the test.
func tokenEndpoint(t *testing.T) (*kindlytest.TokenEndpoint, *kindlytest.HelpDesk) {
	t.Helper()
	e, desk := kindlytest.NewTokenEndpoint(), kindlytest.NewHelpDesk()
	t.Cleanup(e.Close)
	t.Cleanup(desk.Close)
	e.ClientSecret, desk.Tokens = secret+":%", e
	return e, desk
}

func withOAuth2(e *kindlytest.TokenEndpoint, desk *kindlytest.HelpDesk) upstream.Options {
	return upstream.Options{URL: desk.URL, UserAgent: "test/1", OAuth2: &upstream.OAuth2{TokenURL: e.URL, ClientID: e.ClientID, ClientSecret: e.ClientSecret, Scopes: []string{"a", "b"}}}
}

func TestOAuth2_request(t *testing.T) {
	e, desk := tokenEndpoint(t)
	e.Lifetime = time.Hour
	up := newUpstream(t, withOAuth2(e, desk))
	header := http.Header{"X-Own": {"1"}}
	for range 3 {
		require.NoError(t, send(t, up, header).Err)
	}
	require.NotContains(t, header, "Authorization", "another attempt has another token")
	requests := e.Requests()
	require.Len(t, requests, 1)
	assert.Equal(t, "POST", requests[0].Method)
	assert.Equal(t, map[string][]string{
		"grant_type": {"client_credentials"}, "scope": {"a b"}, "client_id": {"kindlytest"}, "client_secret": {secret + ":%"},
	}, map[string][]string(requests[0].Form))
	assert.Equal(t, []string{"application/json"}, requests[0].Header["Accept"])
	assert.Equal(t, []string{"test/1"}, requests[0].Header["User-Agent"])
	assert.NotContains(t, requests[0].Header, "Authorization")
	assert.NotContains(t, requests[0].Header, "Idempotency-Key")
	ticket := desk.Tickets()[0]
	assert.Equal(t, []string{"Bearer kindlytest-token-1"}, ticket.Header["Authorization"])
	assert.Equal(t, []string{"1"}, ticket.Header["X-Own"])
	assert.Equal(t, []string{"test/1"}, ticket.Header["User-Agent"])
}

// An endpoint that wants Basic authentication is found out once.
func TestOAuth2_basic(t *testing.T) {
	e, desk := tokenEndpoint(t)
	e.BasicOnly = true
	up := newUpstream(t, withOAuth2(e, desk))
	require.NoError(t, send(t, up, nil).Err)
	assert.Len(t, e.Requests(), 2)
	e.Revoke()
	require.NoError(t, send(t, up, nil).Err)
	requests := e.Requests()
	require.Len(t, requests, 3)
	assert.True(t, strings.HasPrefix(requests[2].Header.Get("Authorization"), "Basic "))
	assert.NotContains(t, requests[2].Form, "client_secret")
}

func TestOAuth2_refusedToken(t *testing.T) {
	e, desk := tokenEndpoint(t)
	up := newUpstream(t, withOAuth2(e, desk))
	require.NoError(t, send(t, up, nil).Err)

	e.Revoke()
	require.NoError(t, send(t, up, nil).Err, "another token within the attempt")
	assert.Equal(t, 2, e.Issued())
	assert.Equal(t, 3, desk.Attempts())

	desk.FailNext(2, kindlytest.Status(http.StatusUnauthorized))
	o := send(t, up, nil)
	assert.Equal(t, delivery.Misconfigured, o.Verdict)
	assert.Equal(t, http.StatusUnauthorized, o.Status)
	require.EqualError(t, o.Err, "the upstream answered 401 Unauthorized")
	assert.Equal(t, 3, e.Issued())
	assert.Equal(t, 5, desk.Attempts(), "no third request")

	desk.FailNext(1, kindlytest.Status(http.StatusForbidden))
	assert.Equal(t, delivery.Refused, send(t, up, nil).Verdict)
	assert.Equal(t, 3, e.Issued(), "only a 401 is about the token")

	// Another token cannot be had: the ticket was refused, so it is not there.
	desk.FailNext(1, kindlytest.Status(http.StatusUnauthorized))
	e.FailNext(1, kindlytest.Status(http.StatusBadGateway))
	o = send(t, up, nil)
	assert.Equal(t, delivery.Transient, o.Verdict)
	assert.False(t, o.Unknown)
	require.EqualError(t, o.Err, "the token endpoint answered 502 Bad Gateway")
}

// A 401 that the operator calls a success, or that means too many requests, is
// none of a token.
func TestOAuth2_otherwise401(t *testing.T) {
	e, desk := tokenEndpoint(t)
	desk.Fail(kindlytest.Status(http.StatusUnauthorized))
	o := withOAuth2(e, desk)
	o.Mapping.Success = "401"
	require.NoError(t, send(t, newUpstream(t, o), nil).Err)
	assert.Equal(t, 1, e.Issued())
	assert.Equal(t, 1, desk.Attempts())
}

// What a token endpoint answers, and what that means for the attempt. The ticket
// was never sent.
func TestOAuth2_failures(t *testing.T) {
	const json = "application/json"
	for name, c := range map[string]struct {
		mode kindlytest.Mode
		want delivery.Outcome
		err  string
		asks int
	}{
		"down":               {kindlytest.Status(503), delivery.Outcome{Status: 503, Down: true}, "the token endpoint answered 503 Service Unavailable", 1},
		"down for a while":   {kindlytest.Status(503, "Retry-After", "120"), delivery.Outcome{Status: 503, Down: true, RetryAfter: 2 * time.Minute, HoldLane: true}, "the token endpoint answered 503 Service Unavailable", 1},
		"unknown status":     {kindlytest.Status(599), delivery.Outcome{Status: 599, Down: true}, "the token endpoint answered 599", 1},
		"timeout":            {kindlytest.Status(408), delivery.Outcome{Status: 408}, "the token endpoint answered 408 Request Timeout", 1},
		"too many":           {kindlytest.Status(429, "Retry-After", "7"), delivery.Outcome{Status: 429, RetryAfter: 7 * time.Second, HoldLane: true}, "the token endpoint answered 429 Too Many Requests", 1},
		"too many, for good": {kindlytest.Status(429, "Retry-After", "9999999999"), delivery.Outcome{Status: 429, RetryAfter: 24 * time.Hour, HoldLane: true}, "the token endpoint answered 429 Too Many Requests", 1},
		"wrong secret":       {kindlytest.Body(401, json, `{"error":"invalid_client","error_description":"`+secret+`"}`), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 401}, "the token endpoint answered 401 Unauthorized, invalid_client: check client id and client secret", 2},
		"wrong client":       {kindlytest.Body(400, json, `{"error":"invalid_client"}`), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 400}, "the token endpoint answered 400 Bad Request, invalid_client: check client id and client secret", 2},
		"wrong scope":        {kindlytest.Body(400, json, `{"error":"invalid_scope"}`), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 400}, "the token endpoint answered 400 Bad Request, invalid_scope: check the scopes", 1},
		"not allowed":        {kindlytest.Body(400, json, `{"error":"unauthorized_client"}`), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 400}, "the token endpoint answered 400 Bad Request, unauthorized_client: allow client credentials for the application", 1},
		"code of its own":    {kindlytest.Body(403, json, `{"error":"`+secret+`"}`), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 403}, "the token endpoint answered 403 Forbidden", 1},
		"no JSON":            {kindlytest.Body(404, "text/html", "<h1>"+secret+"</h1>"), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 404}, "the token endpoint answered 404 Not Found", 1},
		"no form":            {kindlytest.Body(400, "text/plain", "%"+secret), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 400}, "the token endpoint answered 400 Bad Request", 1},
		"error with a 200":   {kindlytest.Body(200, json, `{"error":"invalid_grant"}`), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 200}, "the token endpoint answered 200 OK, invalid_grant: allow client credentials for the application", 1},
		"redirect":           {kindlytest.Status(307, "Location", "/"+secret), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 307}, "the token endpoint answered 307 Temporary Redirect: redirects are not followed, use the URL that gives the tokens", 1},
		"redirect nowhere":   {kindlytest.Status(302), delivery.Outcome{Verdict: delivery.Misconfigured, Status: 302}, "the token endpoint answered 302 Found: redirects are not followed, use the URL that gives the tokens", 1},
		"login page":         {kindlytest.Body(200, "text/html", "<html>"+secret), delivery.Outcome{Verdict: delivery.Misconfigured}, "the token endpoint's answer has no access token: check the token URL", 1},
		"no token":           {kindlytest.Body(200, json, `{"token":"`+secret+`"}`), delivery.Outcome{Verdict: delivery.Misconfigured}, "the token endpoint's answer has no access token: check the token URL", 1},
		"no type of token":   {kindlytest.Body(200, json, `{"access_token":7}`), delivery.Outcome{Verdict: delivery.Misconfigured}, "the token endpoint's answer has no access token: check the token URL", 1},
		"token with a line":  {kindlytest.Body(200, json, `{"access_token":"`+secret+`\n"}`), delivery.Outcome{Verdict: delivery.Misconfigured}, "the token endpoint's answer has a token that no header can carry", 1},
		"too large":          {kindlytest.Huge(1<<20 + 1), delivery.Outcome{Verdict: delivery.Misconfigured}, "the token endpoint's answer has no access token: check the token URL", 1},
		"cut off":            {kindlytest.Truncate(9), delivery.Outcome{Down: true}, "the token endpoint: connection closed before the answer was complete", 1},
		"reset":              {kindlytest.Reset().AfterAccept(), delivery.Outcome{Down: true}, "the token endpoint: read: connection reset by peer", 1},
		"hanging":            {kindlytest.Hang(), delivery.Outcome{Down: true}, "the token endpoint: timeout", 1},
	} {
		t.Run(name, func(t *testing.T) {
			e, desk := tokenEndpoint(t)
			e.Fail(c.mode)
			options := withOAuth2(e, desk)
			options.Timeout = 300 * time.Millisecond
			if name != "hanging" {
				options.Timeout = time.Minute
			}
			up := newUpstream(t, options)
			o := send(t, up, nil)
			require.EqualError(t, o.Err, c.err)
			assert.Len(t, e.Requests(), c.asks)
			assert.Zero(t, desk.Attempts())
			c.want.Stage, c.want.Err = delivery.StageUpstream, o.Err
			assert.Equal(t, c.want, o)

			e.Recover()
			require.NoError(t, send(t, up, nil).Err)
		})
	}
}

func TestOAuth2_unreachable(t *testing.T) {
	e, desk := tokenEndpoint(t)
	up := newUpstream(t, withOAuth2(e, desk))
	e.Close()
	o := send(t, up, nil)
	require.EqualError(t, o.Err, "the token endpoint: dial: connection refused")
	assert.Equal(t, delivery.Outcome{Verdict: delivery.Transient, Stage: delivery.StageUpstream, Down: true, Err: o.Err}, o)
}

// What is not JSON, and other spellings, as there are.
func TestOAuth2_answers(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		want              string
		fetches           int // for two tickets
	}{
		"form":            {"application/x-www-form-urlencoded", "access_token=a&expires_in=3600", "Bearer a", 1},
		"lower case":      {"application/json", `{"access_token":"a","token_type":"bearer","expires_in":"3600"}`, "Bearer a", 1},
		"other type":      {"application/json", `{"access_token":"a","token_type":"BearerToken"}`, "Bearer a", 1},
		"for ever":        {"application/json", `{"access_token":"a","expires_in":99999999999}`, "Bearer a", 1},
		"expired already": {"application/json", `{"access_token":"a","expires_in":-1}`, "Bearer a", 2},
		"no lifetime":     {"application/json", `{"access_token":"a","expires_in":0}`, "Bearer a", 1},
	} {
		t.Run(name, func(t *testing.T) {
			e, desk := tokenEndpoint(t)
			e.Fail(kindlytest.Body(200, c.contentType, c.body))
			desk.Tokens = nil
			up := newUpstream(t, withOAuth2(e, desk))
			require.NoError(t, send(t, up, nil).Err)
			require.NoError(t, send(t, up, nil).Err)
			assert.Equal(t, c.want, desk.Requests()[0].Header.Get("Authorization"))
			assert.Len(t, e.Requests(), c.fetches)
		})
	}
}

// However many attempts have no token, or an old one, there is one request.
func TestOAuth2_shared(t *testing.T) {
	const attempts = 32
	e, desk := tokenEndpoint(t)
	e.FailNext(1, kindlytest.Delay(50*time.Millisecond))
	up := newUpstream(t, withOAuth2(e, desk))
	all := func() {
		var running sync.WaitGroup
		for range attempts {
			running.Go(func() { assert.NoError(t, send(t, up, nil).Err) })
		}
		running.Wait()
	}
	all()
	assert.Len(t, e.Requests(), 1)
	e.Revoke()
	e.FailNext(1, kindlytest.Delay(50*time.Millisecond))
	all()
	assert.Len(t, e.Requests(), 2)
}

// roundTrip is a transport as a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// simulated returns an upstream whose desk takes everything, and whose endpoint
// is a function.
func simulated(t *testing.T, endpoint roundTrip) *upstream.Upstream {
	t.Helper()
	return newUpstream(t, upstream.Options{
		URL: "https://desk.example", Timeout: 10 * time.Second,
		OAuth2: &upstream.OAuth2{TokenURL: "https://login.example/token", ClientID: "id", ClientSecret: secret},
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "login.example" {
				return endpoint(r)
			}
			return &http.Response{StatusCode: 201, Header: http.Header{}, Body: http.NoBody}, nil
		}),
	})
}

func answerToken(body string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// A token is replaced half a minute before it expires, or a tenth of its life.
func TestOAuth2_expiry(t *testing.T) {
	for lifetime, margin := range map[string]time.Duration{"3600": 30 * time.Second, "300": 30 * time.Second, "60": 6 * time.Second, "5": 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			fetches := 0
			up := simulated(t, func(*http.Request) (*http.Response, error) {
				fetches++
				return answerToken(`{"access_token":"a","expires_in":` + lifetime + `}`), nil
			})
			life, err := time.ParseDuration(lifetime + "s")
			require.NoError(t, err)
			require.NoError(t, send(t, up, nil).Err)
			time.Sleep(life - margin - time.Millisecond)
			require.NoError(t, send(t, up, nil).Err)
			require.Equal(t, 1, fetches)
			time.Sleep(time.Millisecond)
			require.NoError(t, send(t, up, nil).Err)
			require.Equal(t, 2, fetches)
		})
	}
}

// Who waits shares a failure, too, but not that of an attempt that was cut off.
func TestOAuth2_sharedFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		up := simulated(t, func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			select {
			case <-time.After(3 * time.Second):
				return nil, errors.New(secret)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			o := up.Send(ctx, exampleID, upstream.Request{}, nil)
			assert.EqualError(t, o.Err, "the token endpoint: cut off by a shutdown")
		}()
		synctest.Wait()
		var running sync.WaitGroup
		for range 5 {
			running.Go(func() {
				assert.EqualError(t, send(t, up, nil).Err, "the token endpoint: the answer is not HTTP, or the connection broke")
			})
		}
		synctest.Wait()
		assert.EqualValues(t, 1, fetches.Load())
		cancel()
		running.Wait()
		assert.EqualValues(t, 2, fetches.Load())
	})
}

// Nobody waits for longer than a request may take.
func TestOAuth2_waiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := simulated(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		started := time.Now()
		var running sync.WaitGroup
		for range 5 {
			running.Go(func() {
				o := send(t, up, nil)
				assert.EqualError(t, o.Err, "the token endpoint: timeout")
				assert.True(t, o.Down)
				assert.False(t, o.Unknown)
			})
		}
		running.Wait()
		assert.Equal(t, 10*time.Second, time.Since(started))
	})
}

// A panic of a transport ends the attempt, not those that wait.
func TestOAuth2_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		up := simulated(t, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			if fetches.Add(1) == 1 {
				panic(secret)
			}
			return answerToken(`{"access_token":"a"}`), nil
		})
		go func() {
			defer func() { assert.NotNil(t, recover()) }()
			up.Send(t.Context(), exampleID, upstream.Request{}, nil)
		}()
		synctest.Wait()
		require.NoError(t, send(t, up, nil).Err)
		assert.EqualValues(t, 2, fetches.Load())
	})
}

// Tokens come by the upstream's own transport.
func TestOAuth2_transport(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			asked.Add(1)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"a"}`)
		}
	}))
	t.Cleanup(server.Close)
	o := upstream.Options{URL: server.URL, OAuth2: &upstream.OAuth2{TokenURL: server.URL + "/token", ClientID: "id", ClientSecret: secret}}
	o.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}}
	t.Cleanup(o.Transport.(*http.Transport).CloseIdleConnections)
	require.NoError(t, send(t, newUpstream(t, o), nil).Err)
	assert.EqualValues(t, 1, asked.Load())
}
