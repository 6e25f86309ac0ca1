package upstream

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What presets know is completed, with the operator's URL.
func TestPreset_oauth2(t *testing.T) {
	for name, c := range map[string]struct{ tokenURL, scope string }{
		"salesforce":   {"BASE/services/oauth2/token", ""},
		"help_scout":   {"BASE/v2/oauth2/token", ""},
		"dynamics_365": {"", "BASE/.default"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			server := listen(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "token") {
					asked = append(asked, r.URL.Path, r.FormValue("scope"))
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, `{"access_token":"a"}`)
					return
				}
				assert.Equal(t, "Bearer a", r.Header.Get("Authorization"))
				w.WriteHeader(http.StatusCreated)
			})
			o := presetOptions(t, name, server.URL+"/")
			options := map[string]any{}
			for option, value := range o.PresetOptions {
				if option != "access_token" {
					options[option] = value
				}
			}
			o.PresetOptions = options
			o.OAuth2 = &OAuth2{ClientID: "id", ClientSecret: secret}
			if c.tokenURL == "" {
				_, err := New(o)
				require.ErrorContains(t, err, "oauth2: token_url is missing")
				o.OAuth2.TokenURL = server.URL + "/token"
				c.tokenURL = "BASE/token"
			}
			up := newUpstream(t, o)
			require.NoError(t, send(t, up, nil).Err)
			assert.Equal(t, []string{strings.TrimPrefix(c.tokenURL, "BASE"), strings.Replace(c.scope, "BASE", server.URL, 1)}, asked)

			ticket, err := os.ReadFile(filepath.Join("..", "testdata", "golden", "ticket", "dialogue.json"))
			require.NoError(t, err)
			r, hidden, err := up.Rehearse(t.Context(), exampleID, ticket)
			require.NoError(t, err)
			assert.Equal(t, "Bearer (from oauth2)", r.Header.Get("Authorization"))
			assert.Contains(t, hidden, "Authorization")
			assert.Len(t, asked, 2, "nothing is asked to show a request")
		})
	}
}
