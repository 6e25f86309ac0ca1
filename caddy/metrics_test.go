package kindly

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// metrics returns all that Prometheus would scrape.
func (l *lifecycle) metrics() string {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.context(), http.MethodGet, "http://"+l.address+"/metrics", nil)
	require.NoError(l.t, err)
	request.Close = true // a reload would end the connection
	response, err := http.DefaultClient.Do(request)
	require.NoError(l.t, err)
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	require.NoError(l.t, err)
	require.Equal(l.t, http.StatusOK, response.StatusCode, string(metrics))
	return string(metrics)
}

// shown returns the metrics of a webhook, or of none.
func (l *lifecycle) shown(family, name string) map[string]string {
	l.t.Helper()
	shown := make(map[string]string)
	for line := range strings.Lines(l.metrics()) {
		labels, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if labels, ok := strings.CutPrefix(labels, "caddy_kindly_"+family+"{"); ok && strings.Contains(labels, `name="`+name+`"`) {
			shown[labels] = value
		}
	}
	return shown
}

// requireGauge waits until a gauge has a value: what became of a delivery is
// shown when the store knows.
func (l *lifecycle) requireGauge(name string, want int) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		return strings.Contains(l.metrics(), fmt.Sprintf("\ncaddy_kindly_%s %d\n", name, want))
	}, 10*time.Second, 10*time.Millisecond, "%s %d", name, want)
}

// TestGauges follows an upstream through an outage, a wrong password, a pause
// by hand and a reload with a second webhook.
func TestGauges(t *testing.T) {
	l := newLifecycle(t)
	site := l.site(l.webhook("gauged", l.desk.URL))
	l.load(site)
	const pending, delivered, dead = `deliveries{name="gauged",state="pending",upstream="default"}`,
		`deliveries{name="gauged",state="delivered",upstream="default"}`, `deliveries{name="gauged",state="dead",upstream="default"}`
	condition := func(want string) {
		t.Helper()
		for _, c := range []string{"healthy", "open", "paused", "paused_by_hand"} {
			value := 0
			if c == want {
				value = 1
			}
			l.requireGauge(`upstream_condition{condition="`+c+`",name="gauged",upstream="default"}`, value)
		}
	}
	condition("healthy")
	l.requireGauge(pending, 0)
	l.requireGauge(`oldest_pending_age_seconds{name="gauged",upstream="default"}`, 0)
	l.requireGauge("store_ready", 1)

	l.send("gauged", "chat-1")
	l.requireGauge(delivered, 1)

	l.desk.Fail(kindlytest.Status(http.StatusBadRequest))
	l.send("gauged", "chat-2")
	l.requireGauge(dead, 1)

	l.desk.Fail(kindlytest.Status(http.StatusUnauthorized))
	l.send("gauged", "chat-3")
	condition("paused")
	l.requireGauge(pending, 1)
	ages := l.shown("oldest_pending_age_seconds", "gauged")
	require.Len(t, ages, 1)
	require.NotEqual(t, "0", ages[`name="gauged",upstream="default"`])

	l.load(l.site(l.webhook("gauged", l.desk.URL) + l.webhook("second", l.desk.URL)))
	l.requireGauge(pending, 1)
	l.requireGauge(`deliveries{name="second",state="pending",upstream="default"}`, 0)
	require.Len(t, l.shown("deliveries", "gauged"), 3)

	require.NoError(t, currentRuntime().dispatcher.Pause(delivery.Lane{Webhook: "gauged", Upstream: "default"}))
	condition("paused_by_hand")

	l.load(l.site(l.webhook("second", l.desk.URL)))
	l.requireGauge(pending, 1)
	require.Empty(t, l.shown("upstream_condition", "gauged"), "it is not configured")

	for _, gauge := range []string{"store_size_bytes", "store_disk_size_bytes", "store_disk_free_bytes"} {
		require.Regexp(t, `(?m)^caddy_kindly_`+gauge+` [1-9]`, l.metrics())
	}
	l.load(l.site(""))
	require.NotContains(t, l.metrics(), "caddy_kindly_deliveries", "nothing runs that could tell")
}

// TestAttemptMetrics proves what attempts are counted as.
func TestAttemptMetrics(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("attempted", l.desk.URL)))
	const prefix = `caddy_kindly_attempts_total{name="attempted",outcome="`
	before := make(map[string]int)
	count := func(outcome, stage string) int {
		metric := prefix + outcome + `",stage="` + stage + `",upstream="default"}`
		n := l.metric(metric) - before[metric]
		before[metric] += n
		return n
	}
	for _, r := range [][2]string{{"delivered", "upstream"}, {"permanent", "upstream"}, {"unknown", "upstream"}, {"transient", "transcript"}} {
		count(r[0], r[1])
	}
	durations := l.metric(`caddy_kindly_attempt_duration_seconds_count{name="attempted",upstream="default"}`)
	answers := l.metric(`caddy_kindly_webhook_duration_seconds_count{name="attempted"}`)

	l.send("attempted", "chat-1")
	require.Equal(t, 1, count("delivered", "upstream"))
	l.desk.FailNext(1, kindlytest.Status(http.StatusBadRequest))
	l.send("attempted", "chat-2")
	require.Equal(t, 1, count("permanent", "upstream"))
	l.desk.Fail(kindlytest.Reset())
	l.send("attempted", "chat-3")
	require.Positive(t, count("unknown", "upstream"))
	l.desk.Recover()
	l.kindly.FailNext(1, kindlytest.Status(http.StatusServiceUnavailable))
	l.send("attempted", "chat-4")
	require.Equal(t, 1, count("transient", "transcript"))
	require.NoError(t, l.desk.Wait(l.context(), 3))

	response, err := l.kindly.Send(l.context(), "http://"+l.address+"/attempted", "wrong", kindlytest.DialogueWebhook())
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.Status)
	require.Equal(t, answers+4, l.metric(`caddy_kindly_webhook_duration_seconds_count{name="attempted"}`), "what was refused is not timed")
	require.GreaterOrEqual(t, l.metric(`caddy_kindly_attempt_duration_seconds_count{name="attempted",upstream="default"}`), durations+4)
}

// TestStrangersMakeNoLabels proves that neither refused nor signed webhooks add
// a time series that the configuration does not have.
func TestStrangersMakeNoLabels(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("open", l.desk.URL)))
	send := func(secret string, body []byte) {
		_, err := l.kindly.Send(l.context(), "http://"+l.address+"/open", secret, body)
		require.NoError(t, err)
	}
	sent := 0
	flood := func(n int) {
		for i := sent; i < sent+n; i++ {
			send(lifecycleSecret, kindlytest.TicketWebhookFor(fmt.Sprintf("ticket.invented-%d", i), fmt.Sprintf("chat-%d", i)))
			send(fmt.Sprintf("guess-%d", i), kindlytest.DialogueWebhookFor(fmt.Sprintf("chat-%d", i)))
		}
		sent += n
	}
	flood(1)
	series := func() int { return strings.Count(l.metrics(), "\ncaddy_kindly_") }
	before := series()
	flood(20)
	require.Equal(t, before, series())
	require.NotContains(t, l.metrics(), "invented")
	require.Contains(t, l.shown("webhooks_total", "open"), `event="other",name="open",outcome="delivered"`)
}

// TestMetricsAreThere proves that what alerts look at is there before anything
// has happened.
func TestMetricsAreThere(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("quiet", l.desk.URL)))
	metrics := l.metrics()
	for _, series := range []string{
		`webhooks_total{event="",name="quiet",outcome="refused_signature"} 0`,
		`webhooks_total{event="",name="quiet",outcome="refused_store"} 0`,
		`webhooks_total{event="dialogue",name="quiet",outcome="not_stored"} 0`,
		`signatures_total{name="quiet",secret="1"} 0`,
		`transcripts_missing_total{name="quiet"} 0`,
		`losses_total{name="quiet",reason="dead",upstream="default"} 0`,
		`attempts_total{name="quiet",outcome="unknown",stage="upstream",upstream="default"} 0`,
	} {
		require.Contains(t, metrics, "\ncaddy_kindly_"+series+"\n")
	}
}

// TestMetricsAreClean has promtool check all metrics.
func TestMetricsAreClean(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("clean", l.desk.URL)))
	l.send("clean", "chat-1")
	var ours strings.Builder
	for line := range strings.Lines(l.metrics()) {
		if strings.Contains(line, "caddy_kindly_") {
			ours.WriteString(line)
		}
	}
	require.NotEmpty(t, ours.String())
	promtool(t, strings.NewReader(ours.String()), "check", "metrics")
}

// promtool runs Prometheus' tool, which must find nothing to say against what
// it is given.
func promtool(t *testing.T, in io.Reader, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: it comes with Prometheus")
	}
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &complaints
	require.NoError(t, cmd.Run(), "%s%s", out.String(), complaints.String())
	require.Empty(t, complaints.String())
}

// hanging is a store whose disk may hang.
type hanging struct {
	Store
	counted *atomic.Int32
}

var hangingDisk atomic.Pointer[chan struct{}] // it hangs until that is closed

func (s hanging) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	if until := hangingDisk.Load(); until != nil {
		s.counted.Add(1)
		<-*until
	}
	return s.Store.Count(ctx)
}

type hangingStore struct{ MemoryStore }

var hangingCounted atomic.Int32

func (hangingStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: stores + ".hanging", New: func() caddy.Module { return new(hangingStore) }}
}

func (s *hangingStore) Open(location string, o StoreOptions) (Store, error) {
	store, err := s.MemoryStore.Open(location, o)
	return hanging{store, &hangingCounted}, err
}

func init() { caddy.RegisterModule(hangingStore{}) }

// TestMetricsOfAHangingStore proves that scrapes go on, and do not pile up.
func TestMetricsOfAHangingStore(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("slow", l.desk.URL), options("store hanging")))
	l.requireGauge("store_ready", 1)
	hang := make(chan struct{})
	hangingDisk.Store(&hang)
	works := sync.OnceFunc(func() {
		hangingDisk.Store(nil)
		close(hang)
	})
	t.Cleanup(works)
	before := hangingCounted.Load()
	for range 3 {
		started := time.Now()
		metrics := l.metrics()
		require.Less(t, time.Since(started), 4*time.Second)
		require.Contains(t, metrics, "\ncaddy_kindly_store_ready 0\n")
		require.NotContains(t, metrics, `caddy_kindly_deliveries{name="slow"`)
		require.Contains(t, metrics, `caddy_kindly_upstream_condition{condition="healthy",name="slow",upstream="default"} 1`)
	}
	require.EqualValues(t, 1, hangingCounted.Load()-before, "one goroutine waits for the disk")
	works()
	l.requireGauge("store_ready", 1)
}

// TestObservingAllocatesNothing holds for the whole way of a webhook.
func TestObservingAllocatesNothing(t *testing.T) {
	app := &App{runtime: &runtime{teller: &teller{queue: make(chan event)}}}
	o := observe(app, "allocating", 2)
	u := o.Upstream("default")
	result := kindlyhandler.Result{Delivery: uuid.New(), Event: "dialogue", Outcome: "delivered"}
	attempt := &delivery.Attempt{Stage: delivery.StageUpstream, Status: 201, Duration: 3 * time.Millisecond}
	d := &delivery.Delivery{ID: result.Delivery, State: delivery.Delivered}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		o.Signature(1)
		o.Webhook(result, 4*time.Millisecond)
		u.Attempted(attempt, delivery.ResultDelivered)
		u.Settled(d)
	}))
}

// TestMetricsInDocs keeps the table of metrics.
func TestMetricsInDocs(t *testing.T) {
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range collectors() {
		c.Describe(descs)
	}
	close(descs)
	page := readFile(t, "../docs/observability.md")
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	labels := regexp.MustCompile(`variableLabels: \{([a-z_,]*)\}`)
	for desc := range descs {
		text := desc.String()
		family := name.FindStringSubmatch(text)[1]
		if l := labels.FindStringSubmatch(text)[1]; l != "" {
			family += "{" + l + "}"
		}
		require.True(t, strings.Contains(page, "\n| `"+family+"` | "), "the table of metrics in docs/observability.md has no %s", family)
	}
}
