package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// check returns what an upstream's check has found.
func check(t *testing.T, o Options, header http.Header) []doctor.Finding {
	t.Helper()
	up := newUpstream(t, o)
	var p doctor.Prober
	t.Cleanup(p.Close)
	findings := up.Check(t.Context(), &p, "upstream x", header)
	text, err := json.Marshal(findings)
	require.NoError(t, err)
	for _, f := range findings {
		assert.Equal(t, f.Status == doctor.Problem || f.Status == doctor.Warning, f.Fix != "", f)
	}
	for _, hidden := range []string{secret, "hidden"} {
		assert.NotContains(t, string(text), hidden)
	}
	return findings
}

// What each preset asks, for people to look at: by GET, with the credentials, and
// nothing that is about a ticket. Those without such a request are left alone.
func TestCheck_golden(t *testing.T) {
	var out bytes.Buffer
	var without []string
	for _, p := range preset.All() {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			assert.Empty(t, body, p.Name)
			assert.Empty(t, r.Header.Get(IdempotencyKey))
			assert.Empty(t, r.Header.Get("If-None-Match"))
			assert.Empty(t, r.Header.Get("Content-Type"))
			line := r.Method + " " + r.RequestURI + "\n"
			for _, field := range []string{"Accept", "Authorization", "Intercom-Version", "Odata-Version", "Private-Token", "X-Github-Api-Version", "X-Redmine-Api-Key"} {
				if value := r.Header.Get(field); value != "" {
					line += field + ": " + value + "\n"
				}
			}
			asked = append(asked, line)
			_, _ = io.WriteString(w, `{"type":"admin","user":{"id":7}}`)
		}))
		findings := check(t, presetOptions(t, p.Name, server.URL+"/base"), nil)
		server.Close()
		require.Len(t, findings, 1)
		require.Equal(t, doctor.OK, findings[0].Status, "%s: %s", p.Name, findings[0].Message)
		if p.Check == nil {
			require.Empty(t, asked, p.Name)
			assert.Contains(t, findings[0].Message, "can be reached; whether it takes tickets and credentials, only a ticket tells")
			without = append(without, p.Name)
			continue
		}
		require.Len(t, asked, 1, p.Name)
		assert.Contains(t, findings[0].Message, "it takes the credentials (GET "+p.Check.Path+")")
		assert.Regexp(t, `^https://`, p.Check.Source)
		fmt.Fprintf(&out, "%s\n%s\n", p.Name, asked[0])
	}
	assert.Equal(t, []string{"dixa", "linear", "slack"}, without)
	file := filepath.Join("testdata", "preset", "check.txt")
	if *update {
		require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

func TestCheck_answers(t *testing.T) {
	for what, c := range map[string]struct {
		preset  string
		status  int
		body    string
		want    doctor.Status
		message string
		fix     string
	}{
		"good":               {"jira", 200, `{"accountId":"1"}`, doctor.OK, "it takes the credentials (GET /rest/api/3/myself)", ""},
		"a list":             {"servicenow", 200, `[]`, doctor.OK, "it takes the credentials", ""},
		"wrong credentials":  {"jira", 401, "hidden", doctor.Problem, "the upstream answered 401 Unauthorized to GET /rest/api/3/myself: it refuses the credentials", "check `email` and `api_token`, or `access_token` of this upstream"},
		"forbidden":          {"github", 403, "{}", doctor.Warning, "403 Forbidden", "`token` of this upstream"},
		"no such repository": {"github", 404, "{}", doctor.Problem, "there is no such thing, or the account may not see it", "check the URL and `owner` and `repo`"},
		"a page":             {"jira", 200, "<html>hidden</html>", doctor.Problem, "the upstream answered 200 OK to GET /rest/api/3/myself, but not as Jira does for somebody who is logged in", "check the URL, and `email`"},
		"nothing":            {"jira", 204, "", doctor.Problem, "204 No Content", "check the URL"},
		"anonymous":          {"zendesk", 200, `{"user":{"id":null,"name":"Anonymous user"}}`, doctor.Problem, "but not as Zendesk does", "`email` and `api_token`"},
		"another type":       {"intercom", 200, `{"type":"error.list"}`, doctor.Problem, "but not as Intercom does", "`access_token`"},
		"a log-in page":      {"jira", 302, "", doctor.Problem, "redirects are not followed", "write the URL that Jira is at itself"},
		"too many":           {"jira", 429, "", doctor.Warning, "that may be over soon", "check again in a while"},
		"down":               {"jira", 503, "hidden", doctor.Warning, "that may be over soon", "check again in a while"},
		"odd":                {"front", 418, "", doctor.Problem, "418 I'm a teapot", "check the URL and `inbox_id`, and `api_token` of this upstream"},
	} {
		t.Run(what, func(t *testing.T) {
			asked := 0
			server := listen(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				assert.Equal(t, http.MethodGet, r.Method)
				w.Header().Set("Location", "/hidden")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			findings := check(t, presetOptions(t, c.preset, server.URL), nil)
			require.Len(t, findings, 1)
			f := findings[0]
			assert.Equal(t, "upstream x", f.Check)
			assert.Equal(t, c.want, f.Status, f)
			assert.Contains(t, f.Message, c.message)
			assert.Contains(t, f.Fix, c.fix)
			assert.Equal(t, 1, asked)
		})
	}
}

// Credentials that the operator has in a header or in the URL are those that are
// checked.
func TestCheck_ownCredentials(t *testing.T) {
	server := listen(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret || r.Host != "desk.example" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{}`)
	})
	o := Options{Preset: "jira", URL: server.URL, PresetOptions: map[string]any{"project": "SUP"}, Fields: []string{"Authorization", "Host"}}
	header := http.Header{"Authorization": {"Bearer " + secret}, "Host": {"desk.example"}}
	assert.Equal(t, doctor.OK, check(t, o, header)[0].Status)
	assert.Equal(t, "desk.example", header.Get("Host"), "the header stays the caller's")
	assert.Equal(t, doctor.Problem, check(t, o, http.Header{"Authorization": {"Bearer other"}})[0].Status)

	server = listen(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != secret {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{}`)
	})
	o.URL, o.Fields = strings.Replace(server.URL, "://", "://me:"+secret+"@", 1), nil
	assert.Equal(t, doctor.OK, check(t, o, nil)[0].Status)
}

// An upstream of one's own is connected to, and not asked anything.
func TestCheck_reach(t *testing.T) {
	asked := 0
	server := listen(t, func(http.ResponseWriter, *http.Request) { asked++ })
	f := check(t, Options{URL: server.URL + "/hidden"}, http.Header{"Authorization": {secret}})[0]
	assert.Equal(t, doctor.OK, f.Status)
	assert.Contains(t, f.Message, "can be reached; whether it takes tickets and credentials, only a ticket tells")
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	secure.Config.ErrorLog = server.Config.ErrorLog
	secure.StartTLS()
	t.Cleanup(secure.Close)
	f = check(t, Options{URL: secure.URL + "/hidden", Transport: secure.Client().Transport}, nil)[0]
	assert.Equal(t, doctor.OK, f.Status)
	assert.Contains(t, f.Message, "and its certificate is good")
	f = check(t, Options{URL: secure.URL + "/hidden"}, nil)[0]
	assert.Equal(t, doctor.Problem, f.Status)
	assert.Contains(t, f.Message, "cannot be reached: certificate refused: it is signed by an unknown authority")
	server.Close()
	f = check(t, Options{URL: server.URL + "/hidden"}, nil)[0]
	assert.Equal(t, doctor.Problem, f.Status)
	assert.Contains(t, f.Message, "cannot be reached: dial: connection refused")
	o := presetOptions(t, "jira", server.URL)
	f = check(t, o, nil)[0]
	assert.Equal(t, doctor.Problem, f.Status)
	f = check(t, Options{URL: "https://desk.example", Transport: roundTripper(nil)}, nil)[0]
	assert.Equal(t, doctor.Unknown, f.Status)
	assert.Zero(t, asked)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCheck_slow(t *testing.T) {
	hanging := make(chan struct{})
	server := listen(t, func(http.ResponseWriter, *http.Request) { <-hanging })
	defer close(hanging)
	up := newUpstream(t, presetOptions(t, "jira", server.URL))
	var p doctor.Prober
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f := up.Check(ctx, &p, "upstream x", nil)[0]
	assert.Equal(t, doctor.Problem, f.Status)
	assert.Contains(t, f.Message, "cannot be reached: timeout")
}
