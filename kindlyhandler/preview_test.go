package kindlyhandler_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// only returns the one delivery that there is, with all that is kept of it.
func (r *rig) only() *delivery.Delivery {
	r.t.Helper()
	page, err := r.queue.List(r.context(), delivery.Query{Limit: 2})
	require.NoError(r.t, err)
	require.Len(r.t, page.Deliveries, 1)
	d, err := r.queue.Get(r.context(), page.Deliveries[0].ID)
	require.NoError(r.t, err)
	return d
}

// What operators are shown of a dead letter is what a retry sends.
func TestPreview(t *testing.T) {
	for name, webhook := range map[string][]byte{
		"dialogue": kindlytest.DialogueWebhook(),
		"ticket":   kindlytest.TicketWebhook(),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			r.desk.FailNext(1, kindlytest.Status(http.StatusUnprocessableEntity))
			r.send(webhook)
			d := r.only()
			require.Equal(t, delivery.Dead, d.State)
			preview := r.queue.Preview(d)
			asked := r.kindly.Count()

			require.NoError(t, r.queue.Retry(r.context(), d.ID))
			r.tickets(1)
			require.JSONEq(t, string(r.desk.Tickets()[0].Body), string(preview))
			require.Equal(t, asked, r.kindly.Count())
		})
	}
}

func TestPreview_withoutATranscript(t *testing.T) {
	r := newRig(t, setup{})
	r.kindly.FailNext(1, kindlytest.Status(http.StatusNotFound))
	r.desk.FailNext(1, kindlytest.Status(http.StatusUnprocessableEntity))
	r.send(kindlytest.DialogueWebhook())
	require.Contains(t, string(r.queue.Preview(r.only())), "the transcript API answered 404 Not Found")
}

func TestPreview_beforeTheTranscript(t *testing.T) {
	r := newRig(t, setup{})
	r.kindly.Fail(kindlytest.Status(http.StatusInternalServerError))
	r.send(kindlytest.DialogueWebhook())
	require.Nil(t, r.queue.Preview(r.only()), "the API has yet to answer")

	damaged := r.only()
	damaged.Transcript = []byte("no transcript")
	require.Nil(t, r.queue.Preview(damaged))
	damaged.Body = []byte("no webhook")
	require.Nil(t, r.queue.Preview(damaged))
}
