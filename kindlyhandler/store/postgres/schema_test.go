package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

// A role whose search_path finds the tables behind a schema of its own is of the
// same fleet as one whose path begins with them: it hears of the others, and takes
// the same locks.
func TestTablesFurtherDownTheSearchPath(t *testing.T) {
	dsn := pgtest.Schema(t)
	schema := query[string](t, dsn, `SELECT current_schema()`)
	own := query[string](t, pgtest.Schema(t), `SELECT current_schema()`)
	o := postgres.Hurried(postgres.Options{DSN: dsn})
	one := open(t, o)
	o.DSN = pgtest.With(dsn, "search_path", own+","+schema)
	two := open(t, o)
	require.Equal(t, one.LockOf(zendesk, "chat"), two.LockOf(zendesk, "chat"))

	mine, theirs := watch(one), watch(two)
	soon(t, func() bool { return mine.place()[1] == 2 && theirs.place()[1] == 2 }, "the fleet knows itself")
	put(t, one, newDelivery(zendesk, ""))
	require.Len(t, claim(t, two, zendesk), 1)
}
