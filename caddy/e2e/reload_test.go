package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReloadUnderLoad reloads again and again while webhooks come in. None is
// refused because of it, and all accepted ones become one ticket each.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s, other := newSides(t), newSides(t)
	s.desk.IgnoreIdempotencyKey, other.desk.IgnoreIdempotencyKey = true, true
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()

	address := freeAddress(t)
	at := func(directives ...string) string { return site("http://"+address, directives...) }
	const reply = "reply_pending later"
	good := []string{
		at(s.webhook("/kindly shop")),
		at(s.webhook("/kindly shop", "retry {\n\t\t\tinitial_interval 100ms\n\t\t\tmax_interval 2s\n\t\t}")),
		at(strings.Replace(s.webhook("/kindly shop"), s.desk.URL, other.desk.URL, 1)),
		at(s.webhook("/kindly", reply)),
		at(s.webhook("/kindly"), other.webhook("/more shop", reply)),
	}
	wrong := at(s.webhook("/kindly shop", "reply {kindly.unknown}"))
	// Caddy finds this one out when one of the servers takes requests already.
	unusable := at(other.webhook("/kindly shop")) + site("http://"+taken.Addr().String(), "respond taken")
	c := start(t, "", good[0])

	l := &load{urls: []string{"http://" + address + "/kindly"}, pause: 10 * time.Millisecond}
	stopLoad := l.start(16, 4)
	defer stopLoad()
	for i := range *reloads {
		time.Sleep(150 * time.Millisecond)
		require.NoError(t, c.reload("", good[(i+1)%len(good)]))
		require.Error(t, c.reload("", wrong))
		for range 4 {
			require.Error(t, c.reload("", unusable))
		}
	}
	stopLoad()
	require.Empty(t, l.wrong)

	// In the end there is a webhook of each name, so that all deliveries go out.
	require.NoError(t, c.reload("", at(s.webhook("/kindly"), s.webhook("/more shop"))))
	t.Logf("%d webhooks accepted, %d connections reset", len(l.accepted), l.reset.Load())
	l.requireBalance(t, s.desk, other.desk)
	require.NotZero(t, other.desk.Count())
}
