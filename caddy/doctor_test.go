package kindly

import (
	"context"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

func TestFindWebhooks(t *testing.T) {
	webhook := `{"handler": "kindly_webhook", "name": "shop", "max_body": 12345678901, "secrets": ["s"]}`
	other := `{"handler": "kindly_webhook", "secrets": ["s"]}`
	routes := func(host, handler string) string {
		return `[{"match": [{"host": ["` + host + `"]}], "handle": [{"handler": "subroute", "routes": [{"handle": [` + handler + `]}]}]}]`
	}
	found, err := findWebhooks([]byte(`{"apps": {"http": {"servers": {
		"a": {"listen": [":443"], "routes": ` + routes("one.example", webhook) + `},
		"b": {"listen": [":8443"], "routes": ` + routes("two.example", webhook) + `, "named_routes": {"x": {"handle": [` + other + `]}}},
		"c": null
	}}}}`))
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.Equal(t, "shop", found[0].name)
	assert.Equal(t, int64(12345678901), found[0].handler.MaxBody)
	assert.Equal(t, []string{"one.example", "two.example"}, found[0].hosts(), "one webhook under two addresses is one")
	assert.Equal(t, "default", found[1].name)
	assert.Empty(t, found[1].hosts())
	assert.Equal(t, `kindly_webhook "shop" of one.example, two.example`, (&webhookDiagnosis{Name: "shop", Hosts: found[0].hosts()}).title())

	found, err = findWebhooks([]byte(`{"apps": {"http": {"servers": {"a": {"routes": [{"handle": [{"handler": "kindly_webhook", "secret": "s3cr3t"}]}]}}}}}`))
	require.NoError(t, err)
	require.ErrorContains(t, found[0].err, `unknown field "secret"`)
	assert.NotContains(t, found[0].err.Error(), "s3cr3t")

	_, err = findWebhooks([]byte(`{"apps": []}`))
	require.ErrorContains(t, err, "the configuration is not JSON as Caddy has it")
}

func TestServerAddress(t *testing.T) {
	for what, c := range map[string]struct {
		server server
		host   string
		want   string
	}{
		"automatic":     {server{Listen: []string{":443"}}, "a.example", "localhost:443"},
		"bound":         {server{Listen: []string{"127.0.0.2:443"}}, "a.example", "127.0.0.2:443"},
		"all of IPv6":   {server{Listen: []string{"[::]:8443"}}, "a.example", "localhost:8443"},
		"HTTP port":     {server{Listen: []string{":80"}}, "a.example", ""},
		"own HTTP port": {server{Listen: []string{":8080"}, httpPort: 8080}, "a.example", ""},
		"several":       {server{Listen: []string{"unix//run/x", ":80", ":443"}}, "a.example", "localhost:443"},
		"no host":       {server{Listen: []string{":8443"}}, "", ""},
		"policies":      {server{Listen: []string{":8443"}, Policies: []any{map[string]any{}}}, "", "localhost:8443"},
		"turned off":    {func() server { s := server{Listen: []string{":8443"}}; s.Automatic.Disable = true; return s }(), "a.example", ""},
		"skipped": {func() server {
			s := server{Listen: []string{":8443"}}
			s.Automatic.Skip = []string{"a.example"}
			return s
		}(), "a.example", ""},
		"not an address": {server{Listen: []string{"tcp/:x"}}, "a.example", ""},
	} {
		assert.Equal(t, c.want, c.server.address(c.host), what)
	}
}

func TestCheckPlaceholders(t *testing.T) {
	t.Setenv("DOCTOR_SET", "s3cr3t")
	raw := map[string]any{
		"secrets":     []any{"{env.DOCTOR_SET}", "{env.DOCTOR_UNSET}"},
		"upstreams":   []any{map[string]any{"options": map[string]any{"token": "{env.DOCTOR_UNSET}{file.relative-and-missing}"}}},
		"reply":       map[string]any{"default": "{env.DOCTOR_GAP} {kindly.message} {time.now}"},
		"new_context": map[string]any{"a": `\{env.DOCTOR_LITERAL}`},
		"api_key":     "{file./nonexistent/doctor}",
	}
	findings := checkPlaceholders(raw)
	var told []string
	for _, f := range findings {
		assert.NotEmpty(t, f.Fix)
		assert.NotContains(t, f.Message, "s3cr3t")
		told = append(told, string(f.Status)+": "+f.Message)
	}
	assert.Equal(t, []string{
		"warning: {env.DOCTOR_GAP} has no value, and is in reply.default",
		"problem: {env.DOCTOR_UNSET} has no value, and is in secrets, upstreams.options.token",
		"problem: {file./nonexistent/doctor} has no value, and is in api_key",
		"problem: {file.relative-and-missing} has no value, and is in upstreams.options.token",
	}, told)
}

func TestCheckCertificates_notByName(t *testing.T) {
	secure := &server{Listen: []string{":8443"}, Policies: []any{map[string]any{}}}
	plain := &server{Listen: []string{":80"}}
	w := &webhook{places: []place{{secure, []string{"*.example.com"}}, {secure, nil}, {plain, []string{"a.example"}}, {plain, []string{"a.example"}}}}
	var told []string
	for _, check := range w.checkCertificates() {
		for _, f := range check(t.Context()) {
			told = append(told, f.Check+": "+string(f.Status)+": "+f.Message)
		}
	}
	assert.Equal(t, []string{
		"certificate *.example.com: unknown: it is not checked: the site has no certain name",
		"certificate: unknown: it is not checked: the site has no certain name",
		"certificate a.example: warning: the site is served without TLS",
	}, told)
}

func TestStoresExamine(t *testing.T) {
	f := (&MemoryStore{}).Examine(t.Context())[0]
	assert.Equal(t, doctor.Warning, f.Status)
	assert.Contains(t, f.Message, "it is in memory")
	f = (&BoltStore{path: t.TempDir()}).Examine(t.Context())[0]
	assert.Equal(t, doctor.Problem, f.Status)
	assert.Contains(t, f.Message, "it is a directory: write the path of a file")
}

// A transport of reverse_proxy can be tried without sending anything.
func TestTransportReaches(t *testing.T) {
	server := httptest.NewServer(nil)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	transport := newTransport(t)
	var p doctor.Prober
	_, err = p.Reach(t.Context(), transport, u)
	require.NoError(t, err)
	server.Close()
	var again doctor.Prober
	_, err = again.Reach(t.Context(), transport, u)
	require.EqualError(t, err, "dial: connection refused")
	u.Host = "desk.invalid"
	_, err = again.Reach(t.Context(), transport, u)
	require.EqualError(t, err, "host name cannot be resolved")
}

// A check that does not end is not waited for.
func TestExaminationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), doctorTimeout)
		defer cancel()
		e := new(examination)
		var found []doctor.Finding
		hanging := make(chan struct{})
		e.add(&found, "store",
			func(context.Context) []doctor.Finding { <-hanging; return nil },
			func(ctx context.Context) []doctor.Finding { <-ctx.Done(); return []doctor.Finding{{Check: "obedient"}} },
			func(context.Context) []doctor.Finding { return []doctor.Finding{{Check: "quick"}} })
		started := time.Now()
		e.run(ctx)
		assert.Equal(t, doctorTimeout+time.Second, time.Since(started))
		assert.Equal(t, []doctor.Finding{{Check: "store", Status: doctor.Unknown, Message: "it took too long"}, {Check: "obedient"}, {Check: "quick"}}, found)
		close(hanging)
	})
}

func TestLoadEnvFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "env")
	write := func(content string) {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	t.Setenv("DOCTOR_KEPT", "mine")
	for _, key := range []string{"DOCTOR_PLAIN", "DOCTOR_EXPORTED", "DOCTOR_LINES", "DOCTOR_QUOTED", "DOCTOR_EMPTY", "DOCTOR_EQUALS"} {
		t.Setenv(key, "") // it is taken back then
		require.NoError(t, os.Unsetenv(key))
	}
	write("# a comment\n\nDOCTOR_PLAIN=one two # why\r\nexport DOCTOR_EXPORTED=yes\nDOCTOR_LINES=\"first\nsecond \\\"third\\\"\"\nDOCTOR_QUOTED='# no comment'\nDOCTOR_EMPTY=\nDOCTOR_EQUALS=a=b\nDOCTOR_KEPT=theirs\n")
	require.NoError(t, loadEnvFile(name))
	for key, want := range map[string]string{
		"DOCTOR_PLAIN": "one two", "DOCTOR_EXPORTED": "yes", "DOCTOR_LINES": "first\nsecond \"third\"",
		"DOCTOR_QUOTED": "# no comment", "DOCTOR_EMPTY": "", "DOCTOR_EQUALS": "a=b", "DOCTOR_KEPT": "mine",
	} {
		got, set := os.LookupEnv(key)
		assert.True(t, set, key)
		assert.Equal(t, want, got, key)
	}
	for _, content := range []string{"no equals s3cr3t", "=s3cr3t", "A B=s3cr3t", "A= s3cr3t"} {
		write("DOCTOR_KEPT=1\n" + content + "\n")
		err := loadEnvFile(name)
		require.ErrorContains(t, err, "line 2 is not in the form KEY=VALUE, without spaces around =")
		assert.NotContains(t, err.Error(), "s3cr3t")
	}
	require.ErrorContains(t, loadEnvFile(filepath.Join(t.TempDir(), "none")), "--envfile: ")
}
