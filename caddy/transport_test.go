package kindly

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/stretchr/testify/require"
)

func newTransport(t *testing.T) http.RoundTripper {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	upstream := &Upstream{TransportRaw: json.RawMessage(`{"protocol":"http"}`)}
	transport, err := loadTransport(ctx, upstream, upstream.TransportRaw)
	require.NoError(t, err)
	return transport
}

// TestTransportTellsWhy proves that a failed connection is not taken for a
// broken answer: what was never sent cannot have made a ticket.
func TestTransportTellsWhy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	transport := newTransport(t)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String(), http.NoBody)
	require.NoError(t, err)
	_, err = transport.RoundTrip(request) //nolint:bodyclose // there is none
	var failed *net.OpError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "dial", failed.Op)

	request, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://helpdesk.invalid", http.NoBody)
	require.NoError(t, err)
	_, err = transport.RoundTrip(request) //nolint:bodyclose // there is none
	var unknown *net.DNSError
	require.ErrorAs(t, err, &unknown)
}

// TestTransportGoesNowhereElse proves that a request goes to the host in its
// URL, whatever a reverse_proxy has left in the context.
func TestTransportGoesNowhereElse(t *testing.T) {
	answer := func(status int) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		return server
	}
	meant, other := answer(http.StatusNoContent), answer(http.StatusTeapot)
	ctx := context.WithValue(t.Context(), dialInfo, reverseproxy.DialInfo{Network: "tcp", Address: other.Listener.Addr().String()})
	_, ok := reverseproxy.GetDialInfo(ctx)
	require.True(t, ok, "reverse_proxy has another key for it now")

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, meant.URL, http.NoBody)
	require.NoError(t, err)
	response, err := newTransport(t).RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNoContent, response.StatusCode)
}
