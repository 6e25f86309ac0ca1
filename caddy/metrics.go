package kindly

import (
	"errors"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// The collectors live as long as the process, so that counters go on over
// reloads; each configuration has a registry of its own to enter them in. Their
// labels are the operator's names and words of ours: no sender can make up any.
var (
	webhooksTotal = counters("webhooks_total",
		"Requests by webhook, event and what became of them.", "name", "event", "outcome")
	webhookDuration = durations("webhook_duration_seconds",
		"How long webhooks took that were not refused, from the request to the answer.", "name")
	signaturesTotal = counters("signatures_total",
		"Valid signatures by webhook and the position of the secret that made them, from 1.", "name", "secret")
	chatTokensTotal = counters("chat_tokens_total",
		"Dialogue webhooks whose user token was checked, by webhook and result (ok, missing or bad), and why it is bad: header, "+
			"too_large, malformed, algorithm, key, signature, claims, expired, not_yet_valid or chat.", "name", "result", "reason")
	transcriptsMissingTotal = counters("transcripts_missing_total",
		"Tickets that went out without the chat's transcript because it could not be had.", "name")
	attemptsTotal = counters("attempts_total",
		"Attempts to deliver by the stage where they ended and the outcome: delivered, transient, permanent, "+
			"misconfigured, unknown or cut_off.", "name", "upstream", "stage", "outcome")
	attemptDuration = durations("attempt_duration_seconds",
		"How long attempts to deliver took, with the transcript, the upstream's answer and the wait for its turn.", "name", "upstream")
	lossesTotal = counters("losses_total",
		"Accepted webhooks that did not become tickets of their own, by webhook, upstream and reason: "+
			"duplicate, dead, expired, dropped, erased, damaged or left_behind.", "name", "upstream", "reason")
	eventsDroppedTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace,
		Name:      "events_dropped_total",
		Help:      "Events for Caddy's events app that were dropped because its handlers are too slow.",
	})
)

const namespace = "caddy_kindly"

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func durations(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
	}, labels)
}

func collectors() []prometheus.Collector {
	return []prometheus.Collector{
		webhooksTotal, webhookDuration, signaturesTotal, chatTokensTotal, transcriptsMissingTotal,
		attemptsTotal, attemptDuration, lossesTotal, eventsDroppedTotal,
		gauges{},
	}
}

// registerMetrics enters the collectors into the configuration's registry.
func registerMetrics(ctx caddy.Context) error {
	lossesTotal.WithLabelValues("", "", string(delivery.LossDamaged)) // whose they were could not be read
	registry := ctx.GetMetricsRegistry()
	for _, collector := range collectors() {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(collector); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// losses counts those of all stores since the process began.
var losses = delivery.NewLosses(func(lane delivery.Lane, why delivery.Loss, n int) {
	lossesTotal.WithLabelValues(lane.Webhook, lane.Upstream, string(why)).Add(float64(n))
})

// observer counts for one webhook.
type observer struct {
	app                *App
	name               string
	webhooks           *prometheus.CounterVec
	duration           prometheus.Observer
	signatures         []prometheus.Counter
	chatTokens         *prometheus.CounterVec
	transcriptsMissing prometheus.Counter
}

// observe returns an observer for the webhook, which has that many secrets.
// What alerts look at is there from the start: of a counter that appears with
// its first 1, Prometheus sees no increase.
func observe(app *App, name string, secrets int) kindlyhandler.Observer {
	label := prometheus.Labels{"name": name}
	o := &observer{
		app:                app,
		name:               name,
		webhooks:           webhooksTotal.MustCurryWith(label),
		duration:           webhookDuration.With(label),
		chatTokens:         chatTokensTotal.MustCurryWith(label),
		transcriptsMissing: transcriptsMissingTotal.With(label),
	}
	for position := range secrets {
		o.signatures = append(o.signatures, signaturesTotal.WithLabelValues(name, strconv.Itoa(position+1)))
	}
	o.webhooks.WithLabelValues("", "refused_signature")
	o.webhooks.WithLabelValues("", "refused_store")
	o.webhooks.WithLabelValues(kindlyhandler.DialogueEvent, "not_stored")
	return o
}

// Webhook implements [kindlyhandler.Observer].
func (o *observer) Webhook(result kindlyhandler.Result, took time.Duration) {
	o.webhooks.WithLabelValues(result.Event, result.Outcome).Inc()
	if !result.Refused() {
		o.duration.Observe(took.Seconds())
	}
}

// Signature implements [kindlyhandler.Observer].
func (o *observer) Signature(position int) { o.signatures[position].Inc() }

// ChatToken implements [kindlyhandler.Observer].
func (o *observer) ChatToken(result, reason string) {
	o.chatTokens.WithLabelValues(result, reason).Inc()
}

// TranscriptMissing implements [kindlyhandler.Observer].
func (o *observer) TranscriptMissing() { o.transcriptsMissing.Inc() }

// Upstream implements [kindlyhandler.Observer].
func (o *observer) Upstream(name string) delivery.Observer {
	lane := delivery.Lane{Webhook: o.name, Upstream: name}
	u := &upstreamObserver{
		app:      o.app,
		lane:     lane,
		attempts: make(map[attemptLabels]prometheus.Counter),
		duration: attemptDuration.WithLabelValues(lane.Webhook, lane.Upstream),
	}
	for _, l := range []attemptLabels{
		{delivery.StageTranscript, delivery.ResultTransient},
		{delivery.StageTranscript, delivery.ResultCutOff},
		{delivery.StageTicket, delivery.ResultTransient},
		{delivery.StageTicket, delivery.ResultPermanent},
		{delivery.StageTicket, delivery.ResultCutOff},
		{delivery.StageUpstream, delivery.ResultDelivered},
		{delivery.StageUpstream, delivery.ResultTransient},
		{delivery.StageUpstream, delivery.ResultPermanent},
		{delivery.StageUpstream, delivery.ResultMisconfigured},
		{delivery.StageUpstream, delivery.ResultUnknown},
		{delivery.StageUpstream, delivery.ResultCutOff},
	} {
		u.attempts[l] = u.counter(l)
	}
	for _, why := range []delivery.Loss{delivery.LossDead, delivery.LossExpired, delivery.LossDamaged, delivery.LossLeftBehind} {
		lossesTotal.WithLabelValues(lane.Webhook, lane.Upstream, string(why))
	}
	return u
}

// upstreamObserver counts for one upstream, and tells of its events.
type upstreamObserver struct {
	app      *App
	lane     delivery.Lane
	attempts map[attemptLabels]prometheus.Counter // it is only read
	duration prometheus.Observer
}

type attemptLabels struct {
	stage   string
	outcome delivery.Result
}

func (u *upstreamObserver) counter(l attemptLabels) prometheus.Counter {
	return attemptsTotal.WithLabelValues(u.lane.Webhook, u.lane.Upstream, l.stage, string(l.outcome))
}

// Attempted implements [delivery.Observer].
func (u *upstreamObserver) Attempted(a *delivery.Attempt, result delivery.Result) {
	labels := attemptLabels{a.Stage, result}
	counter, ok := u.attempts[labels]
	if !ok {
		counter = u.counter(labels)
	}
	counter.Inc()
	u.duration.Observe(a.Duration.Seconds())
}

// Settled implements [delivery.Observer].
func (u *upstreamObserver) Settled(d *delivery.Delivery) {
	name := eventDelivered
	if d.State == delivery.Dead {
		name = eventDead
	}
	u.app.tell(event{name: name, lane: u.lane, delivery: d.ID, attempts: d.Tries})
}

// Paused implements [delivery.Observer].
func (u *upstreamObserver) Paused() { u.app.tell(event{name: eventPaused, lane: u.lane}) }

// Interface guards
var (
	_ kindlyhandler.Observer = (*observer)(nil)
	_ delivery.Observer      = (*upstreamObserver)(nil)
)
