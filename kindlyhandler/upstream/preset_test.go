package upstream

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

var update = flag.Bool("update", false, "write the golden files anew")

// exampleOptions are what each preset demands, and some of what it can have.
var exampleOptions = map[string]map[string]any{
	"dixa":                    {"api_token": secret, "requester_id": "u1", "email_integration_id": "form@acme.example"},
	"dynamics_365":            {"access_token": secret, "customerid_contact": "c1"},
	"front":                   {"api_token": secret, "inbox_id": "inb_1", "to": "support@acme.example"},
	"help_scout":              {"access_token": secret, "mailbox_id": "12", "customer": "nobody@acme.example"},
	"hubspot":                 {"access_token": secret, "portal_id": "99"},
	"intercom":                {"access_token": secret, "ticket_type_id": "1234"},
	"linear":                  {"api_key": secret, "team_id": "t1"},
	"salesforce":              {"access_token": secret, "external_id_field": "Kindly__c"},
	"servicenow":              {"user": "me", "password": secret},
	"freshdesk":               {"api_key": secret, "group_id": "7", "tags": []any{"chat"}},
	"github":                  {"token": secret, "owner": "acme", "repo": "support", "labels": []any{"chat", "a/b"}},
	"gitlab":                  {"private_token": secret, "project": "acme/support", "labels": "chat"},
	"jira":                    {"email": "me@acme.example", "api_token": secret, "project": "SUP", "labels": "from chat"},
	"jira_service_management": {"access_token": secret, "service_desk_id": "10", "request_type_id": "25", "raise_on_behalf_of": "true"},
	"redmine":                 {"api_key": secret, "project_id": "support", "text_formatting": "textile", "tracker_id": "3"},
	"request_tracker":         {"token": secret, "queue": "Support"},
	"slack":                   {},
	"superoffice":             {"access_token": secret, "custom_field": "x_kindly_chat", "ticket_category_id": "3", "associate_id": "2147483647"},
	"zammad":                  {"token": secret, "group": "Users", "customer": "nobody@acme.example"},
	"zendesk":                 {"email": "me@acme.example", "api_token": secret, "tags": "from chat"},
}

// presetOptions are the options of an upstream with an example of a preset, at
// an address.
func presetOptions(t *testing.T, name, address string) Options {
	t.Helper()
	options, ok := exampleOptions[name]
	require.True(t, ok, "the test has no options for %s", name)
	return Options{URL: address, Preset: name, PresetOptions: options}
}

// What each preset makes of Kindly's example chats, for people to look at:
// the request's first line, its headers and its body.
func TestPreset_golden(t *testing.T) {
	for _, p := range preset.All() {
		t.Run(p.Name, func(t *testing.T) {
			var out bytes.Buffer
			server := listen(t, func(_ http.ResponseWriter, r *http.Request) {
				out.WriteString(r.Method + " " + r.RequestURI + "\n")
				for _, field := range []string{"Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Intercom-Version", "Odata-Version", "Prefer", "Private-Token", "X-Github-Api-Version", "X-Redmine-Api-Key"} {
					if value := r.Header.Get(field); value != "" {
						out.WriteString(field + ": " + value + "\n")
					}
				}
				body, _ := io.ReadAll(r.Body)
				assert.NoError(t, json.Indent(&out, body, "", "  "))
				out.WriteString("\n\n")
			})
			up := newUpstream(t, presetOptions(t, p.Name, server.URL+"/base"))
			for _, ticket := range []string{"dialogue-agent", "dialogue-without-transcript", "ticket-event"} {
				sent, err := up.Map(t.Context(), readTicket(t, ticket))
				require.NoError(t, err)
				up.Send(t.Context(), exampleID, sent, nil)
			}
			file := filepath.Join("testdata", "preset", p.Name+".http")
			if *update {
				require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), out.String())
		})
	}
}

// readTicket returns one of the handler's golden tickets, without what presets
// do without.
func readTicket(t *testing.T, name string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "testdata", "golden", "ticket", name+".json"))
	require.NoError(t, err)
	ticket, ok := bodyValue(content).(map[string]any)
	require.True(t, ok)
	ticket["source"] = nil
	return ticket
}

// Presets are complete, and say what they mean.
func TestPreset_isComplete(t *testing.T) {
	last := ""
	for _, p := range preset.All() {
		assert.Regexp(t, `^[a-z][a-z0-9_]*$`, p.Name)
		assert.Less(t, last, p.Name, "the order")
		last = p.Name
		assert.Same(t, p, preset.Find(p.Name))
		for what, field := range map[string]string{"system": p.System, "example": p.Example, "format": p.Format, "body": p.Body, "success": p.Success, "id": p.TicketID, "link": p.TicketURL} {
			assert.NotEmpty(t, field, "%s: %s", p.Name, what)
		}
		for _, o := range p.Options {
			assert.Regexp(t, `^[a-z][a-z0-9_]*$`, o.Name)
			assert.Regexp(t, `^<.+>$`, o.Value, o.Name)
			assert.NotEmpty(t, o.Help, o.Name)
			assert.NotContains(t, []string{"name", "method", "header", "body", "success", "ticket_id", "ticket_url", "sign", "oauth2", "timeout", "concurrency", "rate", "transport"}, o.Name)
			used := strings.Contains(p.Body+p.TicketURL, "$"+o.Name) || strings.Contains(p.Path, "{"+o.Name+"}") || p.Upsert != nil && strings.Contains(p.Upsert.Path, "{"+o.Name+"}")
			for _, auth := range p.Auth {
				used = used || strings.Contains(auth.Value, "{"+o.Name+"}")
			}
			assert.True(t, used, "%s: %s is not used", p.Name, o.Name)
		}
		if p.Check != nil {
			assert.Regexp(t, `^/`, p.Check.Path, p.Name)
			for _, option := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(p.Check.Path, -1) {
				require.NotNil(t, p.Option(option[1]), option[1])
			}
		}
		for _, auth := range p.Auth {
			for _, name := range auth.Options {
				require.NotNil(t, p.Option(name), name)
				assert.Contains(t, auth.Value, "{"+name+"}")
			}
		}
	}
	assert.Nil(t, preset.Find("none"))
	assert.Equal(t, len(exampleOptions), len(preset.All()))
}

func TestNew_presetErrors(t *testing.T) {
	with := func(name string, changes map[string]any) Options {
		o := presetOptions(t, name, "https://desk.example")
		changed := maps.Clone(o.PresetOptions)
		maps.Copy(changed, changes)
		o.PresetOptions = changed
		return o
	}
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"unknown preset":     {Options{Preset: "zendsk"}, `no preset "zendsk": there are dixa, dynamics_365,`},
		"options without":    {Options{URL: "https://desk.example", PresetOptions: map[string]any{"project": "x"}}, "options are those of a preset: name one, or leave them out"},
		"unknown option":     {with("jira", map[string]any{"queue": secret}), "options: queue is none of jira: there are project, issuetype,"},
		"missing":            {with("jira", map[string]any{"project": nil}), "project is missing: write `project <key>`, of the project that gets the issue, such as SUP"},
		"empty":              {with("jira", map[string]any{"project": ""}), "project is missing: write `project <key>`"},
		"two of one":         {with("jira", map[string]any{"project": []any{"A", "B"}}), "project is not what it should be: write `project <key>`"},
		"no number":          {with("zendesk", map[string]any{"group_id": "support"}), "group_id is not what it should be: write `group_id <id>`, of the group that gets the ticket"},
		"no truth":           {with("gitlab", map[string]any{"confidential": "perhaps"}), "confidential is not what it should be: write `confidential <true|false>`"},
		"no choice":          {with("redmine", map[string]any{"project_id": "p", "text_formatting": "CommonMark"}), "text_formatting is not what it should be: write `text_formatting <textile|markdown>`"},
		"object in a list":   {with("jira", map[string]any{"labels": []any{map[string]any{}}}), "labels is not what it should be: write `labels <label...>`"},
		"no credentials":     {with("jira", map[string]any{"api_token": nil}), "credentials are missing: write `email` and `api_token`, or `access_token`, or a header Authorization"},
		"no token":           {with("gitlab", map[string]any{"private_token": nil}), "credentials are missing: write `private_token`, or a header PRIVATE-TOKEN"},
		"token with a line":  {with("gitlab", map[string]any{"private_token": secret + "\n"}), "private_token: there are characters in it that no header can carry"},
		"no URL":             {Options{Preset: "slack"}, "url is missing: write where your Slack is, such as https://hooks.slack.com/services/…"},
		"URL with a query":   {Options{Preset: "jira", URL: "https://desk.example/?a=b", PresetOptions: exampleOptions["jira"]}, "url has a query or a fragment: write only where the system is, the preset knows the rest"},
		"body of one's own":  {Options{Preset: "jira", URL: "https://desk.example", PresetOptions: exampleOptions["jira"], Mapping: Mapping{Body: "$queue"}}, "body: line 1, column 1: no variable $queue: there are $base, $project, $issuetype"},
		"URL without scheme": {Options{Preset: "slack", URL: "hooks.slack.com"}, "url has no scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.options)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

// Credentials can come otherwise, and what the operator writes wins.
func TestNew_presetOverridden(t *testing.T) {
	var got *http.Request
	var body []byte
	server := listen(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":5}`)
	})
	o := presetOptions(t, "jira", strings.Replace(server.URL, "://", "://me:pass@", 1))
	o.PresetOptions = map[string]any{"project": "SUP"}
	o.Method = http.MethodPut
	o.Mapping = Mapping{Body: `{project: $project, text: ticket_text(5000) | length > 100}`, Success: "202", TicketID: ".body.id", TicketURL: "null"}
	up := newUpstream(t, o)
	assert.True(t, up.NeedsAll())
	sent, err := up.Map(t.Context(), readTicket(t, "dialogue-agent"))
	require.NoError(t, err)
	outcome := up.Send(t.Context(), exampleID, sent, http.Header{"Accept": {"text/plain"}})
	require.NoError(t, outcome.Err)
	assert.Equal(t, "5", outcome.Ticket.ID)
	assert.Equal(t, "PUT /rest/api/3/issue", got.Method+" "+got.RequestURI)
	user, password, _ := got.BasicAuth()
	assert.Equal(t, "me:pass", user+":"+password)
	assert.Equal(t, "text/plain", got.Header.Get("Accept"))
	assert.JSONEq(t, `{"project":"SUP","text":true}`, string(body))

	o = presetOptions(t, "gitlab", server.URL)
	o.PresetOptions = map[string]any{"project": float64(12)}
	o.Fields = []string{"private-token"}
	up = newUpstream(t, o)
	assert.False(t, up.NeedsAll())
	up.Send(t.Context(), exampleID, sent, http.Header{"Private-Token": {"mine"}})
	assert.Equal(t, "/api/v4/projects/12/issues", got.RequestURI)
	assert.Equal(t, "mine", got.Header.Get("Private-Token"))
}
