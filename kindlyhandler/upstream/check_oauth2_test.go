package upstream_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

func TestCheck_oauth2(t *testing.T) {
	endpoint := kindlytest.NewTokenEndpoint()
	t.Cleanup(endpoint.Close)
	var posts int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			posts++
		}
		if !endpoint.Accepts(r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	t.Cleanup(server.Close)
	o := upstream.Options{Preset: "salesforce", URL: server.URL}
	o.OAuth2 = &upstream.OAuth2{TokenURL: endpoint.URL, ClientID: endpoint.ClientID, ClientSecret: endpoint.ClientSecret}
	check := func() (findings []doctor.Finding, statuses []string) {
		up := newUpstream(t, o)
		var p doctor.Prober
		t.Cleanup(p.Close)
		for _, f := range up.Check(t.Context(), &p, "upstream x", nil) {
			findings = append(findings, f)
			statuses = append(statuses, f.Check+": "+string(f.Status))
			assert.NotContains(t, f.Message+f.Fix, secret)
		}
		return findings, statuses
	}
	_, statuses := check()
	assert.Equal(t, []string{"upstream x: oauth2: ok", "upstream x: ok"}, statuses)

	o.OAuth2.ClientSecret = secret
	findings, statuses := check()
	assert.Equal(t, []string{"upstream x: oauth2: problem", "upstream x: ok"}, statuses)
	assert.Contains(t, findings[0].Message, "the token endpoint answered 401")
	assert.Contains(t, findings[1].Message, "can be reached", "without a token, nothing is asked")
	assert.Zero(t, posts)
}
