package doctor

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func silent() *log.Logger { return log.New(io.Discard, "", 0) }

func TestCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	now := time.Now()
	const name = "support.example.com"
	for what, c := range map[string]struct {
		from    time.Time
		life    time.Duration
		name    string
		by      *authority
		status  Status
		message string
	}{
		"good":              {now.Add(-day), 90 * day, name, a, OK, "it is good until " + now.Add(89*day).UTC().Format("2006-01-02")},
		"ends soon":         {now.Add(-80 * day), 90 * day, name, a, Warning, "in 9 days"},
		"ends today":        {now.Add(-89*day - 21*time.Hour), 90 * day, name, a, Warning, "in 3h0m0s"},
		"short-lived":       {now.Add(-day), 6 * day, name, a, OK, "it is good until"},
		"short-lived, late": {now.Add(-5 * day), 6 * day, name, a, Warning, "in 24h0m0s"},
		"expired":           {now.Add(-91 * day), 90 * day, name, a, Problem, "certificate refused: it has expired or is not yet valid"},
		"not yet valid":     {now.Add(day), 90 * day, name, a, Problem, "certificate refused: it has expired or is not yet valid"},
		"another name":      {now.Add(-day), 90 * day, "shop.example.com", a, Problem, "certificate refused: it is for another host"},
		"unknown authority": {now.Add(-day), 90 * day, name, stranger, Problem, "certificate refused: it is signed by an unknown authority"},
	} {
		t.Run(what, func(t *testing.T) {
			server := serve(t, c.by.issue(c.name, c.from, c.life), nil)
			f := Certificate(t.Context(), server.Listener.Addr().String(), name, a.pool, now)
			assert.Equal(t, c.status, f.Status, f)
			assert.Equal(t, "certificate "+name, f.Check)
			assert.Contains(t, f.Message, c.message)
			assert.Equal(t, c.status == OK, f.Fix == "", "whoever has a fault is told what to do")
		})
	}
}

func TestCertificate_withoutHandshake(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	f := Certificate(t.Context(), plain.Listener.Addr().String(), "localhost", nil, time.Now())
	assert.Equal(t, Problem, f.Status)
	assert.Contains(t, f.Message, "there is no TLS handshake")

	closed := unusedAddress(t)
	f = Certificate(t.Context(), closed, "localhost", nil, time.Now())
	assert.Equal(t, Unknown, f.Status, "a server that does not run is no fault")
	assert.Equal(t, "nothing listens at "+closed+": it can be checked when the server runs", f.Message)

	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = mute.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f = Certificate(ctx, mute.Addr().String(), "localhost", nil, time.Now())
	assert.Equal(t, Problem, f.Status)
	assert.Equal(t, "the TLS handshake takes too long", f.Message)
}

// unusedAddress returns one that nothing listens at.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}
