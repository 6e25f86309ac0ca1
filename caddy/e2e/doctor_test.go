package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// What the doctor must not print.
const (
	deskToken    = "the-token-of-the-desk"
	clientSecret = "the-secret-of-the-client"
	secretPath   = "T0SECRET/B0SECRET/PATHSECRET"
	signSecret   = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
)

// doctorSays runs the command, and returns its exit status and what it printed on
// standard output. Neither that nor the log has a secret.
func doctorSays(t *testing.T, env []string, args ...string) (status int, printed string) {
	t.Helper()
	cmd := command(t, env, "kindly-caddy", append([]string{"kindly", "doctor"}, args...)...)
	var out, logged bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &logged
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		require.IsType(t, new(exec.ExitError), err)
	}
	for _, wrong := range []string{secret, verifyToken, apiKey, encryptionKey, deskToken, clientSecret, "SECRET/", "PATHSECRET", signSecret, "panic"} {
		require.NotContains(t, out.String()+logged.String(), wrong)
	}
	if status = cmd.ProcessState.ExitCode(); status != 0 && out.Len() == 0 {
		return status, logged.String()
	}
	return status, out.String()
}

// newSecureDesk starts a help desk as Jira is one, by https. Whatever
// makes a ticket is counted.
func newSecureDesk(t *testing.T, date func() time.Time) (server *httptest.Server, ca string, tickets *atomic.Int64) {
	t.Helper()
	tickets = new(atomic.Int64)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			tickets.Add(1)
		}
		w.Header().Set("Date", date().UTC().Format(http.TimeFormat))
		if user, token, _ := r.BasicAuth(); user != "me@example.com" || token != deskToken {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"accountId": "1"}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))), tickets
}

// TestDoctor checks a healthy configuration, before its server runs and beside it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.kindly.Strict = true
	desk, ca, tickets := newSecureDesk(t, time.Now)
	tokens := kindlytest.NewTokenEndpoint()
	t.Cleanup(tokens.Close)
	address := strings.Replace(freeAddress(t), "127.0.0.1", "localhost", 1)
	trusted := "transport http {\n\t\t\t\ttls_trust_pool file " + ca + "\n\t\t\t\ttls_server_name example.com\n\t\t\t}"
	sites := site("https://"+address, "tls internal", s.webhook("/kindly",
		"verify_token {env.KINDLY_VERIFY_TOKEN}",
		"chat_auth "+repositoryFile(t, "examples/jira-service-management/chat-public.pem"),
		"upstream jira "+desk.URL+" {\n\t\t\temail me@example.com\n\t\t\tapi_token {env.DESK_TOKEN}\n\t\t\tproject SUP\n\t\t\t"+trusted+"\n\t\t}",
		"upstream "+desk.URL+"/"+secretPath+" {\n\t\t\tname own\n\t\t\tsign {env.SIGN}\n\t\t\t"+trusted+"\n\t\t}",
		"upstream "+s.desk.URL+"/"+secretPath+" {\n\t\t\tname tokens\n\t\t\toauth2 "+tokens.URL+" "+tokens.ClientID+" "+tokens.ClientSecret+"\n\t\t}",
	))
	c := &caddy{admin: freeAddress(t), data: t.TempDir()}
	options := "\tdefault_bind 127.0.0.1\n" + encrypted
	config := file(t, "Caddyfile", c.caddyfile(options, sites))
	env := append(c.env(), "DESK_TOKEN="+deskToken, "SIGN="+signSecret)

	status, printed := doctorSays(t, env, "--config", config)
	require.Zero(t, status, printed)
	for _, line := range []string{
		`kindly_webhook "default" of localhost`,
		`ok +secret +it is set; whether it is Kindly's, only a webhook tells`,
		`ok +api_key +Kindly's API takes the key: it refuses a wrong one, and not this one`,
		`ok +chat_auth +.*chat-public.pem has 1 public key`,
		`ok +upstream default +127\.0\.0\.1:\d+ can be reached;`,
		`ok +upstream jira +it takes the credentials \(GET /rest/api/3/myself\)`,
		`ok +upstream own +127\.0\.0\.1:\d+ can be reached, and its certificate is good;`,
		`ok +upstream tokens: oauth2 +the token endpoint gives a token`,
		`ok +upstream tokens +127\.0\.0\.1:\d+ can be reached`,
		`unknown +certificate localhost +nothing listens at 127\.0\.0\.1:\d+: it can be checked when the server runs`,
		`ok +configuration +it is valid`,
		`ok +store +.*deliveries.db can be made by `,
		`ok +encryption_key +the key [0-9a-f]{16} encrypts`,
		`ok +clock +it agrees with that of a server that was asked`,
		`no problems`,
	} {
		require.Regexp(t, line, printed)
	}
	require.Equal(t, 2, s.kindly.Count(), "the key, and a wrong one")
	require.Equal(t, 1, tokens.Issued())
	left, err := os.ReadDir(c.data)
	require.NoError(t, err)
	require.Empty(t, left, "it leaves no files")

	c.process = runWithFile(t, env, c.caddyfile(options, sites))
	c.eventually("the admin API answers", c.answers)
	trust(t, c, strings.Replace(address, "localhost", "127.0.0.1", 1))
	status, printed = doctorSays(t, env, "--config", config)
	require.Equal(t, 1, status, "Kindly does not trust Caddy's own authority")
	require.Regexp(t, `problem +certificate localhost +certificate refused: it is signed by an unknown authority`, printed)
	require.Regexp(t, `ok +store +.*deliveries.db is in use by a server that runs`, printed)
	require.Contains(t, printed, "1 problem, 0 warnings")
	root := filepath.Join(c.data, "caddy", "pki", "authorities", "local", "root.crt")
	status, printed = doctorSays(t, append(env, "SSL_CERT_FILE="+root), "--config", config)
	require.Zero(t, status, printed)
	require.Regexp(t, `ok +certificate localhost +it is good until `, printed)
	c.running()

	require.Zero(t, tickets.Load(), "it makes no ticket")
	require.Zero(t, s.desk.Attempts())
}

// TestDoctor_faults has everything wrong at once, and is told of all of it.
func TestDoctor_faults(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.kindly.APIKey = "another key"
	desk, ca, tickets := newSecureDesk(t, func() time.Time { return time.Now().Add(-time.Hour) })
	tokens := kindlytest.NewTokenEndpoint()
	t.Cleanup(tokens.Close)
	closed, plain := freeAddress(t), freeAddress(t)
	trusted := "transport http {\n\t\t\t\ttls_trust_pool file " + ca + "\n\t\t\t\ttls_server_name example.com\n\t\t\t}"
	config := file(t, "Caddyfile", "{\n\tkindly {\n\t\tstore bolt /dev/null/deliveries.db\n\t}\n}\n"+
		site("http://shop.example.com:"+plain[strings.LastIndex(plain, ":")+1:], s.webhook("/kindly",
			"verify_token {env.KINDLY_UNSET}",
			"chat_auth /nonexistent/chat.pem {file./nonexistent/name}",
			"upstream jira "+desk.URL+" {\n\t\t\temail me@example.com\n\t\t\tapi_token "+deskToken+"-wrong\n\t\t\tproject SUP\n\t\t\t"+trusted+"\n\t\t}",
			"upstream slack http://"+closed+"/services/"+secretPath,
			"upstream "+desk.URL+"/"+secretPath+" {\n\t\t\tname untrusted\n\t\t\tsign "+signSecret+"\n\t\t}",
			"upstream "+desk.URL+"/"+secretPath+" {\n\t\t\tname tokens\n\t\t\toauth2 "+tokens.URL+" me "+clientSecret+"\n\t\t\t"+trusted+"\n\t\t}",
			"upstream https://desk.invalid/"+secretPath+" {\n\t\t\tname gone\n\t\t\theader Authorization {env.DESK_UNSET}\n\t\t}",
			`reply "Thanks {env.REPLY_UNSET}"`,
		)))
	env := []string{"KINDLY_SECRET=" + secret + "\n", "KINDLY_API_KEY=" + apiKey}

	status, printed := doctorSays(t, env, "--config", config)
	require.Equal(t, 1, status, printed)
	for _, line := range []string{
		`warning +secret +it has a space or a line break in it`,
		`problem +placeholder +{env.KINDLY_UNSET} has no value, and is in verify_token`,
		`problem +placeholder +{env.DESK_UNSET} has no value, and is in upstreams.headers.Authorization`,
		`warning +placeholder +{env.REPLY_UNSET} has no value, and is in reply.default`,
		`problem +placeholder +{file./nonexistent/name} has no value, and is in chat_auth.key_files`,
		`problem +api_key +Kindly's API answers 401 Unauthorized: it refuses the key`,
		`problem +chat_auth +/nonexistent/chat.pem: there is no such file`,
		`unknown +chat_auth +it is not checked without a value of {file./nonexistent/name}`,
		`problem +upstream jira +the upstream answered 401 Unauthorized to GET /rest/api/3/myself: it refuses the credentials`,
		`→ check .email. and .api_token., or .access_token. of this upstream`,
		`problem +upstream slack +127\.0\.0\.1:\d+ cannot be reached: dial: connection refused`,
		`problem +upstream untrusted +127\.0\.0\.1:\d+ cannot be reached: certificate refused: it is signed by an unknown authority`,
		`problem +upstream tokens: oauth2 +the token endpoint answered 401 Unauthorized, invalid_client: check client id and client secret`,
		`unknown +upstream gone +it is not checked without a value of {env.DESK_UNSET}`,
		`warning +certificate shop.example.com +the site is served without TLS`,
		`problem +configuration +Caddy does not start with it: kindly_webhook "default": verify_token: placeholder {env.KINDLY_UNSET} has no value`,
		`problem +store +store bolt /dev/null/deliveries.db: .*not a directory`,
		`problem +clock +it is .* fast, by the Date of the servers that were asked; chat_auth and sign depend on it`,
		`12 problems, 3 warnings`,
	} {
		require.Regexp(t, line, printed)
	}

	status, printed = doctorSays(t, env, "--config", config, "--json")
	require.Equal(t, 1, status)
	var document struct {
		Webhooks []struct {
			Name     string
			Hosts    []string
			Findings []struct{ Check, Status, Message, Fix string }
		}
		Server             []struct{ Check, Status, Message, Fix string }
		Problems, Warnings int
	}
	decoder := json.NewDecoder(strings.NewReader(printed))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&document))
	require.Equal(t, 12, document.Problems)
	require.Equal(t, 3, document.Warnings)
	require.Len(t, document.Webhooks, 1)
	require.Equal(t, []string{"shop.example.com"}, document.Webhooks[0].Hosts)
	require.Len(t, document.Server, 3)
	require.Zero(t, tickets.Load())
	require.Zero(t, s.desk.Attempts())
}

func TestDoctor_wrongUse(t *testing.T) {
	t.Parallel()
	good := file(t, "Caddyfile", site("http://localhost", directive("/kindly", "secret {env.FROM_FILE}")))
	variables := file(t, "kindly.env", "FROM_FILE="+secret+"\n")
	adapted := file(t, "config.json", `{"apps": {"http": {"servers": {"a": {"listen": [":80"], "routes": [{"handle": [{"handler": "kindly_webhook", "secrets": ["`+secret+`"], "transcript": {"off": true}}]}]}}}}}`)
	for what, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no configuration": {nil, 1, "no configuration: write --config <path>, or run this where the Caddyfile is"},
		"no such file":     {[]string{"--config", "/nonexistent/Caddyfile"}, 1, "no such file or directory"},
		"no such envfile":  {[]string{"--config", good, "--envfile", "/nonexistent/env"}, 1, "--envfile: open /nonexistent/env"},
		"no webhook":       {[]string{"--config", file(t, "Caddyfile", site("http://localhost", "respond hello"))}, 1, "the configuration has no kindly_webhook: there is nothing to check"},
		"not adaptable":    {[]string{"--config", file(t, "Caddyfile", site("http://localhost", directive("/kindly", "secret")))}, 1, "secret has no value: write `secret <secret...>`"},
		"an argument":      {[]string{good}, 1, "unknown command"},
		"unset":            {[]string{"--config", good}, 1, "{env.FROM_FILE} has no value"},
		"envfile":          {[]string{"--config", good, "--envfile", variables}, 1, "api_key is missing"},
		"JSON":             {[]string{"--config", adapted}, 0, "there is none: no kindly_webhook has an upstream"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			status, printed := doctorSays(t, nil, c.args...)
			require.Equal(t, c.status, status, printed)
			require.Contains(t, printed, c.want)
		})
	}
}
