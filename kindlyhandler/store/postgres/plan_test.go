package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// crowd puts pending deliveries of many chats into a lane, and a few claimed
// and settled ones, by one statement.
func crowd(t testing.TB, dsn string, n int) {
	t.Helper()
	require.NoError(t, pgtest.Do(dsn, fmt.Sprintf(`
INSERT INTO kindly_deliveries (id, webhook, upstream, state, held, due, received, elapsed, tries, chat, key, key_expires, details, body)
SELECT ('0198f3c2-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'support', 'zendesk', 0, false, now() - interval '1 day' + i * interval '1 ms', now(), 0, 0,
	md5(i::text)::uuid, decode(md5(i::text) || md5(i::text), 'hex'), now() + interval '10 minutes', '\xa0', '\x00'::bytea || convert_to(repeat('x', 900), 'UTF8')
FROM generate_series(1, %d) i;
INSERT INTO kindly_keys SELECT key, key_expires, ARRAY[id] FROM kindly_deliveries;
INSERT INTO kindly_counts (webhook, upstream, pending) VALUES ('support', 'zendesk', %[1]d)`, n)))
}

// What only others have the key of costs a claim nothing, however much it is.
func TestClaimsReadNothingOfOthers(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1)})
	crowd(t, dsn, 5_000)
	require.NoError(t, pgtest.Do(dsn, `UPDATE kindly_deliveries SET sealer = '\x0102030405060708'; ANALYZE kindly_deliveries`))
	put(t, s, newDelivery(zendesk, ""))
	for _, name := range []string{"claim", "next"} {
		plan, err := s.Plan(t.Context(), name)
		require.NoError(t, err)
		require.Regexp(t, `Index Cond: .*sealer = k.sealer`, plan, name)
	}
	require.Len(t, claim(t, s, zendesk), 1)
	require.Empty(t, claim(t, s, zendesk))
}

// No statement of the store reads a whole table, whether or not the database
// has statistics of it.
func TestPlans(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn})
	indexes := map[string]string{
		"claim": "kindly_claimable", "next": "kindly_claimable", "put": "kindly_order", "save": "kindly_order", "list": "kindly_deliveries_pkey",
		"list of a chat": "kindly_chats", "count": "kindly_pending", "expire": "kindly_settled", "expire keys": "kindly_expiries", "orphans": "kindly_claimed",
		"bury": "kindly_order", "sealers": "kindly_sealers",
		"find": "kindly_keys_pkey", "unclaim": "kindly_claimed", "warn": "kindly_settled",
	}
	for _, before := range []func(){
		func() {},
		func() { crowd(t, dsn, 50_000) },
		func() { require.NoError(t, pgtest.Do(dsn, "ANALYZE kindly_deliveries; ANALYZE kindly_keys")) },
	} {
		before()
		for name := range postgres.Statements {
			plan, err := s.Plan(t.Context(), name)
			require.NoError(t, err, name)
			require.NotContains(t, plan, "Seq Scan on kindly_deliveries", "%s\n%s", name, plan)
			require.NotContains(t, plan, "Seq Scan on kindly_keys", "%s\n%s", name, plan)
			require.Contains(t, plan, indexes[name], "%s\n%s", name, plan)
		}
		plan, err := s.Plan(t.Context(), "claim")
		require.NoError(t, err)
		require.NotContains(t, plan, "Bitmap", "it reads no more than it claims\n%s", plan)
		require.NotRegexp(t, `Sort Key: due, seq`, plan, plan)
	}
}
