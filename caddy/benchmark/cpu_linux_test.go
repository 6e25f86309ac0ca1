package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 100 0 0 0 150 75 9 9 20 0 8 0 1000 0 0"
	for _, name := range []string{"(caddy)", "(a b) c)", "()"} {
		got, err := parseStat([]byte("42 " + name + rest))
		require.NoError(t, err, name)
		require.Equal(t, 2250*time.Millisecond, got, name)
	}
	for _, stat := range []string{"", "42", "42 (caddy) S 1 2 3", "42 (caddy) S 1 2 3 0 -1 4 1 0 0 0 x y z"} {
		_, err := parseStat([]byte(stat))
		require.ErrorContains(t, err, "unknown format", stat)
	}
}

func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	for {
		after, err := cpuTime(os.Getpid())
		require.NoError(t, err)
		if after > before {
			return
		}
	}
}
