package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeasureFlush(t *testing.T) {
	dir := t.TempDir()
	took, err := measureFlush(filepath.Join(dir, "flush"))
	require.NoError(t, err)
	require.Positive(t, took)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	_, err = measureFlush(filepath.Join(dir, "none", "flush"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
