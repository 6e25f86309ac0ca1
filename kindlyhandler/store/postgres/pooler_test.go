package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
)

func TestPoolers(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	t.Run("in transaction mode are refused", func(t *testing.T) {
		require.NoError(t, pgtest.Do(server.DSN(), "CREATE DATABASE by_transaction"))
		dsn := pgtest.Pooler(t, server, "transaction", "by_transaction")
		_, err := postgres.Open(postgres.Options{DSN: dsn})
		require.ErrorContains(t, err, "pool_mode = session")
		// Others that use the pooler have not got our settings.
		c, err := pgx.Connect(t.Context(), pgtest.With(dsn, "default_query_exec_mode", "simple_protocol"))
		require.NoError(t, err)
		defer c.Close(context.Background())
		var seqscan string
		require.NoError(t, c.QueryRow(t.Context(), "SHOW enable_seqscan").Scan(&seqscan))
		require.Equal(t, "on", seqscan)
	})
	t.Run("in session mode work", func(t *testing.T) {
		require.NoError(t, pgtest.Do(server.DSN(), "CREATE DATABASE by_session"))
		dsn := pgtest.Pooler(t, server, "session", "by_session")
		o := postgres.WithPoll(postgres.Hurried(postgres.Options{DSN: dsn, MaxConns: 5}), 1<<40)
		one := open(t, o)
		w := watch(one)
		soon(t, func() bool { return w.changed(delivery.Lane{}) > 0 }, "it listens")
		d := claimed(newDelivery(zendesk, "chat"))
		put(t, one, d)
		settle(t, one, d, delivery.Delivered)
	})
}
