package kindly_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kindly "github.com/caddy-kindly/caddy-kindly/caddy"
)

// configured are the structs of the JSON configuration.
var configured = []any{
	kindly.App{},
	kindly.BoltStore{},
	kindly.PostgresStore{},
	kindly.MemoryStore{},
	kindly.Handler{},
	kindly.Transcript{},
	kindly.ChatAuth{},
	kindly.Upstream{},
	kindly.OAuth2{},
	kindly.Retry{},
	kindly.Button{},
	kindly.Redaction{},
}

var snakeCase = regexp.MustCompile(`^[a-z]+[0-9]*(_[a-z]+)*$`)

// jsonFields returns the names in JSON of a struct's exported fields, by their
// names in Go.
func jsonFields(t *testing.T, of any) map[string]string {
	t.Helper()
	names := make(map[string]string)
	for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
		if !field.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		require.Regexp(t, snakeCase, name, "%T.%s", of, field.Name)
		require.Equal(t, "omitempty", options, "%T.%s", of, field.Name)
		names[field.Name] = name
	}
	return names
}

// TestJSONParity proves that a Caddyfile can set every field.
func TestJSONParity(t *testing.T) {
	reached := make(map[string]bool)
	for _, name := range []string{"everything", "presets", "oauth2", "transcript_off", "store_postgres"} {
		caddyfile, _ := readGolden(t, filepath.Join("testdata/adapt", name+".caddyfiletest"))
		adapted, _, err := adapt(caddyfile)
		require.NoError(t, err)
		var config any
		require.NoError(t, json.Unmarshal(adapted, &config))
		apps := config.(map[string]any)["apps"].(map[string]any)
		if app, ok := apps["kindly"]; ok {
			keysOf(app, "App", reached)
			engine := map[string]string{"bolt": "BoltStore", "postgres": "PostgresStore"}
			store := app.(map[string]any)["store"].(map[string]any)
			keysOf(store, engine[store["engine"].(string)], reached)
		}
		handler := findHandler(apps["http"])
		require.NotNil(t, handler)
		keysOf(handler, "Handler", reached)
		keysOf(handler["transcript"], "Transcript", reached)
		if auth, ok := handler["chat_auth"]; ok {
			keysOf(auth, "ChatAuth", reached)
		}
		if retry, ok := handler["retry"]; ok {
			keysOf(retry, "Retry", reached)
		}
		if redactions, ok := handler["redact"]; ok {
			for _, redaction := range redactions.([]any) {
				keysOf(redaction, "Redaction", reached)
			}
		}
		if buttons, ok := handler["buttons"]; ok {
			keysOf(buttons.([]any)[0], "Button", reached)
		}
		for _, upstream := range handler["upstreams"].([]any) {
			keysOf(upstream, "Upstream", reached)
			if oauth2, ok := upstream.(map[string]any)["oauth2"]; ok {
				keysOf(oauth2, "OAuth2", reached)
			}
		}
	}
	for _, of := range configured {
		name := reflect.TypeOf(of).Name()
		for _, field := range jsonFields(t, of) {
			assert.True(t, reached[name+"."+field], "no Caddyfile sets %s.%s", name, field)
		}
	}
}

func keysOf(object any, name string, keys map[string]bool) {
	for key := range object.(map[string]any) {
		keys[name+"."+key] = true
	}
}

// findHandler returns the first kindly_webhook in v.
func findHandler(v any) map[string]any {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			if found := findHandler(element); found != nil {
				return found
			}
		}
	case map[string]any:
		if v["handler"] == "kindly_webhook" {
			return v
		}
		for _, element := range v {
			if found := findHandler(element); found != nil {
				return found
			}
		}
	}
	return nil
}

// TestJSONIsDocumented proves that every module and field has the comment from
// which Caddy's site makes its manual, and that optional ones name a default.
func TestJSONIsDocumented(t *testing.T) {
	docs := fieldDocs(t)
	for _, of := range configured {
		name := reflect.TypeOf(of).Name()
		assert.NotEmpty(t, docs[name], name)
		for field := range jsonFields(t, of) {
			assert.NotEmpty(t, docs[name+"."+field], "%s.%s", name, field)
		}
	}
	for _, optional := range []string{
		"App.StoreRaw", "App.Retention", "App.DeadRetention", "App.MaxPending", "App.GracePeriod", "App.EncryptionKeys", "BoltStore.Path", "Handler.Name", "Handler.MaxBody", "Handler.Dedupe", "Handler.Events", "Handler.RespondWithin",
		"Handler.Redact", "Redaction.Replacement", "Handler.ChatAuth", "ChatAuth.Required", "Handler.Reply", "Handler.ReplyPending", "Handler.ReplyFailed",
		"Transcript.API", "Transcript.Timeout", "Transcript.MaxSize", "Transcript.TransportRaw",
		"Retry.InitialInterval", "Retry.Multiplier", "Retry.MaxInterval", "Retry.MaxElapsed",
		"Upstream.Name", "Upstream.Preset", "Upstream.Method", "Upstream.Body", "Upstream.Success", "Upstream.TicketID", "Upstream.TicketURL", "Upstream.OAuth2", "OAuth2.TokenURL", "OAuth2.Scopes", "Upstream.Timeout", "Upstream.Concurrency", "Upstream.Rate", "Upstream.TransportRaw",
	} {
		assert.Contains(t, strings.Join(strings.Fields(docs[optional]), " "), "Default: ", optional)
	}
	for _, required := range []string{"Handler.Secrets", "Handler.APIKey", "Upstream.URL", "OAuth2.ClientID", "OAuth2.ClientSecret", "Button.Type", "Button.Label", "Button.Value", "Redaction.Pattern"} {
		assert.Regexp(t, "(?i)required", docs[required], required)
	}
}

// fieldDocs returns the comments of the package's structs and of their fields.
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	for _, file := range []string{"app.go", "store_bolt.go", "store_postgres.go", "store_memory.go", "handler.go", "chat_auth.go", "upstream.go", "oauth2.go", "retry.go", "button.go", "redact.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			declaration, ok := n.(*ast.GenDecl)
			if !ok || declaration.Tok != token.TYPE {
				return true
			}
			spec := declaration.Specs[0].(*ast.TypeSpec)
			docs[spec.Name.Name] = declaration.Doc.Text()
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						docs[spec.Name.Name+"."+name.Name] = field.Doc.Text()
					}
				}
			}
			return true
		})
	}
	return docs
}
