package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// startPage runs "caddy kindly page", and returns the address that it prints.
func startPage(t *testing.T, admin string) string {
	t.Helper()
	p := run(t, nil, "kindly-caddy", "kindly", "page", "--address", admin)
	p.waitFor("Ctrl+C ends it.")
	return regexp.MustCompile(`http://127\.0\.0\.1:\d+/\S+\?token=\S+`).FindString(p.out.String())
}

// askPage returns what a script of the page gets of one of its paths.
func askPage(t *testing.T, url, path string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	get := func(url string) string {
		response, err := client.Get(url)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body)
	}
	get(url) // for the cookie
	page, _, _ := strings.Cut(url, "?")
	return get(page + path)
}
