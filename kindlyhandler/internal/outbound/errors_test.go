package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hidden = "s3cr3t"

// What net/http may say quotes addresses and what the other side sent.
func TestDescribe(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 443}
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	tests := map[string]struct {
		err       error
		want      string
		neverSent bool
	}{
		"nothing":            {nil, "", false},
		"refused":            {refused, "dial: connection refused", true},
		"proxy refused":      {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}, "proxyconnect: connection refused", true},
		"reset":              {&net.OpError{Op: "read", Net: "tcp", Addr: address, Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "read: connection reset by peer", false},
		"broken pipe":        {&net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}, "write: broken pipe", false},
		"bare errno":         {syscall.ENETUNREACH, "network is unreachable", false},
		"DNS":                {&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: hidden}}, "host name cannot be resolved", true},
		"DNS timeout":        {&net.DNSError{Err: "timeout", Name: hidden, IsTimeout: true}, "timeout", true},
		"deadline":           {context.DeadlineExceeded, "timeout", false},
		"read deadline":      {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout", false},
		"url":                {&url.Error{Op: "Post", URL: "https://" + hidden, Err: context.DeadlineExceeded}, "timeout", false},
		"canceled":           {fmt.Errorf("%s: %w", hidden, context.Canceled), "cut off by a shutdown", false},
		"certificate":        {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "certificate refused: it is signed by an unknown authority", true},
		"EOF":                {&url.Error{Op: "Get", URL: hidden, Err: io.EOF}, "connection closed before the answer was complete", false},
		"cut off":            {io.ErrUnexpectedEOF, "connection closed before the answer was complete", false},
		"closed":             {net.ErrClosed, "connection closed before the answer was complete", false},
		"malformed response": {fmt.Errorf("malformed HTTP response %q", hidden), "the answer is not HTTP, or the connection broke", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Describe(test.err)
			if test.err == nil {
				require.NoError(t, got)
			} else {
				require.EqualError(t, got, test.want)
			}
			assert.Equal(t, test.neverSent, NeverSent(test.err))
			assert.Equal(t, test.want == "timeout", IsTimeout(test.err))
		})
	}
}

// The same with what the transport really returns.
func TestDescribe_transport(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		if r.URL.Path == "/garbage" {
			_, _ = conn.Write([]byte("HTTP/1.1 " + hidden + "\r\n\r\n"))
		}
		_ = conn.Close()
	}))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = discard
	secure.StartTLS()
	defer secure.Close()
	closed := httptest.NewServer(nil)
	closed.Close()

	for address, want := range map[string]struct {
		text      string
		neverSent bool
	}{
		closed.URL + "/" + hidden: {"dial: connection refused", true},
		plain.URL + "/" + hidden:  {"connection closed before the answer was complete", false},
		plain.URL + "/garbage":    {"the answer is not HTTP, or the connection broke", false},
		secure.URL + "/" + hidden: {"certificate refused: it is signed by an unknown authority", true},
	} {
		transport := NewTransport(1)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
		require.NoError(t, err)
		resp, err := transport.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		require.Error(t, err)
		assert.EqualError(t, Describe(err), want.text)
		assert.Equal(t, want.neverSent, NeverSent(err), want.text)
		transport.CloseIdleConnections()
	}
}
