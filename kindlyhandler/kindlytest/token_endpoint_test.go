package kindlytest

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const form = "application/x-www-form-urlencoded"

func newTestTokenEndpoint(t *testing.T) *TokenEndpoint {
	t.Helper()
	e := NewTokenEndpoint()
	t.Cleanup(e.Close)
	return e
}

func TestTokenEndpoint(t *testing.T) {
	const grant = "grant_type=client_credentials"
	const inForm = grant + "&client_id=kindlytest&client_secret=kindlytest-secret"
	const basic = "Basic a2luZGx5dGVzdDpraW5kbHl0ZXN0LXNlY3JldA==" // kindlytest:kindlytest-secret
	for name, c := range map[string]struct {
		method, body, authorization string
		basicOnly                   bool
		status                      int
		answer                      string
	}{
		"parameters":     {"POST", inForm, "", false, 200, `{"access_token":"kindlytest-token-1","token_type":"Bearer","expires_in":3600}`},
		"basic":          {"POST", grant, basic, true, 200, `{"access_token":"kindlytest-token-1","token_type":"Bearer","expires_in":3600}`},
		"not by basic":   {"POST", inForm, "", true, 401, `{"error":"invalid_client"}`},
		"wrong secret":   {"POST", inForm + "x", "", false, 401, `{"error":"invalid_client"}`},
		"wrong password": {"POST", grant, "Basic a2luZGx5dGVzdDp4", false, 401, `{"error":"invalid_client"}`},
		"other grant":    {"POST", "grant_type=password&client_id=kindlytest&client_secret=kindlytest-secret", "", false, 400, `{"error":"unsupported_grant_type"}`},
		"other method":   {"PUT", inForm, "", false, 405, `{"error":"invalid_request"}`},
		"no form":        {"POST", "%", "", false, 400, `{"error":"invalid_request"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestTokenEndpoint(t)
			e.BasicOnly, e.Lifetime = c.basicOnly, time.Hour
			got, err := do(testContext(t), newTestClient(t), c.method, e.URL, c.body, "Content-Type", form, "Authorization", c.authorization)
			require.NoError(t, err)
			assert.Equal(t, c.status, got.status)
			assert.JSONEq(t, c.answer, got.body)
			assert.Equal(t, c.status == 200, e.Accepts("Bearer kindlytest-token-1"))
		})
	}
}

func TestTokenEndpoint_faults(t *testing.T) {
	e := newTestTokenEndpoint(t)
	e.FailNext(1, Status(http.StatusServiceUnavailable, "Retry-After", "7"))
	got, err := do(testContext(t), newTestClient(t), "POST", e.URL, "a=b", "Content-Type", form)
	require.NoError(t, err)
	assert.Equal(t, "7", got.header.Get("Retry-After"))
	require.Len(t, e.Requests(), 1)
	assert.Equal(t, "b", e.Requests()[0].Form.Get("a"))
	assert.Zero(t, e.Issued())
}

// A help desk with an endpoint takes its tokens only, as long as they are good.
func TestHelpDesk_tokens(t *testing.T) {
	e, h := newTestTokenEndpoint(t), newTestHelpDesk(t)
	h.Tokens = e
	post := func(authorization string) int {
		got, err := do(testContext(t), newTestClient(t), "POST", h.URL, "{}", "Authorization", authorization)
		require.NoError(t, err)
		return got.status
	}
	fetch := func() {
		_, err := do(testContext(t), newTestClient(t), "POST", e.URL, "grant_type=client_credentials&client_id=kindlytest&client_secret=kindlytest-secret", "Content-Type", form)
		require.NoError(t, err)
	}
	assert.Equal(t, 401, post(""))
	assert.Equal(t, 401, post("Bearer kindlytest-token-1"), "it was not given yet")
	fetch()
	assert.Equal(t, 201, post("Bearer kindlytest-token-1"))
	e.Revoke()
	assert.Equal(t, 401, post("Bearer kindlytest-token-1"))
	e.Lifetime = time.Nanosecond
	fetch()
	assert.Equal(t, 401, post("Bearer kindlytest-token-2"), "it has expired")
	assert.Equal(t, 1, h.Count())
	assert.Equal(t, 5, h.Attempts())
}
