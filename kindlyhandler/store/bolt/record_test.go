package bolt

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// TestRecord_older reads a record as it was before traces were kept, and proves
// that one without a trace still looks so.
func TestRecord_older(t *testing.T) {
	const older = "8bce97e7010100000000000000000000000000000000000017979cfe362a000017979d89e8f37000800000000000000017979cfe362a000004000000000000001b8526dde9873a2f0473686f700363726d00a7015820040000000000000000000000000000000000000000000000000000000000000002686469616c6f67756503646368617406010781861b17979cfe362a00000068757073747265616d18c960f40864343731310a427b7d"
	d := &delivery.Delivery{
		ID:         uuid.UUID{1, 2, 3},
		Lane:       delivery.Lane{Webhook: "shop", Upstream: "crm"},
		Key:        delivery.Key{4},
		KeyExpires: time.Unix(1_700_000_600, 0).UTC(),
		Event:      "dialogue",
		ChatID:     "chat",
		ReceivedAt: time.Unix(1_700_000_000, 0).UTC(),
		State:      delivery.Delivered,
		DueAt:      time.Unix(1_700_000_000, 0).UTC(),
		Tries:      1,
		Attempts:   []delivery.Attempt{{At: time.Unix(1_700_000_000, 0).UTC(), Stage: delivery.StageUpstream, Status: 201}},
		Ticket:     delivery.Ticket{ID: "4711"},
		Answer:     []byte("{}"),
	}
	r, err := recordOf(d, nil)
	require.NoError(t, err)
	require.Equal(t, older, hex.EncodeToString(r.encode(d.ID)))
	stored, err := hex.DecodeString(older)
	require.NoError(t, err)
	r, err = decode(d.ID[:], stored)
	require.NoError(t, err)
	read, err := r.delivery(d.ID, nil)
	require.NoError(t, err)
	require.Equal(t, d, read)
}
