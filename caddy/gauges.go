package kindly

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

var (
	deliveriesGauge = gauge("deliveries",
		"Deliveries that the store has, by state: pending, delivered (until retention is over) or dead.", "name", "upstream", "state")
	oldestPendingGauge = gauge("oldest_pending_age_seconds",
		"How long ago the oldest pending delivery was received, 0 without any.", "name", "upstream")
	conditionGauge = gauge("upstream_condition",
		"1 for the condition that a configured upstream is in: healthy, open (the circuit breaker is), paused or paused_by_hand.",
		"name", "upstream", "condition")
	heldGauge = gauge("upstream_held",
		"1 while a configured upstream is left alone because it asked for that (Retry-After).", "name", "upstream")
	storeReadyGauge = gauge("store_ready",
		"1 if the store tells how many deliveries it has, 0 while it does not and webhooks wait for it.")
	storeSizeGauge = gauge("store_size_bytes",
		"Size of the store's file.")
	storeFreeGauge = gauge("store_free_bytes",
		"What of the store's file is free to be used again.")
	diskSizeGauge = gauge("store_disk_size_bytes",
		"Size of the disk that the store's file is on.")
	diskFreeGauge = gauge("store_disk_free_bytes",
		"What of the disk that the store's file is on is free for Caddy's user.")
)

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// gauges collects what is so at the moment from the runtime of the
// configuration that runs. It is one for all handlers.
type gauges struct{}

// Describe implements [prometheus.Collector].
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		deliveriesGauge, oldestPendingGauge, conditionGauge, heldGauge,
		storeReadyGauge, storeSizeGauge, storeFreeGauge, diskSizeGauge, diskFreeGauge,
	} {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (gauges) Collect(ch chan<- prometheus.Metric) {
	r := currentRuntime()
	if r == nil {
		return
	}
	send := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	report := r.report()
	send(storeReadyGauge, float(report.counts != nil))
	if file, ok := report.store.(bolt.Status); ok {
		send(storeSizeGauge, float64(file.Bytes))
		send(storeFreeGauge, float64(file.FreeBytes))
		if file.DiskBytes > 0 {
			send(diskSizeGauge, float64(file.DiskBytes))
			send(diskFreeGauge, float64(file.DiskFreeBytes))
		}
	}
	counted := report.counts
	for _, l := range r.dispatcher.Lanes() {
		if !l.Defined {
			continue
		}
		name, upstream := l.Lane.Webhook, l.Lane.Upstream
		for _, c := range []delivery.Condition{delivery.Healthy, delivery.Open, delivery.Paused, delivery.PausedByHand} {
			send(conditionGauge, float(l.Condition == c), name, upstream, c.String())
		}
		send(heldGauge, float(!l.HeldUntil.IsZero()), name, upstream)
		if _, has := counted[l.Lane]; !has && counted != nil {
			sendCounts(send, l.Lane, delivery.Counts{})
		}
	}
	for lane, c := range counted {
		sendCounts(send, lane, c)
	}
}

func sendCounts(send func(*prometheus.Desc, float64, ...string), lane delivery.Lane, c delivery.Counts) {
	name, upstream := lane.Webhook, lane.Upstream
	send(deliveriesGauge, float64(c.Pending), name, upstream, delivery.Pending.String())
	send(deliveriesGauge, float64(c.Delivered), name, upstream, delivery.Delivered.String())
	send(deliveriesGauge, float64(c.Dead), name, upstream, delivery.Dead.String())
	age := 0.0
	if !c.OldestPending.IsZero() {
		age = max(time.Since(c.OldestPending).Seconds(), 0)
	}
	send(oldestPendingGauge, age, name, upstream)
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// report is what a store tells. Its counts are nil if it does not.
type report struct {
	counts map[delivery.Lane]delivery.Counts
	store  any
}

// report asks the store, and waits for countTimeout at most: one on a disk that
// hangs answers whenever it likes. All who ask meanwhile share its answer.
func (r *runtime) report() report {
	answer := r.reports.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
		defer cancel()
		counts, err := r.dispatcher.Count(ctx)
		if err == nil && counts == nil {
			counts = make(map[delivery.Lane]delivery.Counts)
		}
		return report{counts, r.dispatcher.StoreStatus()}, nil
	})
	timer := time.NewTimer(countTimeout + countTimeout/2) // for both
	defer timer.Stop()
	select {
	case a := <-answer:
		return a.Val.(report)
	case <-timer.C:
		return report{}
	}
}

// Interface guard
var _ prometheus.Collector = gauges{}
