package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const (
	transports    = "http.reverse_proxy.transport"
	httpTransport = "http" // the one that needs no proxied request
)

// dialInfo is the key of reverse_proxy for where to connect to.
const dialInfo caddy.CtxKey = "reverse_proxy.dial_info"

// loadTransport loads the transport that the field TransportRaw of owner
// configures, nil if there is none.
func loadTransport(ctx caddy.Context, owner any, raw json.RawMessage) (http.RoundTripper, error) {
	if raw == nil {
		return nil, nil
	}
	module, err := ctx.LoadModule(owner, "TransportRaw")
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	transport, ok := module.(*reverseproxy.HTTPTransport)
	switch {
	case !ok:
		return nil, errors.New("transport: its protocol only works in a reverse_proxy: write `http`")
	case transport.ProxyProtocolEnabled():
		return nil, errors.New("transport: proxy_protocol only works in a reverse_proxy: leave it out")
	}
	return outsideProxy{transport}, nil
}

// outsideProxy gives a transport of reverse_proxy what that expects of every
// request, and tells apart what it makes one of: why a connection failed.
type outsideProxy struct{ transport http.RoundTripper }

func (o outsideProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, failed := outside(r.Context())
	resp, err := o.transport.RoundTrip(r.WithContext(ctx))
	return resp, failed.cause(err)
}

// HTTPTransport returns what makes the connections, to try one without sending
// anything; nil if that is not possible.
func (o outsideProxy) HTTPTransport() *http.Transport {
	transport, ok := o.transport.(*reverseproxy.HTTPTransport)
	if !ok || transport.Transport == nil || slices.Equal(transport.Versions, []string{"3"}) {
		return nil
	}
	own := transport.Transport.Clone()
	own.DialContext = dialOutside(own.DialContext)
	own.DialTLSContext = dialOutside(own.DialTLSContext)
	return own
}

type dial = func(ctx context.Context, network, address string) (net.Conn, error)

func dialOutside(inner dial) dial {
	if inner == nil {
		return nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, failed := outside(ctx)
		conn, err := inner(ctx, network, address)
		return conn, failed.cause(err)
	}
}

// failure is why a connection failed.
type failure struct{ atomic.Pointer[error] }

// cause returns an error, but in place of one of reverse_proxy, which hides what
// it is about, that.
func (f *failure) cause(err error) error {
	if _, ok := errors.AsType[reverseproxy.DialError](err); ok {
		if cause := f.Load(); cause != nil {
			return *cause
		}
	}
	return err
}

// outside returns a context for a transport of reverse_proxy that is used
// without one.
func outside(ctx context.Context) (context.Context, *failure) {
	failed := new(failure)
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	// Not what a reverse_proxy has left on the way of the webhook: another host
	// to connect to, say.
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	ctx = context.WithValue(ctx, dialInfo, nil)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSDone: func(info httptrace.DNSDoneInfo) {
			if info.Err != nil {
				failed.Store(&info.Err)
			}
		},
		ConnectDone: func(_, _ string, err error) {
			if err != nil {
				failed.Store(&err)
			}
		},
	}), failed
}
