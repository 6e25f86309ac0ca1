package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// ErrOpaque means that a transport does not let one connect without sending
// something.
var ErrOpaque = errors.New("the transport makes connections that cannot be tried without a request")

// errSilent ends a request before any of it is sent.
var errSilent = errors.New("nothing is sent")

// Reach connects to where a URL is as a transport does, with its proxy, resolver
// and certificates: by TCP and, for https, the TLS handshake. Nothing is sent
// after that. It says whether that was to a proxy only: beyond one nothing can be
// known of an http address without sending something.
func (p *Prober) Reach(ctx context.Context, transport http.RoundTripper, u *url.URL) (proxyOnly bool, err error) {
	origin := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"} // the path may be a secret
	r := &http.Request{Method: http.MethodGet, URL: origin, Host: origin.Host, Header: make(http.Header)}
	own := dialing(p.orShared(transport))
	if own == nil {
		return false, ErrOpaque
	}
	proxy := proxyOf(own, r)
	e := p.exchange("reach", transport, r)
	e.once.Do(func() { e.err = reach(ctx, own.Clone(), r, proxy) })
	return proxy != nil && u.Scheme == "http", e.err
}

// dialing returns what makes a transport's connections, nil if that cannot be
// had.
func dialing(transport http.RoundTripper) *http.Transport {
	switch t := transport.(type) {
	case *http.Transport:
		return t
	case interface{ HTTPTransport() *http.Transport }:
		return t.HTTPTransport()
	default:
		return nil
	}
}

func proxyOf(t *http.Transport, r *http.Request) *url.URL {
	if t.Proxy == nil {
		return nil
	}
	proxy, _ := t.Proxy(r) // an error comes again, with the request
	return proxy
}

func reach(ctx context.Context, t *http.Transport, r *http.Request, proxy *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var reached, silent atomic.Bool
	t.DisableKeepAlives = true
	// Whatever the server chooses, nothing of HTTP is spoken.
	t.Protocols, t.TLSNextProto = nil, make(map[string]func(string, *tls.Conn) http.RoundTripper)
	arrive := func() {
		silent.Store(true)
		reached.Store(true)
	}
	if t.DialTLSContext != nil {
		t.DialTLSContext = silencing(t.DialTLSContext, &silent, arrive)
	}
	if t.DialContext == nil {
		t.DialContext = new(net.Dialer).DialContext
	}
	connected := func() {}
	if r.URL.Scheme == "http" {
		connected = arrive
	}
	t.DialContext = silencing(t.DialContext, &silent, connected)
	// With a proxy that speaks TLS, the second handshake is the upstream's.
	var handshakes atomic.Int32
	wanted := int32(1)
	if proxy != nil && proxy.Scheme == "https" {
		wanted = 2
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil && handshakes.Add(1) == wanted {
				arrive()
			}
		},
	})
	response, err := t.RoundTrip(r.WithContext(ctx))
	if err == nil {
		_ = response.Body.Close()
	}
	t.CloseIdleConnections()
	if reached.Load() {
		return nil
	}
	if err == nil {
		return ErrOpaque
	}
	return outbound.Describe(err)
}

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

// silencing returns a dial function whose connections can be silenced. It says
// when there is one, before anything can be sent.
func silencing(inner dial, silent *atomic.Bool, connected func()) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := inner(ctx, network, address)
		if err != nil {
			return nil, err
		}
		connected()
		return &silenced{conn, silent}, nil
	}
}

// silenced is a connection on which nothing can be sent any more from some
// moment on.
type silenced struct {
	net.Conn
	silent *atomic.Bool
}

func (s *silenced) Write(b []byte) (int, error) {
	if s.silent.Load() {
		return 0, errSilent
	}
	return s.Conn.Write(b)
}
