package doctor

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counting is a listener that counts connections and the bytes that come in.
type counting struct {
	net.Listener
	conns, bytes atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.conns.Add(1)
	return &countingConn{conn, c}, nil
}

type countingConn struct {
	net.Conn
	of *counting
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.of.bytes.Add(int64(n))
	return n, err
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u
}

// Nothing of HTTP gets to a server that is only to be reached: not by TLS and
// HTTP/2 either.
func TestReach_sendsNothing(t *testing.T) {
	a := newAuthority(t)
	asked := new(atomic.Int64)
	handler := func(http.ResponseWriter, *http.Request) { asked.Add(1) }
	secure := serve(t, a.issue("desk.example", time.Now().Add(-day), 90*day), handler)
	plain := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	count := &counting{Listener: plain.Listener}
	plain.Listener = count
	plain.Start()
	t.Cleanup(plain.Close)
	transport := trusting(t, a, "desk.example")
	var p Prober

	for range 2 {
		proxied, err := p.Reach(t.Context(), transport, parse(t, secure.URL+"/a/secret/path"))
		require.NoError(t, err)
		assert.False(t, proxied)
		_, err = p.Reach(t.Context(), transport, parse(t, plain.URL+"/a/secret/path"))
		require.NoError(t, err)
	}
	secure.Close()
	plain.Close() // waits for what is under way
	assert.Zero(t, asked.Load())
	assert.Zero(t, count.bytes.Load())
	assert.Equal(t, int64(1), count.conns.Load(), "once is enough")
}

func TestReach_faults(t *testing.T) {
	a := newAuthority(t)
	now := time.Now()
	transport := trusting(t, a, "desk.example")
	expired := serve(t, a.issue("desk.example", now.Add(-91*day), 90*day), nil)
	other := serve(t, a.issue("other.example", now.Add(-day), 90*day), nil)
	unknown := serve(t, newAuthority(t).issue("desk.example", now.Add(-day), 90*day), nil)
	for what, c := range map[string]struct{ address, want string }{
		"expired":      {expired.URL, "certificate refused: it has expired or is not yet valid"},
		"another host": {other.URL, "certificate refused: it is for another host"},
		"unknown":      {unknown.URL, "certificate refused: it is signed by an unknown authority"},
		"closed":       {"http://" + unusedAddress(t), "dial: connection refused"},
		"no such host": {"https://desk.invalid", "host name cannot be resolved"},
		"not TLS":      {"https://" + listenPlain(t), "the answer is not HTTP, or the connection broke"},
	} {
		t.Run(what, func(t *testing.T) {
			var p Prober
			_, err := p.Reach(t.Context(), transport, parse(t, c.address))
			require.EqualError(t, err, c.want)
		})
	}

	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = mute.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var p Prober
	_, err = p.Reach(ctx, transport, parse(t, "https://"+mute.Addr().String()))
	require.EqualError(t, err, "timeout")

	_, err = p.Reach(t.Context(), opaque{}, parse(t, "https://desk.example"))
	require.ErrorIs(t, err, ErrOpaque)
}

// listenPlain answers whatever comes by something that is no TLS.
func listenPlain(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

type opaque struct{}

func (opaque) RoundTrip(*http.Request) (*http.Response, error) { panic("it is not to be used") }

// Through a proxy, an https upstream is reached by a tunnel; of an http one, only
// the proxy can be tried.
func TestReach_proxy(t *testing.T) {
	a := newAuthority(t)
	certificate := a.issue("desk.example", time.Now().Add(-day), 90*day)
	asked := new(atomic.Int64)
	desk := serve(t, certificate, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	tunnels := new(atomic.Int64)
	tunnel := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			asked.Add(1)
			return
		}
		tunnels.Add(1)
		to, err := net.Dial("tcp", desk.Listener.Addr().String())
		if err != nil {
			return
		}
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}
	for _, secure := range []bool{false, true} {
		proxy := httptest.NewUnstartedServer(http.HandlerFunc(tunnel))
		if secure {
			proxy.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			proxy.StartTLS()
		} else {
			proxy.Start()
		}
		transport := trusting(t, a, "desk.example")
		transport.Proxy = http.ProxyURL(parse(t, proxy.URL))
		tunnels.Store(0)
		var p Prober

		proxyOnly, err := p.Reach(t.Context(), transport, parse(t, "https://desk.example/path"))
		require.NoError(t, err)
		assert.False(t, proxyOnly)
		assert.Equal(t, int64(1), tunnels.Load())

		proxyOnly, err = p.Reach(t.Context(), transport, parse(t, "http://desk.example/path"))
		require.NoError(t, err)
		assert.True(t, proxyOnly)
		proxy.Close()
	}
	desk.Close()
	assert.Zero(t, asked.Load())
}

// A transport can make its TLS connections itself.
func TestReach_dialTLS(t *testing.T) {
	a := newAuthority(t)
	asked := new(atomic.Int64)
	desk := serve(t, a.issue("desk.example", time.Now().Add(-day), 90*day), func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	transport := &http.Transport{DialTLSContext: (&tls.Dialer{Config: &tls.Config{RootCAs: a.pool, ServerName: "desk.example"}}).DialContext}
	var p Prober
	_, err := p.Reach(t.Context(), transport, parse(t, desk.URL))
	require.NoError(t, err)
	desk.Close()
	assert.Zero(t, asked.Load())
}
