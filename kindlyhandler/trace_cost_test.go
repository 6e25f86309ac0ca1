package kindlyhandler

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/span"
)

// TestTrace_costsNothing proves that a webhook without a trace pays for none.
func TestTrace_costsNothing(t *testing.T) {
	h := &Handler{name: "shop"}
	to := &target{handler: h}
	d := new(delivery.Delivery)
	request, err := http.NewRequest(http.MethodGet, "https://desk.example.com", nil)
	require.NoError(t, err)
	now := time.Now()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		ctx, webhook := h.beginWebhook(t.Context(), now)
		d.Trace = encodeTrace(ctx)
		h.endWebhook(webhook, Result{Outcome: "delivered"}, d)
		ctx, attempt := to.resume(ctx, d, spanAttempt)
		_, stage := span.Start(ctx, spanUpstream)
		_, _ = outbound.RoundTrip(nowhere{}, request)
		span.End(stage, http.StatusOK, nil)
		span.End(attempt, http.StatusOK, nil)
	}))
}

type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return done, nil }

var done = &http.Response{StatusCode: http.StatusOK}
