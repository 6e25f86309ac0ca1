package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// drip is a body that comes byte by byte.
type drip struct {
	body  []byte
	taken int
	ended <-chan struct{}
}

func (d *drip) Read(p []byte) (int, error) {
	if d.taken == len(d.body) {
		return 0, io.EOF
	}
	select {
	case <-d.ended:
		return 0, io.ErrClosedPipe
	case <-time.After(100 * time.Millisecond):
	}
	p[0] = d.body[d.taken]
	d.taken++
	return 1, nil
}

// TestBodyThatDrips proves that a body has ten seconds to arrive, however
// alive its sender looks.
func TestBodyThatDrips(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	start(t, "servers {\n\t\tprotocols h1 h2c\n\t}", site("http://"+address, "log", s.webhook("/kindly")))
	body := kindlytest.DialogueWebhook()
	require.Greater(t, len(body), 200, "it has to take longer than we wait")

	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		started := time.Now()
		_, err = fmt.Fprintf(conn, "POST /kindly HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s: %s\r\n%s: %s\r\n\r\n", address, len(body),
			kindlyhandler.SignatureHeader, kindlyhandler.Sign(secret, body), kindlyhandler.AlgorithmHeader, kindlyhandler.Algorithm)
		require.NoError(t, err)
		ended := make(chan struct{})
		defer close(ended)
		go func() { _, _ = io.Copy(conn, &drip{body: body, ended: ended}) }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer response.Body.Close()
		requireCut(t, response, started)
		_, err = io.Copy(io.Discard, conn)
		require.False(t, isTimeout(err), "the connection is closed")
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		defer transport.CloseIdleConnections()
		started := time.Now()
		ended := make(chan struct{})
		defer close(ended)
		request, err := kindlytest.NewWebhookRequest("http://"+address+"/kindly", secret, body)
		require.NoError(t, err)
		request.Body = io.NopCloser(&drip{body: body, ended: ended})
		response, err := transport.RoundTrip(request.WithContext(within(t)))
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, 2, response.ProtoMajor)
		requireCut(t, response, started)
	})
	t.Cleanup(func() { assert.Zero(t, s.desk.Attempts()) })
}

func requireCut(t *testing.T, response *http.Response, started time.Time) {
	t.Helper()
	took := time.Since(started)
	require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
	require.Greater(t, took, 9*time.Second)
	require.Less(t, took, 13*time.Second)
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
