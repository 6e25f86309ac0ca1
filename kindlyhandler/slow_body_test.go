package kindlyhandler_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// impatient keeps the deadline that a handler sets, and sets one that a test
// can wait for.
type impatient struct {
	http.ResponseWriter
	mu       sync.Mutex
	allowed  time.Duration
	lifted   bool
	deadline time.Duration
}

func (w *impatient) SetReadDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lifted = at.IsZero(); !w.lifted {
		w.allowed = time.Until(at)
		at = time.Now().Add(w.deadline)
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(at)
}

// A body that drips, or stops, is refused when its time is over, also one that
// is refused already for its headers.
func TestSlowBody(t *testing.T) {
	content := kindlytest.DialogueWebhook()
	signature := kindlyhandler.Sign(secret, content)
	tests := map[string]struct {
		signature string
		framing   string
		status    int
		reason    string
	}{
		"with a length":    {signature, fmt.Sprintf("Content-Length: %d\r\n\r\n{", len(content)), 408, "incomplete"},
		"chunked":          {signature, "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408, "incomplete"},
		"refused already":  {"x", fmt.Sprintf("Content-Length: %d\r\n\r\n{", len(content)), 401, "signature"},
		"refused, chunked": {"x", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 401, "signature"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var w *impatient
			r := newRig(t, setup{wrap: func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					w = &impatient{ResponseWriter: rw, deadline: 50 * time.Millisecond}
					h.ServeHTTP(w, r)
				})
			}})
			status := r.raw(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\n%s: %s\r\n%s: %s\r\n%s", kindlyhandler.SignatureHeader, test.signature,
				kindlyhandler.AlgorithmHeader, kindlyhandler.Algorithm, test.framing), false)
			assert.Equal(t, test.status, status)
			assert.InDelta(t, 10*time.Second, w.allowed, float64(5*time.Second))
			assert.False(t, w.lifted)
			lines := r.logged("webhook refused")
			require.Len(t, lines, 1)
			assert.Equal(t, test.reason, lines[0].ContextMap()["reason"])
			assert.Zero(t, r.desk.Attempts())
		})
	}
}

// The deadline is for the body only: a help desk may take longer.
func TestSlowBody_isNoDeadlineForTheAnswer(t *testing.T) {
	var w *impatient
	r := newRig(t, setup{wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w = &impatient{ResponseWriter: rw, deadline: 250 * time.Millisecond}
			h.ServeHTTP(w, r)
		})
	}})
	r.desk.FailNext(1, kindlytest.Delay(500*time.Millisecond))
	r.told(r.send(kindlytest.DialogueWebhook()), "ticket 1")
	assert.True(t, w.lifted)
}
