package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// OAuth2 says how to get access tokens by client credentials (RFC 6749,
// section 4.4). They are sent as Bearer tokens.
//
// Id and secret are sent as parameters, as most systems document it. An
// endpoint that does not know the client then is asked once more by Basic
// authentication, and what it took is kept to.
type OAuth2 struct {
	// TokenURL is the token endpoint: https, or http on a loopback address.
	// Default: the preset's, if it has one.
	TokenURL string
	// ClientID and ClientSecret are required.
	ClientID, ClientSecret string
	// Scopes are asked for. Default: the preset's, if it has any.
	Scopes []string
}

// maxTokenAnswer is how much of a token endpoint's answer is read. A token
// fits into a header.
const maxTokenAnswer = 1 << 20

// maxMargin is how long before its end a token is no longer used, or a tenth of
// its lifetime if that is shorter.
const maxMargin = 30 * time.Second

// tokens has the access token of one upstream. Who needs one while it is being
// fetched waits for that one.
type tokens struct {
	options OAuth2
	client  http.Client
	timeout time.Duration

	mu     sync.Mutex
	latest *token
	flight *flight          // the request under way
	style  oauth2.AuthStyle // belongs to the flight
}

// token is an access token. Two of them are the same one only if their pointers
// are.
type token struct {
	authorization []string
	until         time.Time // zero: until it is refused
}

func (t *token) isFresh() bool { return t.until.IsZero() || time.Now().Before(t.until) }

// authorize returns a copy of a header with the token.
func (t *token) authorize(header http.Header) http.Header {
	authorized := make(http.Header, len(header)+4)
	maps.Copy(authorized, header)
	authorized["Authorization"] = t.authorization
	return authorized
}

// flight is a request for a token, which several wait for.
type flight struct {
	done    chan struct{}
	token   *token
	failure *delivery.Outcome
	cut     bool // by its caller, so that it says nothing about the endpoint
}

// checkOnly fails if there are other credentials beside those of OAuth2.
func checkOnly(upstream *url.URL, fields []string) error {
	if upstream.User != nil {
		return errors.New("oauth2 logs in already: leave out the user in the url, or oauth2")
	}
	if slices.ContainsFunc(fields, func(field string) bool { return strings.EqualFold(field, "Authorization") }) {
		return errors.New("oauth2 sets the header Authorization: leave out that header, or oauth2")
	}
	return nil
}

// newTokens checks options. Its errors repeat neither address nor secret.
func newTokens(o *OAuth2, up *Upstream) (*tokens, error) {
	switch {
	case o.TokenURL == "":
		return nil, errors.New("oauth2: token_url is missing: write the address of the token endpoint, such as https://login.example.com/oauth2/token")
	case o.ClientID == "":
		return nil, errors.New("oauth2: client_id is missing: write the one that the system has given your application")
	case o.ClientSecret == "":
		return nil, errors.New("oauth2: client_secret is missing: write the one that the system has given your application")
	case slices.Contains(o.Scopes, ""):
		return nil, errors.New("oauth2: a scope is empty: write its name, or leave it out")
	}
	u, err := ParseURL(o.TokenURL)
	if err != nil {
		return nil, fmt.Errorf("oauth2: token_url %w", err)
	}
	if u.User != nil || u.Fragment != "" {
		return nil, errors.New("oauth2: token_url has a user or a fragment: leave it out, id and secret are written after the URL")
	}
	if u.Scheme == "http" && !outbound.IsLoopback(u.Hostname()) {
		return nil, errors.New("oauth2: token_url is http, which would send the secret in the clear; write https, or the address of a loopback interface")
	}
	return &tokens{
		options: *o,
		client: http.Client{
			Transport:     tokenTransport{up.transport, up.userAgent},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		timeout: up.timeout,
		style:   oauth2.AuthStyleInParams,
	}, nil
}

// get returns a token that is not the refused one, or the outcome of an attempt
// that cannot have one.
func (t *tokens) get(ctx context.Context, refused *token) (*token, *delivery.Outcome) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for {
		t.mu.Lock()
		if t.latest != nil && t.latest != refused && t.latest.isFresh() {
			defer t.mu.Unlock()
			return t.latest, nil
		}
		f := t.flight
		if f == nil {
			f = &flight{done: make(chan struct{}), cut: true}
			t.flight = f
			t.mu.Unlock()
			t.fly(ctx, f)
			return f.token, f.failure
		}
		t.mu.Unlock()
		select {
		case <-f.done:
			if !f.cut {
				return f.token, f.failure
			}
		case <-ctx.Done():
			return nil, unreachable(ctx.Err())
		}
	}
}

// fly makes a flight, and ends it also if it panics.
func (t *tokens) fly(ctx context.Context, f *flight) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if f.token != nil {
			t.latest = f.token
		}
		t.flight = nil
		close(f.done)
	}()
	f.token, f.failure = t.fetch(ctx)
	f.cut = errors.Is(ctx.Err(), context.Canceled)
}

// fetch asks the endpoint, in the way that it is known to take.
func (t *tokens) fetch(ctx context.Context) (*token, *delivery.Outcome) {
	got, err := t.ask(ctx, t.style)
	if unknownClient(err) && t.style == oauth2.AuthStyleInParams {
		if byBasic, failed := t.ask(ctx, oauth2.AuthStyleInHeader); failed == nil {
			got, err = byBasic, nil
			t.style = oauth2.AuthStyleInHeader
		}
	}
	if err != nil {
		return nil, tokenFailure(err)
	}
	authorization := "Bearer " + got.AccessToken
	if !httpguts.ValidHeaderFieldValue(authorization) {
		return nil, unusable("has a token that no header can carry")
	}
	fetched := &token{authorization: []string{authorization}}
	if !got.Expiry.IsZero() {
		lifetime := time.Until(got.Expiry)
		fetched.until = got.Expiry.Add(-min(max(lifetime, 0)/10, maxMargin))
	}
	return fetched, nil
}

func (t *tokens) ask(ctx context.Context, style oauth2.AuthStyle) (*oauth2.Token, error) {
	config := clientcredentials.Config{
		ClientID:     t.options.ClientID,
		ClientSecret: t.options.ClientSecret,
		TokenURL:     t.options.TokenURL,
		Scopes:       t.options.Scopes,
		AuthStyle:    style,
	}
	return config.Token(context.WithValue(ctx, oauth2.HTTPClient, &t.client))
}

// unknownClient tells whether an endpoint did not accept id and secret as they
// were sent.
func unknownClient(err error) bool {
	refusal, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && (refusal.Response.StatusCode == http.StatusUnauthorized || refusal.ErrorCode == "invalid_client")
}

// tokenFailure says what it means for an attempt that it got no token. The
// ticket was not sent.
func tokenFailure(err error) *delivery.Outcome {
	if broken, ok := errors.AsType[*transportError](err); ok {
		return unreachable(broken.err)
	}
	refusal, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok { // a success, but not of a token endpoint
		return unusable("has no access token: check the token URL")
	}
	status := refusal.Response.StatusCode
	o := &delivery.Outcome{Status: status, Err: tokenRefused(refusal)}
	switch {
	case status == http.StatusTooManyRequests:
		o.Verdict, o.HoldLane = delivery.Transient, true
		o.RetryAfter = retryAfter(refusal.Response.Header, time.Now())
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		o.Verdict, o.Down = delivery.Transient, status >= 500
		o.RetryAfter = retryAfter(refusal.Response.Header, time.Now())
		o.HoldLane = o.RetryAfter > 0 // no other delivery has a token either
	default:
		o.Verdict = delivery.Misconfigured
	}
	return o
}

// tokenErrors are the codes of RFC 6749, section 5.2, and what to do about
// them. What else an endpoint says may repeat what it was sent.
var tokenErrors = map[string]string{
	"invalid_request":        "check the token URL and the scopes",
	"invalid_client":         "check client id and client secret",
	"invalid_grant":          "allow client credentials for the application",
	"unauthorized_client":    "allow client credentials for the application",
	"unsupported_grant_type": "the endpoint does not give tokens for client credentials",
	"invalid_scope":          "check the scopes",
}

func tokenRefused(refusal *oauth2.RetrieveError) error {
	status := refusal.Response.StatusCode
	err := errors.New("the token endpoint answered " + outbound.Status(status))
	if advice, ok := tokenErrors[refusal.ErrorCode]; ok {
		return fmt.Errorf("%w, %s: %s", err, refusal.ErrorCode, advice)
	}
	if status >= 300 && status <= 399 {
		return fmt.Errorf("%w: redirects are not followed, use the URL that gives the tokens", err)
	}
	return err
}

// isRefusedToken tells whether another token may help.
func isRefusedToken(o delivery.Outcome) bool {
	return o.Verdict == delivery.Misconfigured && o.Status == http.StatusUnauthorized
}

// unreachable is the outcome of an attempt whose token endpoint did not answer.
func unreachable(err error) *delivery.Outcome {
	return &delivery.Outcome{Verdict: delivery.Transient, Down: true, Err: fmt.Errorf("the token endpoint: %w", outbound.Describe(err))}
}

// unusable is the outcome of an attempt whose token endpoint answered well, but
// not with a token.
func unusable(what string) *delivery.Outcome {
	return &delivery.Outcome{Verdict: delivery.Misconfigured, Err: errors.New("the token endpoint's answer " + what)}
}

// tokenTransport makes the requests for tokens: with our name, and so that what
// goes wrong with an answer can be told from what is wrong in it.
type tokenTransport struct {
	transport http.RoundTripper
	userAgent []string
}

// transportError is why there is no whole answer.
type transportError struct{ err error }

func (e *transportError) Error() string { return e.err.Error() }

func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/json")
	if t.userAgent != nil {
		r.Header["User-Agent"] = t.userAgent
	}
	resp, err := outbound.RoundTrip(t.transport, r)
	if err != nil {
		return nil, &transportError{err}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	_ = resp.Body.Close()
	if err != nil {
		return nil, &transportError{err}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
