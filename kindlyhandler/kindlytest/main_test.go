package kindlytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func newTestKindly(t *testing.T) *Kindly {
	t.Helper()
	k := NewKindly()
	t.Cleanup(k.Close)
	return k
}

func newTestHelpDesk(t *testing.T) *HelpDesk {
	t.Helper()
	h := NewHelpDesk()
	t.Cleanup(h.Close)
	return h
}

// newTestClient returns a client that repeats nothing by itself, as each of
// its requests has a connection of its own.
func newTestClient(t *testing.T) *http.Client {
	t.Helper()
	client := newClient()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// testContext ends soon enough to say where a test hangs.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header names and values follow in turn. The error can be
// that of the request or that of reading its answer.
func do(ctx context.Context, client *http.Client, method, url, body string, header ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}

func post(t *testing.T, url, body string, header ...string) (reply, error) {
	t.Helper()
	return do(testContext(t), newTestClient(t), http.MethodPost, url, body, header...)
}

func mustPost(t *testing.T, url, body string, header ...string) reply {
	t.Helper()
	res, err := post(t, url, body, header...)
	require.NoError(t, err)
	return res
}

// dial opens a connection that is under the test's control.
func dial(t *testing.T, url string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn.(*net.TCPConn)
}
