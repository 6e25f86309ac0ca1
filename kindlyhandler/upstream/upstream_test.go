package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

var exampleID = uuid.MustParse("0198f3c2-0000-7000-8000-000000000000")

// secret stands in every URL and answer, and never in an error.
const secret = "s3cr3t"

// listen serves until the end of the test.
func listen(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func newUpstream(t *testing.T, o Options) *Upstream {
	t.Helper()
	up, err := New(o)
	require.NoError(t, err)
	t.Cleanup(up.Close)
	return up
}

// send delivers an example, and checks that no error tells a secret.
func send(t *testing.T, up *Upstream, header http.Header) delivery.Outcome {
	t.Helper()
	o := up.Send(t.Context(), exampleID, Request{Body: []byte(`{"version":1}`)}, header)
	assert.Equal(t, delivery.StageUpstream, o.Stage)
	if o.Err != nil {
		assert.NotContains(t, o.Err.Error(), secret)
		assert.NotContains(t, o.Err.Error(), "127.0.0.1")
	}
	return o
}

func TestSend_request(t *testing.T) {
	var got *http.Request
	var body []byte
	server := listen(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.WithoutCancel(r.Context()))
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":4711,"url":"https://desk.example/4711"}`)
	})
	tests := map[string]struct {
		options Options
		header  http.Header
		check   func(t *testing.T)
	}{
		"defaults": {Options{URL: server.URL + "/tickets?a=b", UserAgent: "test/1"}, nil, func(t *testing.T) {
			assert.Equal(t, "POST", got.Method)
			assert.Equal(t, "/tickets?a=b", got.RequestURI)
			assert.Equal(t, int64(len(body)), got.ContentLength)
			assert.Empty(t, got.TransferEncoding)
			assert.Equal(t, []string{"application/json"}, got.Header["Content-Type"])
			assert.Equal(t, []string{"test/1"}, got.Header["User-Agent"])
			assert.Equal(t, []string{exampleID.String()}, got.Header["Idempotency-Key"])
			assert.NotContains(t, got.Header, "Authorization")
		}},
		"the operator's header wins": {
			Options{URL: server.URL, Method: http.MethodPut, UserAgent: "test/1"},
			http.Header{"Content-Type": {"application/vnd.x+json"}, "User-Agent": {"other"}, "Host": {"desk.example"}, "X-Token": {secret}},
			func(t *testing.T) {
				assert.Equal(t, "PUT", got.Method)
				assert.Equal(t, []string{"application/vnd.x+json"}, got.Header["Content-Type"])
				assert.Equal(t, []string{"other"}, got.Header["User-Agent"])
				assert.Equal(t, []string{secret}, got.Header["X-Token"])
				assert.Equal(t, "desk.example", got.Host)
			},
		},
		"user in the URL": {Options{URL: strings.Replace(server.URL, "://", "://me:"+secret+"@", 1)}, nil, func(t *testing.T) {
			user, password, _ := got.BasicAuth()
			assert.Equal(t, []string{"me", secret}, []string{user, password})
		}},
		"user in the URL and a header": {
			Options{URL: strings.Replace(server.URL, "://", "://me:"+secret+"@", 1)},
			http.Header{"Authorization": {"Bearer x"}},
			func(t *testing.T) { assert.Equal(t, []string{"Bearer x"}, got.Header["Authorization"]) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := send(t, newUpstream(t, test.options), test.header)
			assert.Equal(t, delivery.Success, o.Verdict)
			assert.Equal(t, http.StatusCreated, o.Status)
			assert.Equal(t, delivery.Ticket{ID: "4711", URL: "https://desk.example/4711"}, o.Ticket)
			assert.JSONEq(t, `{"version":1}`, string(body))
			test.check(t)
		})
	}
}

func TestSend_redirectsAreNotFollowed(t *testing.T) {
	followed := false
	elsewhere := listen(t, func(http.ResponseWriter, *http.Request) { followed = true })
	server := listen(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/"+secret, http.StatusTemporaryRedirect)
	})
	o := send(t, newUpstream(t, Options{URL: server.URL}), nil)
	assert.Equal(t, delivery.Misconfigured, o.Verdict)
	assert.Equal(t, http.StatusTemporaryRedirect, o.Status)
	assert.False(t, followed)
}

// The ticket is there if the status says so, whatever comes after it.
func TestSend_brokenAnswers(t *testing.T) {
	tests := map[string]struct {
		answer func(w http.ResponseWriter)
		want   delivery.Ticket
	}{
		"cut off": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"id":1`)
		}, delivery.Ticket{}},
		"huge": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"id":1,"x":"`+strings.Repeat("x", maxAnswer)+`"}`)
		}, delivery.Ticket{}},
		"almost huge": {func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"id":1,"x":"`+strings.Repeat("x", maxAnswer-100)+`"}`)
		}, delivery.Ticket{ID: "1"}},
		"no content": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, delivery.Ticket{}},
		"a page":     {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>"+secret) }, delivery.Ticket{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := listen(t, func(w http.ResponseWriter, _ *http.Request) { test.answer(w) })
			o := send(t, newUpstream(t, Options{URL: server.URL}), nil)
			assert.Equal(t, delivery.Success, o.Verdict)
			assert.Equal(t, test.want, o.Ticket)
		})
	}
}

func TestSend_networkErrors(t *testing.T) {
	hijack := func(do func(net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			do(conn)
			_ = conn.Close()
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	hanging := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	tests := map[string]struct {
		url     string
		want    string
		unknown bool
	}{
		"refused": {closed.URL, "dial: connection refused", false},
		"closed":  {listen(t, hijack(func(net.Conn) {})).URL, "connection closed before the answer was complete", true},
		"reset": {listen(t, hijack(func(c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
		})).URL, "read: connection reset by peer", true},
		"not HTTP": {listen(t, hijack(func(c net.Conn) {
			_, _ = io.WriteString(c, secret+"\r\n\r\n")
		})).URL, "the answer is not HTTP, or the connection broke", true},
		"hanging": {hanging.URL, "timeout", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			timeout := 5 * time.Second
			if name == "hanging" {
				timeout = 50 * time.Millisecond
			}
			o := send(t, newUpstream(t, Options{URL: test.url + "/" + secret, Timeout: timeout}), nil)
			assert.Equal(t, delivery.Transient, o.Verdict)
			assert.EqualError(t, o.Err, test.want)
			assert.True(t, o.Down)
			assert.Equal(t, test.unknown, o.Unknown)
			assert.Zero(t, o.Status)
		})
	}
}

// A server that closes a connection which was kept for reuse is met again by
// net/http itself: nobody has to wait for a retry.
func TestSend_closedIdleConnection(t *testing.T) {
	server := listen(t, func(http.ResponseWriter, *http.Request) {})
	up := newUpstream(t, Options{URL: server.URL})
	require.Equal(t, delivery.Success, send(t, up, nil).Verdict)
	server.CloseClientConnections()
	assert.Equal(t, delivery.Success, send(t, up, nil).Verdict)
}

// That it does so must not hide that the ticket may have arrived.
func TestSend_closedConnectionOfAServerThatIsGone(t *testing.T) {
	var server *httptest.Server
	requests := 0
	server = listen(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 1 {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = server.Listener.Close()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	up := newUpstream(t, Options{URL: server.URL})
	require.Equal(t, delivery.Success, send(t, up, nil).Verdict)
	o := send(t, up, nil)
	assert.EqualError(t, o.Err, "dial: connection refused")
	assert.True(t, o.Unknown)
}

func TestSend_untrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	o := send(t, newUpstream(t, Options{URL: server.URL + "/" + secret}), nil)
	assert.Equal(t, delivery.Transient, o.Verdict)
	assert.False(t, o.Unknown)
	require.ErrorContains(t, o.Err, "certificate refused")

	trusting := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}
	t.Cleanup(trusting.CloseIdleConnections)
	assert.Equal(t, http.StatusNotFound, send(t, newUpstream(t, Options{URL: server.URL, Transport: trusting}), nil).Status)
}

func TestSend_shutdown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	o := newUpstream(t, Options{URL: server.URL}).Send(ctx, exampleID, Request{}, nil)
	assert.Equal(t, delivery.Transient, o.Verdict)
	assert.True(t, o.Unknown)
	assert.EqualError(t, o.Err, "cut off by a shutdown")
}

func TestParseURL(t *testing.T) {
	for _, valid := range []string{"https://desk.example", "http://127.0.0.1:8080/x?y=z", "https://user:pass@desk.example/%2F", "HTTPS://DESK.EXAMPLE"} {
		_, err := ParseURL(valid)
		assert.NoError(t, err, valid)
	}
	for url, want := range map[string]string{
		"":                                "is empty; write",
		secret + ".example":               "has no scheme; write",
		"//" + secret:                     "has no scheme; write",
		"ftp://" + secret:                 "has no scheme; write",
		"https:///" + secret:              "has no host; write",
		"https:" + secret:                 "has no host; write",
		"https://desk.example/%" + secret: "is not a URL",
		"https://desk:x/" + secret:        "is not a URL",
		"https://me:" + secret + "/@desk": "is not a URL",
		"https://" + secret + "\n":        "is not a URL",
	} {
		_, err := ParseURL(url)
		require.ErrorContains(t, err, want, url)
		assert.NotContains(t, err.Error(), secret)
	}
}
