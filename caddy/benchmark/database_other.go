//go:build !unix

package main

import (
	"context"
	"errors"
	"time"
)

type database struct{ dsn string }

func openDatabase(string, int) (*database, error) {
	return nil, errors.New("-fleet starts a PostgreSQL, which it can on Unix only")
}

func (*database) close() error { return nil }
func (*database) crash() error { return nil }

func (*database) bench(context.Context, int, time.Duration) (perSecond, latency float64, err error) {
	return 0, 0, nil
}
