// Package upstream sends tickets to a ticket system, and judges its answers.
// It knows HTTP and JSON, but nothing of Kindly.
package upstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

const (
	// DefaultTimeout is how long one request may take.
	DefaultTimeout = 15 * time.Second
	// DefaultConcurrency is how many requests are under way at once.
	DefaultConcurrency = 16
)

// IdempotencyKey is the header by which every attempt names its delivery.
const IdempotencyKey = "Idempotency-Key"

// Options of an [Upstream].
type Options struct {
	// URL takes the tickets, https or http. User and password in it become a
	// Basic Authorization header.
	URL string
	// Method is POST, PUT or PATCH, or a jq expression over the ticket that gives
	// one of them; default POST.
	Method string
	// Timeout of one request, to the end of its answer; default 15 s.
	Timeout time.Duration
	// Transport makes the requests. By default it is one of its own, without
	// redirects and with the environment's proxy.
	Transport http.RoundTripper
	// UserAgent is sent with every request unless its header has one.
	UserAgent string
	// Concurrency is how many connections are kept for reuse; default 16.
	Concurrency int
	// Mapping says what is sent, and how answers are read. Its expressions know
	// the URL, without what is secret in it, as $base.
	Mapping Mapping
	// Preset names a system that the package knows, see [preset.All]; it completes
	// the other options. PresetOptions are what it asks for: strings, booleans,
	// numbers, or lists of them; expressions have each as a variable.
	Preset        string
	PresetOptions map[string]any
	// Fields names the header fields that come with every request.
	Fields []string
	// Sign are the secrets that sign each request after the Standard Webhooks
	// specification, under the delivery's id: whsec_ and base64.
	Sign []string
	// OAuth2 gets the access tokens for the Authorization header, if it is not nil.
	OAuth2 *OAuth2
}

// Upstream is one ticket system. It is safe for concurrent use.
type Upstream struct {
	url       *url.URL
	check     *url.URL // of the preset's check, nil if there is none
	method    string
	timeout   time.Duration
	userAgent []string
	basicAuth []string // none if the URL has no user
	preset    *preset.Preset
	header    http.Header // unless the request has a field of that name
	ownBody   bool
	idInPath  bool // the path has idMark
	mapping   *mapping
	signer    signer
	tokens    *tokens // nil without OAuth2
	transport http.RoundTripper
	own       *http.Transport // nil if the transport is somebody else's
}

// New returns an upstream, or says what is wrong with the options.
func New(o Options) (*Upstream, error) {
	s, err := applyPreset(&o)
	if err != nil {
		return nil, err
	}
	u, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("url %w", err)
	}
	s.values[0] = base(u)
	var check *url.URL
	if s.check != "" {
		if check, err = extend(u, s.check); err != nil {
			return nil, err
		}
		check.User = nil
	}
	if s.path != "" {
		if u, err = extend(u, strings.Replace(s.path, idMark, idEscaped, 1)); err != nil {
			return nil, err
		}
	}
	idInPath := strings.Contains(s.path, idMark)
	method, chosen, err := readMethod(o.Method)
	if err != nil {
		return nil, err
	}
	mapping, err := newMapping(o.Mapping, chosen, s)
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(o.Sign)
	if err != nil {
		return nil, err
	}
	up := &Upstream{preset: s.preset, header: s.header, ownBody: s.ownBody, idInPath: idInPath, mapping: mapping, signer: signer, url: u, check: check, method: method, timeout: o.Timeout, transport: o.Transport}
	if o.UserAgent != "" {
		up.userAgent = []string{o.UserAgent}
	}
	if up.timeout == 0 {
		up.timeout = DefaultTimeout
	}
	if up.transport == nil {
		if o.Concurrency == 0 {
			o.Concurrency = DefaultConcurrency
		}
		up.own = outbound.NewTransport(o.Concurrency)
		up.transport = up.own
	}
	if o.OAuth2 != nil {
		if err := checkOnly(u, o.Fields); err != nil {
			return nil, err
		}
		if up.tokens, err = newTokens(s.oauth2(o.OAuth2), up); err != nil {
			return nil, err
		}
	}
	if user := u.User; user != nil {
		r := http.Request{Header: make(http.Header)}
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
		up.basicAuth = r.Header["Authorization"]
		u.User = nil
	}
	return up, nil
}

// ParseURL reads an absolute http or https URL. Its errors do not repeat it:
// some systems put their secret there.
func ParseURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("is empty; write an absolute URL such as https://helpdesk.example.com/tickets")
	}
	u, err := url.Parse(s)
	if err != nil { // which quotes a part of it
		return nil, errors.New("is not a URL; check its host and port, and write special characters in it as %20 and the like")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("has no scheme; write an absolute URL that starts with https:// or http://")
	}
	if u.Host == "" {
		return nil, errors.New("has no host; write an absolute URL such as https://helpdesk.example.com/tickets")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("has no valid port; write one from 1 to 65535, or leave it out")
		}
	}
	return u, nil
}

// Close lets go of idle connections.
func (up *Upstream) Close() {
	if up.own != nil {
		up.own.CloseIdleConnections()
	}
}

// Send makes one attempt to deliver a ticket under the delivery's id. The
// header becomes that of the HTTP request.
//
// With OAuth2 it gets a token first if there is none that is good, and once
// more, with a second request, if the upstream refuses it.
func (up *Upstream) Send(ctx context.Context, id uuid.UUID, r Request, header http.Header) delivery.Outcome {
	if up.tokens == nil {
		return up.post(ctx, id, r, header)
	}
	t, failure := up.tokens.get(ctx, nil)
	if failure == nil {
		o := up.post(ctx, id, r, t.authorize(header))
		if !isRefusedToken(o) {
			return o
		}
		t, failure = up.tokens.get(ctx, t)
	}
	if failure != nil {
		o := *failure
		o.Stage = delivery.StageUpstream
		return o
	}
	return up.post(ctx, id, r, t.authorize(header))
}

// post makes one request.
func (up *Upstream) post(ctx context.Context, id uuid.UUID, r Request, header http.Header) delivery.Outcome {
	ctx, cancel := context.WithTimeout(ctx, up.timeout)
	defer cancel()
	// net/http can repeat a request by itself: its last try may have got
	// nowhere, but an earlier one somewhere.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	resp, err := outbound.RoundTrip(up.transport, up.request(ctx, id, r, header))
	if err != nil {
		return delivery.Outcome{
			Verdict: delivery.Transient,
			Stage:   delivery.StageUpstream,
			Err:     outbound.Describe(err),
			Down:    true,
			Unknown: connected.Load() || !outbound.NeverSent(err),
		}
	}
	defer resp.Body.Close()
	a := &answer{response: resp}
	defer a.finish()
	o := up.conclude(ctx, a)
	o.Stage, o.Status = delivery.StageUpstream, resp.StatusCode
	return o
}

// conclude says what an answer means.
func (up *Upstream) conclude(ctx context.Context, a *answer) delivery.Outcome {
	o := judge(a.response, time.Now(), up.preset)
	if up.mapping.success != nil || up.mapping.statuses != nil {
		succeeded, err := up.mapping.succeeded(ctx, a)
		switch {
		case succeeded:
			o = delivery.Outcome{Verdict: delivery.Success}
		case a.err != nil: // it might have said so
			return delivery.Outcome{Verdict: delivery.Transient, Err: outbound.Describe(a.err), Down: true, Unknown: true}
		case o.Verdict == delivery.Success:
			// Also what stands in the system's place answers 200, and a page in
			// HTML: one ticket alone is not given up for that.
			o = delivery.Outcome{Verdict: delivery.Refused, Err: fmt.Errorf("%w, which is no success", answered(a.response.StatusCode))}
			if err != nil {
				o.Err = fmt.Errorf("%w: %w", o.Err, err)
			}
		}
	}
	if o.Verdict != delivery.Success && up.mapping.holds(ctx, up.mapping.throttled, a) {
		o = throttled(a.response, time.Now(), up.preset)
	}
	if o.Verdict == delivery.Permanent && up.mapping.holds(ctx, up.mapping.transient, a) {
		o.Verdict = delivery.Transient
	}
	if o.Verdict == delivery.Success {
		// The ticket is there, even if the rest of the answer is not.
		o.Ticket, o.Err = up.mapping.ticket(ctx, a)
	}
	return o
}

// idMark stands in a preset's path for the delivery's id.
const (
	idMark    = "{id}"
	idEscaped = "%7Bid%7D"
)

// extend appends a path, which is escaped, to a URL.
func extend(u *url.URL, path string) (*url.URL, error) {
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("url has a query or a fragment: write only where the system is, the preset knows the rest")
	}
	extended, err := url.Parse(base(u) + path)
	if err != nil {
		return nil, errors.New("url is not one with the preset's path: check the options")
	}
	extended.User = u.User
	return extended, nil
}

// base returns a URL without its query, which can have secrets, and without a
// slash at its end.
func base(u *url.URL) string {
	return strings.TrimSuffix((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String(), "/")
}

func (up *Upstream) request(ctx context.Context, id uuid.UUID, mapped Request, header http.Header) *http.Request {
	body := mapped.Body
	if header == nil {
		header = make(http.Header, 4)
	}
	for field, values := range up.header {
		setDefault(header, field, values)
	}
	setDefault(header, "Content-Type", jsonType)
	key := id.String()
	header[IdempotencyKey] = []string{key}
	up.signer.sign(header, key, time.Now(), body)
	target := up.url
	if up.idInPath {
		with := *up.url
		with.Path, with.RawPath = strings.Replace(with.Path, idMark, key, 1), strings.Replace(with.EscapedPath(), idEscaped, key, 1)
		target = &with
	}
	r := &http.Request{
		Method:        cmp.Or(mapped.Method, up.method),
		URL:           target,
		Host:          up.url.Host,
		Header:        header,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
		// With an Idempotency-Key, net/http repeats a request by itself when a
		// connection that was kept for reuse turns out to be closed.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	up.complete(r)
	return r.WithContext(ctx)
}

// complete sets who makes a request and by which credentials, unless its header
// says so, and the host, if the header does.
func (up *Upstream) complete(r *http.Request) {
	setDefault(r.Header, "User-Agent", up.userAgent)
	setDefault(r.Header, "Authorization", up.basicAuth)
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
}

// setDefault sets a header, given in canonical form, that is not there.
func setDefault(header http.Header, key string, values []string) {
	if len(header[key]) == 0 && len(values) > 0 {
		header[key] = values
	}
}

var jsonType = []string{"application/json"}
