package kindlyhandler_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHandshake(t *testing.T) {
	long := strings.Repeat("c", 1<<10)
	tests := map[string]struct {
		query  url.Values
		status int
		reason string
	}{
		"right":                 {url.Values{"verify_token": {verifyToken}, "challenge": {"1158201444"}}, 200, ""},
		"as long as may be":     {url.Values{"verify_token": {verifyToken}, "challenge": {long}}, 200, ""},
		"HTML":                  {url.Values{"verify_token": {verifyToken}, "challenge": {"<script>alert(1)</script>"}}, 200, ""},
		"not ASCII":             {url.Values{"verify_token": {verifyToken}, "challenge": {"æ\n\x00\xff"}}, 200, ""},
		"more parameters":       {url.Values{"verify_token": {verifyToken}, "challenge": {"x"}, "mode": {"subscribe"}}, 200, ""},
		"wrong token":           {url.Values{"verify_token": {"x"}, "challenge": {"x"}}, 401, "verify_token"},
		"token and more":        {url.Values{"verify_token": {verifyToken + "x"}, "challenge": {"x"}}, 401, "verify_token"},
		"empty token":           {url.Values{"verify_token": {""}, "challenge": {"x"}}, 401, "verify_token"},
		"no token":              {url.Values{"challenge": {"x"}}, 401, "verify_token"},
		"nothing":               {nil, 401, "verify_token"},
		"token twice":           {url.Values{"verify_token": {verifyToken, verifyToken}, "challenge": {"x"}}, 401, "verify_token"},
		"right and wrong token": {url.Values{"verify_token": {verifyToken, "x"}, "challenge": {"x"}}, 401, "verify_token"},
		"no challenge":          {url.Values{"verify_token": {verifyToken}}, 400, "challenge"},
		"empty challenge":       {url.Values{"verify_token": {verifyToken}, "challenge": {""}}, 400, "challenge"},
		"challenge twice":       {url.Values{"verify_token": {verifyToken}, "challenge": {"x", "x"}}, 400, "challenge"},
		"challenge too long":    {url.Values{"verify_token": {verifyToken}, "challenge": {long + "c"}}, 400, "challenge"},
		"wrong and too long":    {url.Values{"verify_token": {"x"}, "challenge": {long + "c"}}, 401, "verify_token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			response := r.do(func(req *http.Request) {
				req.Method, req.Body, req.ContentLength = http.MethodGet, http.NoBody, 0
				req.URL.RawQuery = test.query.Encode()
				req.Header = http.Header{}
			})
			if test.reason != "" {
				r.refused(response, test.status, test.reason)
				return
			}
			require.Equal(t, test.status, response.Status)
			assert.Equal(t, test.query.Get("challenge"), string(response.Body))
			assert.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
			assert.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
			r.counts.checkWebhooks(t, map[string]int{"handshake": 1})
		})
	}
}
