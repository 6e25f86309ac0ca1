package kindly

import (
	"errors"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// The collectors live as long as the process, so that counters go on over
// reloads; each configuration has a registry of its own to enter them in.
var (
	webhooksTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "kindly",
		Name:      "webhooks_total",
		Help:      "Requests by webhook, event and what became of them.",
	}, []string{"name", "event", "outcome"})
	signaturesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "kindly",
		Name:      "signatures_total",
		Help:      "Valid signatures by webhook and the position of the secret that made them, from 1.",
	}, []string{"name", "secret"})
	chatTokensTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "kindly",
		Name:      "chat_tokens_total",
		Help: "Dialogue webhooks whose user token was checked, by webhook and result (ok, missing or bad), and why it is bad: header, " +
			"too_large, malformed, algorithm, key, signature, claims, expired, not_yet_valid or chat.",
	}, []string{"name", "result", "reason"})
	transcriptsMissingTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "kindly",
		Name:      "transcripts_missing_total",
		Help:      "Tickets that went out without the chat's transcript because it could not be had.",
	}, []string{"name"})
	lossesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy",
		Subsystem: "kindly",
		Name:      "losses_total",
		Help: "Accepted webhooks that did not become tickets of their own, by webhook, upstream and reason: " +
			"duplicate, dead, expired, dropped, erased, damaged or left_behind.",
	}, []string{"name", "upstream", "reason"})
)

// losses counts those of all stores since the process began.
var losses = delivery.NewLosses(func(lane delivery.Lane, why delivery.Loss, n int) {
	lossesTotal.WithLabelValues(lane.Webhook, lane.Upstream, string(why)).Add(float64(n))
})

// observer counts for one webhook.
type observer struct {
	webhooks           *prometheus.CounterVec
	signatures         *prometheus.CounterVec
	chatTokens         *prometheus.CounterVec
	transcriptsMissing prometheus.Counter
}

// observe enters the collectors into the configuration's registry and returns
// an observer for the webhook.
func observe(ctx caddy.Context, name string) kindlyhandler.Observer {
	registry := ctx.GetMetricsRegistry()
	for _, collector := range []prometheus.Collector{webhooksTotal, signaturesTotal, chatTokensTotal, transcriptsMissingTotal, lossesTotal} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(collector); err != nil && !errors.As(err, &already) {
			ctx.Logger().Error("cannot register metrics: " + err.Error())
		}
	}
	label := prometheus.Labels{"name": name}
	return &observer{
		webhooks:           webhooksTotal.MustCurryWith(label),
		signatures:         signaturesTotal.MustCurryWith(label),
		chatTokens:         chatTokensTotal.MustCurryWith(label),
		transcriptsMissing: transcriptsMissingTotal.With(label),
	}
}

// Webhook implements [kindlyhandler.Observer].
func (o *observer) Webhook(event, outcome string) {
	o.webhooks.WithLabelValues(event, outcome).Inc()
}

// Signature implements [kindlyhandler.Observer].
func (o *observer) Signature(position int) {
	o.signatures.WithLabelValues(strconv.Itoa(position + 1)).Inc()
}

// ChatToken implements [kindlyhandler.Observer].
func (o *observer) ChatToken(result, reason string) {
	o.chatTokens.WithLabelValues(result, reason).Inc()
}

// TranscriptMissing implements [kindlyhandler.Observer].
func (o *observer) TranscriptMissing() { o.transcriptsMissing.Inc() }
