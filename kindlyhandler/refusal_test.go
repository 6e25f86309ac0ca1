package kindlyhandler_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// body replaces a request's body, with the signature that belongs to it.
func body(content string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(content))
		r.ContentLength = int64(len(content))
		r.Header.Set(kindlyhandler.SignatureHeader, kindlyhandler.Sign(secret, []byte(content)))
	}
}

// chunked is body without a length.
func chunked(content string) func(*http.Request) {
	return func(r *http.Request) {
		body(content)(r)
		r.ContentLength = -1
	}
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func nested(levels int) string {
	return `{"chat_id":"1","message":"` + private + `","x":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
}

// sized returns a webhook of so many bytes.
func sized(n int) string {
	const before, after = `{"chat_id":"1","message":"`, `"}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

const maxBody = 100_000

func TestRefused(t *testing.T) {
	signature := kindlyhandler.Sign(secret, kindlytest.DialogueWebhook())
	tests := map[string]struct {
		change func(*http.Request)
		status int
		reason string
	}{
		"no signature":              {header("Kindly-HMAC"), 401, "signature"},
		"empty signature":           {header("Kindly-HMAC", ""), 401, "signature"},
		"wrong signature":           {header("Kindly-HMAC", kindlyhandler.Sign("another", kindlytest.DialogueWebhook())), 401, "signature"},
		"signature in hex":          {header("Kindly-HMAC", hex.EncodeToString(bytes.Repeat([]byte{7}, 32))), 401, "signature"},
		"signature unpadded":        {header("Kindly-HMAC", strings.TrimRight(signature, "=")), 401, "signature"},
		"signature twice":           {header("Kindly-HMAC", signature, signature), 401, "signature"},
		"signature, then a wrong":   {header("Kindly-HMAC", signature, "x"), 401, "signature"},
		"no algorithm":              {header("Kindly-HMAC-algorithm"), 401, "signature"},
		"other algorithm":           {header("Kindly-HMAC-algorithm", "HMAC-SHA-512 (base64 encoded)"), 401, "signature"},
		"algorithm twice":           {header("Kindly-HMAC-algorithm", kindlyhandler.Algorithm, kindlyhandler.Algorithm), 401, "signature"},
		"signed another body":       {func(r *http.Request) { body(sized(200))(r); r.Header.Set("Kindly-HMAC", signature) }, 401, "signature"},
		"too large":                 {body(sized(maxBody + 1)), 413, "too_large"},
		"too large, chunked":        {chunked(sized(maxBody + 1)), 413, "too_large"},
		"much too large, chunked":   {chunked(sized(50 * maxBody)), 413, "too_large"},
		"too large, and unsigned":   {func(r *http.Request) { body(sized(maxBody + 1))(r); r.Header.Del("Kindly-HMAC") }, 413, "too_large"},
		"PUT, and too large":        {func(r *http.Request) { body(sized(maxBody + 1))(r); r.Method = http.MethodPut }, 405, "method"},
		"invalid UTF-8":             {body("{\"chat_id\":\"1\",\"message\":\"" + private + "\xff\"}"), 400, "encoding"},
		"nested too deep":           {body(nested(65)), 400, "encoding"},
		"not JSON":                  {body("chat_id=1&message=" + private), 400, "encoding"},
		"nothing":                   {body(""), 400, "encoding"},
		"nothing, chunked":          {chunked(""), 400, "encoding"},
		"a list":                    {body(`[{"chat_id":"1"}]`), 400, "encoding"},
		"cut off":                   {body(`{"chat_id":"1","message":"` + private), 400, "encoding"},
		"no event":                  {body(`{"message":"` + private + `"}`), 400, "event"},
		"an empty chat_id":          {body(`{"chat_id":"","message":"` + private + `"}`), 400, "event"},
		"an event without a ticket": {body(`{"_meta":{"event":"ticket.created"},"chat":{"id":"1"}}`), 400, "event"},
		"PUT":                       {func(r *http.Request) { r.Method = http.MethodPut }, 405, "method"},
		"DELETE":                    {func(r *http.Request) { r.Method = http.MethodDelete }, 405, "method"},
		"OPTIONS":                   {func(r *http.Request) { r.Method = http.MethodOptions }, 405, "method"},
		"a made-up method":          {func(r *http.Request) { r.Method = "KINDLY" }, 405, "method"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.MaxBody = maxBody }})
			response := r.do(test.change)
			r.refused(response, test.status, test.reason)
		})
	}
}

// refused checks the one refusal that there was so far.
func (r *rig) refused(response kindlytest.Response, status int, reason string) {
	r.t.Helper()
	assert.Equal(r.t, status, response.Status)
	assert.Equal(r.t, "webhook refused\n", string(response.Body))
	if status == http.StatusMethodNotAllowed {
		assert.Equal(r.t, "GET, POST", response.Header.Get("Allow"))
	} else {
		assert.NotContains(r.t, response.Header, "Allow")
	}
	assert.NotContains(r.t, response.Header, "Www-Authenticate")

	lines := r.logged("webhook refused")
	require.Len(r.t, lines, 1)
	fields := lines[0].ContextMap()
	assert.Equal(r.t, reason, fields["reason"])
	assert.Equal(r.t, int64(status), fields["status"])
	assert.Equal(r.t, "default", fields["webhook"])
	assert.Contains(r.t, fields["remote_addr"], "127.0.0.1:")
	r.counts.checkWebhooks(r.t, map[string]int{"refused_" + reason: 1})

	// The same rig still works, and what was refused left nothing.
	r.told(r.send(kindlytest.DialogueWebhookFor("after")), "ticket 1")
	assert.Equal(r.t, 1, r.desk.Attempts())
	assert.Equal(r.t, 1, r.kindly.Count())
}

// What is just within the limits is accepted.
func TestRefused_notYet(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"as large as may be":          body(sized(maxBody)),
		"as large as may be, chunked": chunked(sized(maxBody)),
		"chunked":                     chunked(`{"chat_id":"1"}`),
		"nested as deep as may be":    body(nested(64)),
		"white space around":          body("\r\n\t {\"chat_id\":\"1\"} \n"),
		"header names in lower case": func(r *http.Request) {
			for _, name := range []string{"Kindly-Hmac", "Kindly-Hmac-Algorithm"} {
				r.Header[strings.ToLower(name)] = r.Header[name]
				delete(r.Header, name)
			}
		},
		"another content type": header("Content-Type", "text/plain"),
		"no content type":      header("Content-Type"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.MaxBody = maxBody }})
			r.told(r.do(change), "ticket 1")
		})
	}
}

// A length that is not true.
func TestRefused_lyingLength(t *testing.T) {
	content := string(kindlytest.DialogueWebhook())
	head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\n%s: %s\r\n%s: %s\r\n",
		kindlyhandler.SignatureHeader, kindlyhandler.Sign(secret, []byte(content)), kindlyhandler.AlgorithmHeader, kindlyhandler.Algorithm)
	tests := map[string]struct {
		text   string
		status int
		reason string // empty if the server refuses by itself
	}{
		"too long":            {fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(content)+1, content), 400, "incomplete"},
		"much too long":       {fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxBody, content), 400, "incomplete"},
		"longer than allowed": {fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxBody+1, content), 413, "too_large"},
		"absurd":              {"Content-Length: 9223372036854775807\r\n\r\n" + content, 413, "too_large"},
		"too short":           {fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(content)-2, content), 401, "signature"},
		"zero":                {"Content-Length: 0\r\nConnection: close\r\n\r\n" + content, 401, "signature"},
		"negative":            {"Content-Length: -1\r\n\r\n" + content, 400, ""},
		"twice":               {"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + content, 400, ""},
		"no last chunk":       {fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(content), content), 400, "incomplete"},
		"no chunks":           {"Transfer-Encoding: chunked\r\n\r\n" + content, 400, "incomplete"},
		"a chunk that lies":   {fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(content)-2, content), 400, "incomplete"},
		"chunks and a length": {fmt.Sprintf("Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(content), content), 200, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.MaxBody = maxBody }})
			assert.Equal(t, test.status, r.raw(head+test.text, true))
			if test.reason == "" {
				assert.Empty(t, r.logged("webhook refused"))
				return
			}
			assert.Zero(t, r.desk.Attempts())
			lines := r.logged("webhook refused")
			require.Len(t, lines, 1)
			assert.Equal(t, test.reason, lines[0].ContextMap()["reason"])
		})
	}
}

// A server may have a limit of its own.
func TestRefused_limitOfTheServer(t *testing.T) {
	r := newRig(t, setup{wrap: func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1000) }})
	r.refused(r.do(chunked(sized(2000))), 413, "too_large")
}

// Without a token there is no handshake.
func TestRefused_getWithoutVerifyToken(t *testing.T) {
	r := newRig(t, setup{options: func(o *kindlyhandler.Options) { o.VerifyToken = "" }})
	response, err := r.kindly.Handshake(r.context(), r.url, "", "challenge")
	require.NoError(t, err)
	assert.Equal(t, http.StatusMethodNotAllowed, response.Status)
	assert.Equal(t, "POST", response.Header.Get("Allow"))
}

// A flood of refusals is counted in full, and logged in part.
func TestRefused_flood(t *testing.T) {
	r := newRig(t, setup{})
	const n = 50
	for range n {
		assert.Equal(t, http.StatusUnauthorized, r.do(header("Kindly-HMAC")).Status)
	}
	r.counts.checkWebhooks(t, map[string]int{"refused_signature": n})
	lines := r.logged("webhook refused")
	assert.GreaterOrEqual(t, len(lines), 10)
	assert.Less(t, len(lines), n)
}

// An error of Serve is fit for an error page.
func TestServe_error(t *testing.T) {
	var got error
	r := newRig(t, setup{})
	served := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, got = r.handler.Serve(w, req)
		w.WriteHeader(http.StatusTeapot)
	})
	request, err := kindlytest.NewWebhookRequest("/", "another", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	w := httptest.NewRecorder()
	served.ServeHTTP(w, request)
	var refused *kindlyhandler.Error
	require.ErrorAs(t, got, &refused)
	assert.Equal(t, http.StatusUnauthorized, refused.Status)
	assert.EqualError(t, refused, "webhook refused")
	assert.Equal(t, http.StatusTeapot, w.Code, "nothing was written before")
}
