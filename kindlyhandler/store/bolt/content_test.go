package bolt

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// TestContent_older reads a webhook's content as it was before customers were
// kept, and proves that one without a customer still looks so.
func TestContent_older(t *testing.T) {
	const older = "89a039780000004c876473686f706363726d582004000000000000000000000000000000000000000000000000000000000000001b17979d89e8f37000686469616c6f67756564636861741b17979cfe362a00007b7d"
	content, err := hex.DecodeString(older)
	require.NoError(t, err)
	d := &delivery.Delivery{
		ID:         uuid.UUID{1, 2, 3},
		Lane:       delivery.Lane{Webhook: "shop", Upstream: "crm"},
		Key:        delivery.Key{4},
		KeyExpires: time.Unix(1_700_000_600, 0).UTC(),
		Event:      "dialogue",
		ChatID:     "chat",
		ReceivedAt: time.Unix(1_700_000_000, 0).UTC(),
		DueAt:      time.Unix(1_700_000_000, 0).UTC(),
		Body:       []byte("{}"),
	}
	o, customer, body, err := decodeBody(d.ID, content, nil)
	require.NoError(t, err)
	require.Equal(t, d, o.delivery(d.ID, customer, body))
	encoded, err := encodeBody(d, nil)
	require.NoError(t, err)
	require.Equal(t, older, hex.EncodeToString(encoded))
}
