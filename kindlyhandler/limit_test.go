package kindlyhandler_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// When strangers hold all the memory there is for them, others are asked to
// come back, and can.
func TestLimit_unreadBodies(t *testing.T) {
	r := newRig(t, setup{})
	release, err := kindlyhandler.UnreadBodies.HoldAll()
	require.NoError(t, err)
	response := r.send(kindlytest.DialogueWebhook())
	release()
	assert.Equal(t, "10", response.Header.Get("Retry-After"))
	r.refused(response, http.StatusServiceUnavailable, "busy")
}

// A transcript for which there is no room comes later.
func TestLimit_transcripts(t *testing.T) {
	r := newRig(t, setup{})
	release, err := kindlyhandler.Transcripts.HoldAll()
	require.NoError(t, err)
	r.told(r.send(kindlytest.DialogueWebhook()), "later")
	release()
	ticket := r.tickets(1)[0]
	assert.Equal(t, gjson.Null, ticket.Get("transcript_error").Type)
	assert.Equal(t, int64(4), ticket.Get("messages.#").Int())
}

// However much large webhooks and large transcripts hold, it keeps no other
// chat's ticket waiting.
func TestLimit_othersAtTheirLimit(t *testing.T) {
	for name, budget := range map[string]kindlyhandler.Budget{
		"webhooks":    kindlyhandler.UnreadBodies,
		"transcripts": kindlyhandler.Transcripts,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			release, err := budget.HoldLarge()
			require.NoError(t, err)
			defer release()
			r.inTime(time.Second, func(try string) {
				r.told(r.send(kindlytest.DialogueWebhookFor(try)), "ticket "+try)
			})
			assert.Equal(t, int64(4), r.tickets(r.desk.Count())[0].Get("messages.#").Int())
		})
	}
}

// A chat whose transcript is as large as can be, or does not come, keeps no
// other chat's ticket waiting.
func TestLimit_hugeTranscript(t *testing.T) {
	for name, mode := range map[string]kindlytest.Mode{
		"huge":     kindlytest.Huge(16<<20 - 1024),
		"hanging":  kindlytest.Hang(),
		"dripping": kindlytest.Drip(10 * time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{options: func(o *kindlyhandler.Options) {
				o.Reply = kindlyhandler.Texts{"": "ticket"}
				o.RespondWithin = 2 * time.Second // for those that hang
			}})
			large := make(chan error, 5)
			tries := 0
			r.inTime(time.Second, func(try string) {
				tries++
				r.kindly.FailNext(1, mode)
				before := r.kindly.Count()
				ctx := r.context()
				go func() {
					_, err := r.kindly.Send(ctx, r.url, secret, kindlytest.DialogueWebhookFor("huge"+try))
					large <- err
				}()
				require.NoError(t, r.kindly.Wait(ctx, before+1))
				r.told(r.send(kindlytest.DialogueWebhookFor(try)), "ticket")
			})
			for range tries {
				if err := <-large; name == "huge" {
					require.NoError(t, err)
				}
			}
		})
	}
}
