package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// adminOf returns a Caddy of which only the admin API is there.
func adminOf(t *testing.T, answers map[string]string) *caddy {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.Error(w, "nothing there", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return &caddy{admin: server.Listener.Addr().String()}
}

func TestUpstreams(t *testing.T) {
	c := adminOf(t, map[string]string{"/kindly/status": `{"store": {"engine": "bolt"}, "upstreams": [
		{"name": "a", "upstream": "default", "condition": "open", "deliveries": {"pending": 1, "delivered": 2, "dead": 3}},
		{"name": "b", "upstream": "default", "condition": null, "deliveries": {"pending": 0, "delivered": 0, "dead": 0}}]}`})
	upstreams, err := c.upstreams(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]upstream{
		"a": {Name: "a", Condition: "open", Deliveries: &counts{Pending: 1, Delivered: 2, Dead: 3}},
		"b": {Name: "b", Deliveries: &counts{}},
	}, upstreams)
}

func TestHistory(t *testing.T) {
	const list = "/kindly/deliveries?state=delivered&limit=1000"
	page := func(name, chat, ticket, after string) string {
		return fmt.Sprintf(`{"deliveries": [{"name": %q, "chat_id": %q, "ticket": {"id": %q, "url": null}}], "after": %s}`, name, chat, ticket, after)
	}
	c := adminOf(t, map[string]string{
		list:              page("a", "chat1", "7", `"x"`),
		list + "&after=x": page("b", "chat1", "8", `"y"`),
		list + "&after=y": page("a", "chat2", "9", "null"),
	})
	all, err := c.history(t.Context())
	require.NoError(t, err)
	require.Equal(t, history{"a": {"chat1": "7", "chat2": "9"}, "b": {"chat1": "8"}}, all)
}

func TestUnreadableAnswersOfAdminAPI(t *testing.T) {
	ctx := t.Context()
	c := adminOf(t, nil)
	_, err := c.upstreams(ctx)
	require.EqualError(t, err, `the admin API answers 404 Not Found to GET /kindly/status: "nothing there\n"`)
	_, err = c.history(ctx)
	require.ErrorContains(t, err, "404 Not Found")

	c = adminOf(t, map[string]string{"/kindly/status": "[]", "/kindly/deliveries?state=delivered&limit=1000": "[]"})
	_, err = c.upstreams(ctx)
	require.ErrorContains(t, err, "unreadable answer")
	_, err = c.history(ctx)
	require.ErrorContains(t, err, "unreadable answer")
}

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "profile")
	c := adminOf(t, map[string]string{"/debug/pprof/profile?seconds=1": "a profile"})
	require.NoError(t, c.profile(t.Context(), 0, file))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "a profile", string(data))
}
