package kindly

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestRetryPolicy(t *testing.T) {
	configured := &Retry{
		InitialInterval: caddy.Duration(2 * time.Second),
		Multiplier:      1.5,
		MaxInterval:     caddy.Duration(time.Minute),
		MaxElapsed:      caddy.Duration(time.Hour),
	}
	assert.Equal(t, delivery.RetryPolicy{
		InitialInterval: 2 * time.Second,
		Multiplier:      1.5,
		MaxInterval:     time.Minute,
		MaxElapsed:      time.Hour,
	}, configured.policy())
	assert.Equal(t, delivery.DefaultRetryPolicy, (*Retry)(nil).policy().WithDefaults())
}
