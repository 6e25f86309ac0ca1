package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/storetest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// endingMain ends the shared server when the tests have run, before leaks are
// looked for.
type endingMain struct{ m *testing.M }

func (e endingMain) Run() int { return pgtest.Main(e.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(endingMain{m}) }

func TestConformance(t *testing.T) {
	for name, keys := range map[string]*seal.Keys{"plain": nil, "encrypted": sealtest.Keys(t, 1)} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, now func() time.Time) delivery.Store {
				s, err := postgres.Open(postgres.Options{DSN: pgtest.Schema(t), Now: now, Keys: keys})
				require.NoError(t, err)
				return s
			})
		})
	}
}
