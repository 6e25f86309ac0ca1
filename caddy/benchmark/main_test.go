package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseFlags(t *testing.T) {
	opts, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 8, opts.rounds)
	require.Equal(t, 2*time.Second, opts.duration)
	require.Equal(t, []int{16, 64}, opts.connections)
	require.Len(t, opts.scenarios, len(scenarios))

	opts, err = parseFlags([]string{"-connections", "1, 2", "-scenarios", "respond", "-keys"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, opts.connections)
	require.Len(t, opts.scenarios, 1)
	require.True(t, opts.keys)

	for args, want := range map[string]string{
		"-rounds 0":              "at least 1",
		"-duration 1h":           "choose from",
		"-duration 1ms":          "choose from",
		"-connections 0":         "separated by commas",
		"-connections 16;64":     "separated by commas",
		"-connections 1,,2":      "separated by commas",
		"-scenarios respond,all": "choose from respond",
		"respond":                "unexpected argument",
		"-other":                 "not defined",
	} {
		_, err := parseFlags(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
}
