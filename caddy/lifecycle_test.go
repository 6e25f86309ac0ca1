package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

func init() {
	caddy.RegisterModule(new(sibling))
}

// sibling is an app that may fail to start.
type sibling struct{}

var siblingFails atomic.Bool

func (*sibling) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "kindly_test_sibling", New: func() caddy.Module { return new(sibling) }}
}

func (*sibling) Start() error {
	if siblingFails.Load() {
		return errors.New("the sibling does not start")
	}
	return nil
}

func (*sibling) Stop() error { return nil }

// lifecycle is Caddy within the test's own process. There is only one.
type lifecycle struct {
	t       *testing.T
	address string
	dir     string // for all its data
	kindly  *kindlytest.Kindly
	desk    *kindlytest.HelpDesk
}

const lifecycleSecret = "secret"

// newLifecycle ends Caddy after the test, and proves that nothing of it is
// left.
func newLifecycle(t *testing.T) *lifecycle {
	options := []goleak.Option{
		goleak.IgnoreCurrent(),
		// It notices some seconds later that the lock is gone.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	}
	l := &lifecycle{t: t, dir: t.TempDir(), kindly: kindlytest.NewKindly(), desk: kindlytest.NewHelpDesk()}
	t.Setenv("XDG_DATA_HOME", l.dir)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.address = listener.Addr().String()
	require.NoError(t, listener.Close())
	t.Cleanup(func() {
		require.NoError(t, caddy.Stop())
		l.desk.Close()
		l.kindly.Close()
		l.closeIdle()
		require.False(t, hasRuntime(), "the runtime outlives the last configuration")
		goleak.VerifyNone(t, options...)
	})
	return l
}

// site returns a Caddyfile with a site of some directives, and global options.
func (l *lifecycle) site(directives string, options ...string) string {
	return "{\n\tadmin off\n\tpersist_config off\n\tstorage file_system " + l.dir + "\n" +
		"\tlog {\n\t\toutput file " + l.dir + "/log {\n\t\t\troll_disabled\n\t\t}\n\t}\n" + strings.Join(options, "") + "}\n" +
		"http://" + l.address + " {\n" + directives + "\n\tmetrics /metrics\n}\n"
}

// webhook returns the directive for a webhook at a path of its own name.
func (l *lifecycle) webhook(name, upstream string) string {
	return fmt.Sprintf("\tkindly_webhook /%s %[1]s {\n\t\tsecret %s\n\t\tapi_key %s\n\t\ttranscript {\n\t\t\tapi %s\n\t\t}\n\t\tupstream %s\n\t}\n",
		name, lifecycleSecret, l.kindly.APIKey, l.kindly.URL, upstream)
}

// config adapts a Caddyfile, and adds the sibling.
func (l *lifecycle) config(caddyfile string) []byte {
	l.t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	require.NoError(l.t, err)
	var config map[string]any
	require.NoError(l.t, json.Unmarshal(adapted, &config))
	config["apps"].(map[string]any)["kindly_test_sibling"] = map[string]any{}
	adapted, err = json.Marshal(config)
	require.NoError(l.t, err)
	return adapted
}

// fail loads a configuration that does not start, and returns why.
func (l *lifecycle) fail(caddyfile string) error {
	l.t.Helper()
	err := caddy.Load(l.config(caddyfile), true)
	require.Error(l.t, err)
	l.closeIdle()
	return err
}

func (l *lifecycle) load(caddyfile string) {
	l.t.Helper()
	require.NoError(l.t, caddy.Load(l.config(caddyfile), true))
	l.closeIdle()
}

// closeIdle closes connections to servers that have gone.
func (l *lifecycle) closeIdle() {
	l.kindly.Client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
}

func (l *lifecycle) validate(caddyfile string) error {
	l.t.Helper()
	var config caddy.Config
	require.NoError(l.t, json.Unmarshal(l.config(caddyfile), &config))
	return caddy.Validate(&config)
}

func (l *lifecycle) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	l.t.Cleanup(cancel)
	return ctx
}

// send sends the webhook of a chat, which must be accepted. It tries again
// where Caddy resets a connection because it closes a server's listener.
func (l *lifecycle) send(name, chatID string) (answer string) {
	l.t.Helper()
	ctx := l.context()
	for {
		response, err := l.kindly.Send(ctx, "http://"+l.address+"/"+name, lifecycleSecret, kindlytest.DialogueWebhookFor(chatID))
		if err != nil && ctx.Err() == nil {
			continue
		}
		require.NoError(l.t, err)
		require.Equal(l.t, http.StatusOK, response.Status)
		return string(response.Body)
	}
}

// metric returns the value of a metric, 0 if it is not there.
func (l *lifecycle) metric(name string) int {
	l.t.Helper()
	response, err := http.Get("http://" + l.address + "/metrics")
	require.NoError(l.t, err)
	defer response.Body.Close()
	require.Equal(l.t, http.StatusOK, response.StatusCode)
	metrics, err := io.ReadAll(response.Body)
	require.NoError(l.t, err)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindSubmatch(metrics)
	if found == nil {
		return 0
	}
	value, err := strconv.Atoi(string(found[1]))
	require.NoError(l.t, err)
	return value
}

// hasRuntime tells whether anything has a store open, or says so.
func hasRuntime() bool {
	open := currentRuntime() != nil
	runtimes.Range(func(any, any) bool {
		open = true
		return false
	})
	return open
}

// requireOneUser fails unless there is one runtime, of one configuration.
func requireOneUser(t *testing.T) {
	t.Helper()
	all := 0
	runtimes.Range(func(any, any) bool {
		all++
		return true
	})
	require.Equal(t, 1, all)
	require.NotNil(t, currentRuntime())
	require.Equal(t, 1, currentRuntime().users())
}

func TestValidateTouchesNothing(t *testing.T) {
	l := newLifecycle(t)
	good := l.site(l.webhook("shop", l.desk.URL))
	require.NoError(t, l.validate(good))
	require.False(t, hasRuntime())
	require.NoFileExists(t, l.deliveries())

	l.load(good)
	requireOneUser(t)
	require.NoError(t, l.validate(l.site(l.webhook("other", l.desk.URL))))
	require.NoError(t, l.validate(l.site(l.webhook("other", l.desk.URL), options("store bolt "+l.file("other.db")))))
	require.NoFileExists(t, l.file("other.db"))
	require.Error(t, l.validate(l.site(l.webhook("-", l.desk.URL))))
	requireOneUser(t)
	l.send("shop", "chat-1")
	require.NoError(t, l.desk.Wait(l.context(), 1))
}

func TestCleanupWithoutStart(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("shop", l.desk.URL)))
	ctx, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: json.RawMessage(`{"module": "file_system", "root": "` + l.dir + `"}`)})
	require.NoError(t, err)
	app := new(App)
	require.NoError(t, app.Provision(ctx))
	require.NoError(t, app.Stop())
	require.NoError(t, app.Cleanup())
	require.NoError(t, app.Cleanup(), "a second time")
	requireOneUser(t)
}

// TestFailedReload proves that a configuration that does not start leaves the
// running one as it was. Apps start in no fixed order, hence several times.
func TestFailedReload(t *testing.T) {
	l := newLifecycle(t)
	other := kindlytest.NewHelpDesk()
	defer other.Close()
	l.load(l.site(l.webhook("shop", l.desk.URL)))
	siblingFails.Store(true)
	defer siblingFails.Store(false)
	for i := range 10 {
		err := l.fail(l.site(l.webhook("shop", other.URL) + l.webhook("more", other.URL)))
		require.ErrorContains(t, err, "the sibling does not start")
		requireOneUser(t)
		l.send("shop", fmt.Sprintf("chat-%d", i))
		require.NoError(t, l.desk.Wait(l.context(), i+1))
	}
	require.Zero(t, other.Attempts())
}

// TestReloads proves that a delivery goes where the newest configuration of
// its name says.
func TestReloads(t *testing.T) {
	l := newLifecycle(t)
	other := kindlytest.NewHelpDesk()
	defer other.Close()
	l.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	l.load(l.site(l.webhook("shop", l.desk.URL)))
	l.send("shop", "chat-1")

	l.load(l.site(l.webhook("gone", l.desk.URL)))
	requireOneUser(t)
	l.send("gone", "chat-2")

	l.load(l.site(l.webhook("shop", other.URL)))
	requireOneUser(t)
	require.NoError(t, other.Wait(l.context(), 1))
	require.Contains(t, string(other.Tickets()[0].Body), "chat-1")
	require.Equal(t, 1, other.Count())
	require.Zero(t, l.desk.Count())
}

func TestReloadWithoutKindly(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("shop", l.desk.URL)))
	l.send("shop", "chat-1")
	l.load(l.site(""))
	require.False(t, hasRuntime())
	l.load(l.site(l.webhook("shop", l.desk.URL)))
	requireOneUser(t)
	l.send("shop", "chat-2")
	require.NoError(t, l.desk.Wait(l.context(), 2))
}

func TestMetricsGoOnOverReloads(t *testing.T) {
	l := newLifecycle(t)
	site := l.site(l.webhook("metered", l.desk.URL) + l.webhook("too", l.desk.URL+"/too"))
	l.load(site)
	// Of one round; the counters may be from an earlier run of this test.
	growth := map[string]int{
		`caddy_kindly_webhooks_total{event="dialogue",name="metered",outcome="delivered"}`: 1,
		`caddy_kindly_webhooks_total{event="dialogue",name="metered",outcome="duplicate"}`: 1,
		`caddy_kindly_webhooks_total{event="dialogue",name="too",outcome="delivered"}`:     1,
		`caddy_kindly_signatures_total{name="metered",secret="1"}`:                         2,
		`caddy_kindly_signatures_total{name="too",secret="1"}`:                             1,
		`caddy_kindly_losses_total{name="metered",reason="duplicate",upstream="default"}`:  1,
		`caddy_kindly_transcripts_missing_total{name="too"}`:                               0,
	}
	before := make(map[string]int)
	for metric := range growth {
		before[metric] = l.metric(metric)
	}
	for round := 1; round <= 3; round++ {
		chat := fmt.Sprintf("chat-%d", round)
		l.send("metered", chat)
		l.send("metered", chat)
		l.send("too", chat)
		for metric, by := range growth {
			require.Equal(t, before[metric]+round*by, l.metric(metric), "%s in round %d", metric, round)
		}
		l.load(site)
	}
}

// TestTwins proves which handlers of one name are one webhook.
func TestTwins(t *testing.T) {
	l := newLifecycle(t)
	webhook := l.webhook("shop", l.desk.URL)
	transport := func(subdirective string) string {
		return "\tkindly_webhook /shop shop {\n\t\tsecret s\n\t\ttranscript off\n\t\tupstream " + l.desk.URL +
			" {\n\t\t\ttransport http {\n\t\t\t\t" + subdirective + "\n\t\t\t}\n\t\t}\n\t}\n"
	}
	require.NoError(t, l.validate(l.site(webhook+webhook)))
	const refusal = `kindly_webhook "shop": another kindly_webhook with different settings has the same name: give each a name of its own`
	require.ErrorContains(t, l.validate(l.site(webhook+l.webhook("shop", l.desk.URL+"/other"))), refusal)
	require.NoError(t, l.validate(l.site(transport("dial_timeout 1s")+transport("dial_timeout 1s"))))
	require.ErrorContains(t, l.validate(l.site(transport("dial_timeout 1s")+transport("dial_timeout 2s"))), refusal)
}
