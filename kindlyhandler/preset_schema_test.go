package kindlyhandler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// undescribed are the presets whose requests there is no schema for, and why.
var undescribed = map[string]string{
	"dixa":            "the OpenAPI description is only in Dixa's reference pages",
	"dynamics_365":    "each environment has a description of its own, its $metadata",
	"freshdesk":       "documented for people only",
	"help_scout":      "documented for people only",
	"redmine":         "documented for people only",
	"request_tracker": "documented for people only; tried against the real one",
	"salesforce":      "each organisation has a description of its own",
	"servicenow":      "each instance has a description of its own, and any column is a field",
	"superoffice":     "documented for people only",
	"zammad":          "documented for people only",
}

const schemas = "upstream/testdata/schemas"

// description is what a vendor's machine-readable description says of the one
// request that a preset sends.
type description struct {
	method string
	path   *regexp.Regexp
	body   func(body []byte) error
}

// describe returns the description of a preset's request, nil if there is none.
func describe(t *testing.T, p *preset.Preset) *description {
	t.Helper()
	why, excused := undescribed[p.Name]
	file := filepath.Join(schemas, p.Name)
	if content, err := os.ReadFile(file + ".graphql"); err == nil {
		require.False(t, excused, "%s has a schema and a reason for none: %s", p.Name, why)
		return describeGraphQL(t, string(content))
	}
	content, err := os.ReadFile(file + ".json")
	if excused {
		require.ErrorIs(t, err, os.ErrNotExist, "%s has a schema and a reason for none: %s", p.Name, why)
		return nil
	}
	require.NoError(t, err, "%s has neither a schema nor a reason for none", p.Name)
	var head struct {
		Operation string            `json:"x-operation"`
		Source    map[string]string `json:"x-source"`
	}
	require.NoError(t, json.Unmarshal(content, &head))
	for _, what := range []string{"repository", "path", "licence"} {
		require.NotEmpty(t, head.Source[what], "%s: the schema's %s", p.Name, what)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(file + ".json")
	require.NoError(t, err)
	return newDescription(head.Operation, func(body []byte) error {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return schema.Validate(document)
	})
}

func describeGraphQL(t *testing.T, source string) *description {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: source})
	require.NoError(t, err)
	operation, _, _ := strings.Cut(strings.TrimPrefix(source, "# "), "\n")
	return newDescription(operation, func(body []byte) error {
		var request struct {
			Query     string
			Variables map[string]any
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			return err
		}
		query, problems := gqlparser.LoadQueryWithRules(schema, request.Query, rules.NewDefaultRules())
		if problems != nil {
			return problems
		}
		if len(query.Operations) != 1 {
			return fmt.Errorf("%d operations", len(query.Operations))
		}
		_, err := validator.VariableValues(schema, query.Operations[0], request.Variables)
		return err
	})
}

// newDescription reads an operation such as "POST /projects/{id}/issues".
func newDescription(operation string, body func([]byte) error) *description {
	method, path, _ := strings.Cut(operation, " ")
	pattern := regexp.MustCompile(`\\\{[^/]+?\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
	return &description{method, regexp.MustCompile("^" + pattern + `(\.json)?$`), body}
}

// check holds a request against the description.
func (d *description) check(r *http.Request) error {
	if path := r.URL.EscapedPath(); r.Method != d.method || !d.path.MatchString(path) {
		return fmt.Errorf("%s %s is not %s %s", r.Method, path, d.method, d.path)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return d.body(body)
}

// Each preset's request is one that the vendor's description of its API allows:
// with the options that it demands and with all there are, for all kinds of
// tickets.
func TestPreset_schemas(t *testing.T) {
	tickets := describedTickets(t)
	for _, p := range preset.All() {
		t.Run(p.Name, func(t *testing.T) {
			d := describe(t, p)
			if d == nil {
				return
			}
			for which, up := range map[string]*upstream.Upstream{"few options": presetUpstream(t, p), "all options": presetUpstreamWith(t, p, everyOption(p))} {
				require.NoError(t, d.check(rehearse(t, up, tickets["ordinary"])), which)
				for name, ticket := range tickets {
					sent, err := up.Map(t.Context(), ticket.value(false))
					require.NoError(t, err)
					require.NoError(t, d.body(sent.Body), "%s, %s", which, name)
				}
			}
		})
	}
	files, err := os.ReadDir(schemas)
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), filepath.Ext(file.Name()))
		assert.True(t, preset.Find(name) != nil || name == "adf" || name == "README", "%s is no preset's", file.Name())
	}
}

// rehearse returns the request that a ticket would be sent by.
func rehearse(t *testing.T, up *upstream.Upstream, ticket *Ticket) *http.Request {
	t.Helper()
	document, err := ticket.encode()
	require.NoError(t, err)
	r, _, err := up.Rehearse(t.Context(), exampleID, document)
	require.NoError(t, err)
	return r
}

// describedTickets are an ordinary ticket, one with everything, ones with next
// to nothing, and hostile ones.
func describedTickets(t *testing.T) map[string]*Ticket {
	t.Helper()
	read := func(name string) *transcript {
		chat, err := parseTranscript(readTestdata(t, name))
		require.NoError(t, err)
		return chat
	}
	dialogue := mustParseEvent(t, string(readTestdata(t, "dialogue-webhook.json")))
	full := mustParseEvent(t, `{"organization_id":1,"bot_id":4,"chat_id":"c","user_id":"u","chat_labels":["a","b c,d"],"message":"hi","exchange":{"language_code":"nb-NO"},"source":"web","web_url":"https://shop.example/","attachments":[{"name":"a.png","url":"https://files.example/a.png"}],"context":{"email":"kari@example.no","name":"Kari \"K\" Nordmann","phone":"+4712345678"}}`)
	tickets := map[string]*Ticket{
		"ordinary":      newTicket(exampleID, exampleReceived, dialogue, read("transcript.json"), ""),
		"agent":         newTicket(exampleID, exampleReceived, dialogue, read("transcript-agent.json"), ""),
		"everything":    newTicket(exampleID, exampleReceived, full, read("transcript-agent.json"), ""),
		"ticket event":  newTicket(exampleID, exampleReceived, mustParseEvent(t, string(readTestdata(t, "ticket-webhook.json"))), nil, ""),
		"no transcript": newTicket(exampleID, exampleReceived, full, nil, "the transcript API answered 404 Not Found"),
		"nobody":        newTicket(exampleID, exampleReceived, mustParseEvent(t, `{"chat_id":"c","message":null}`), nil, ""),
	}
	for name, chat := range hostileChats(t) {
		tickets[name] = newTicket(exampleID, exampleReceived, hostileEvent(t), chat, "")
	}
	return tickets
}

// everyOption are all options of a preset, with something that is possible.
func everyOption(p *preset.Preset) map[string]any {
	possible := map[string]string{"priority": "urgent", "type": "question", "text_formatting": "markdown"}
	options := make(map[string]any)
	for _, o := range p.Options {
		switch {
		case o.Kind == preset.Integer:
			options[o.Name] = 7
		case o.Kind == preset.Boolean:
			options[o.Name] = true
		case o.Kind == preset.Strings:
			options[o.Name] = []any{"a", "b c"}
		case possible[o.Name] != "":
			options[o.Name] = possible[o.Name]
		default:
			options[o.Name] = "x"
		}
	}
	return options
}

// What a description does not know is found: a field, a type, a path.
func TestPreset_schemasFindFaults(t *testing.T) {
	ticket := newTicket(exampleID, exampleReceived, mustParseEvent(t, string(readTestdata(t, "dialogue-webhook.json"))), nil, "")
	for _, p := range preset.All() {
		d := describe(t, p)
		if d == nil {
			continue
		}
		for what, change := range map[string]func(up *upstream.Options){
			"a field": func(o *upstream.Options) { o.Mapping.Body = "(" + p.Body + `) | .unheard_of = "x"` },
			"a type":  func(o *upstream.Options) { o.Mapping.Body = `[` + p.Body + `]` },
			"a path":  func(o *upstream.Options) { o.URL += "/elsewhere" },
			"method":  func(o *upstream.Options) { o.Method = http.MethodPut },
			"no text": func(o *upstream.Options) { o.Mapping.Body = `{}` },
		} {
			o := upstream.Options{URL: "https://desk.example", Preset: p.Name, PresetOptions: everyOption(p)}
			change(&o)
			up, err := upstream.New(o)
			require.NoError(t, err)
			t.Cleanup(up.Close)
			assert.Error(t, d.check(rehearse(t, up, ticket)), "%s: %s", p.Name, what)
		}
	}
}
