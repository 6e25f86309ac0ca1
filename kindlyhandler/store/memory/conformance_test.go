package memory_test

import (
	"testing"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/storetest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, now func() time.Time) delivery.Store {
		return memory.New(memory.Options{Now: now})
	})
}
