package kindly

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// execute runs a command that needs no server.
func execute(t *testing.T, cmd *cobra.Command, input string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(input))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors = true
	err := cmd.Execute()
	return out.String(), err
}

func TestCommandRender(t *testing.T) {
	ticket := filepath.Join(t.TempDir(), "ticket.json")
	require.NoError(t, os.WriteFile(ticket, []byte(`{"id":"0198f3c2-0000-7000-8000-000000000001","subject":"from a file"}`), 0o600))
	for name, c := range map[string]struct {
		input string
		args  []string
		want  []string
	}{
		"the ticket itself": {"", nil, []string{"POST https://helpdesk.example.com/tickets\n", "Idempotency-Key: 0198f3c2-0000-7000-8000-000000000000\n", `"subject": "create ticket"`, `"text": "What is your email?"`}},
		"a body":            {"", []string{"--body", "{s: .subject}"}, []string{"\n\n{\n  \"s\": \"create ticket\"\n}\n"}},
		"a file":            {"", []string{"--body", ".subject", ticket}, []string{"Idempotency-Key: 0198f3c2-0000-7000-8000-000000000001\n", "\n\n\"from a file\"\n"}},
		"standard input":    {`{"subject":"piped"}`, []string{"--body", ".subject", "-"}, []string{"\n\n\"piped\"\n"}},
		"a delivery":        {`{"id":"x","attempts":[],"document":{"subject":"kept"}}`, []string{"--body", ".subject", "-"}, []string{"\n\n\"kept\"\n"}},
		"a ticket event":    {"", []string{"--example", "ticket", "--body", ".event"}, []string{"\n\n\"ticket.updated\"\n"}},
		"a preset":          {"", []string{"--preset", "jira", "--option", "project=SUP", "--option", "labels=b", "--option", "labels=a", "--option", "api_token=s3cr3t"}, []string{"POST https://acme.atlassian.net/rest/api/3/issue\n", "Authorization: Basic (secret)\n", `"key": "SUP"`, "\"labels\": [\n      \"a\",\n      \"b\","}},
		"a method":          {"", []string{"--method", `if .kindly_ticket then "PUT" else "POST" end`, "--example", "ticket"}, []string{"PUT https://helpdesk.example.com/tickets\n", `"event": "ticket.updated"`}},
		"its method":        {"", []string{"--preset", "jira", "--method", `if .messages[0].text == "Hey!" then "POST" else "PATCH" end`}, []string{"PATCH https://acme.atlassian.net/rest/api/3/issue\n", `"key": "PROJECT"`}},
		"its URL":           {"", []string{"--preset", "gitlab", "--url", "https://me:s3cr3t@git.example"}, []string{"POST https://git.example/api/v4/projects/PROJECT/issues\n", "Private-Token: (secret)\n"}},
		"its body":          {"", []string{"--preset", "github", "--body", "{o: $owner}"}, []string{"/repos/OWNER/REPO/issues\n", "Authorization: Bearer (secret)\n", `"o": "OWNER"`}},
	} {
		t.Run(name, func(t *testing.T) {
			printed, err := execute(t, renderCommand(), c.input, c.args...)
			require.NoError(t, err)
			for _, want := range c.want {
				assert.Contains(t, printed, want)
			}
			assert.NotContains(t, printed, "s3cr3t")
		})
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a bad expression":      {[]string{"--body", "{s: .subject,, }"}, `body: line 1, column 14: unexpected token ","`},
		"an expression failing": {[]string{"--body", ".subject.x"}, "body: it failed: expected an object but got: string"},
		"a method of none":      {[]string{"--method", ".event"}, "method: its result is none of POST, PUT and PATCH"},
		"a preset unknown":      {[]string{"--preset", "x"}, `no preset "x": there are dixa,`},
		"an option unknown":     {[]string{"--preset", "jira", "--option", "x=y"}, "options: x is none of jira"},
		"an option without one": {[]string{"--option", "x=y"}, "options are those of a preset"},
		"no option":             {[]string{"--preset", "jira", "--option", "project"}, `--option is "project": write --option <name>=<value>`},
		"no example":            {[]string{"--example", "x"}, `no example "x": write dialogue or ticket`},
		"an example and a file": {[]string{"--example", "ticket", "-"}, "--example is about the built-in tickets"},
		"no ticket":             {[]string{"-"}, "that is no ticket document: it is not a JSON object"},
		"no file":               {[]string{filepath.Join(t.TempDir(), "none")}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := execute(t, renderCommand(), "[]", c.args...)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := execute(t, renderCommand(), `{"attempts":[],"document":null}`, "-")
	require.ErrorContains(t, err, "the delivery has no document: it is delivered, or its transcript is not there yet")
}

// Every preset can be tried out with nothing but its name, and is described.
func TestCommandPresets(t *testing.T) {
	list, err := execute(t, presetsCommand(), "")
	require.NoError(t, err)
	assert.Contains(t, unpadded(list), "jira                     Jira                     project* issuetype priority labels email api_token access_token\n")
	for _, p := range preset.All() {
		assert.Contains(t, list, "\n"+p.Name+" ")
		description, err := execute(t, presetsCommand(), "", p.Name)
		require.NoError(t, err)
		assert.Contains(t, description, "upstream "+p.Name+" ")
		for _, o := range p.Options {
			assert.Contains(t, description, o.Name+" "+o.Value)
		}
		request, err := execute(t, renderCommand(), "", "--preset", p.Name)
		require.NoError(t, err, p.Name)
		_, body, found := strings.Cut(request, "\n\n")
		require.True(t, found)
		assert.True(t, json.Valid([]byte(body)))
		for _, auth := range p.Auth {
			assert.NotContains(t, request, strings.ToUpper(auth.Options[len(auth.Options)-1]))
		}
	}
	for name, want := range map[string]string{
		"help_scout":   "oauth2 +<client id> <client secret>   # at <URL>/v2/oauth2/token\n",
		"dynamics_365": "oauth2 +<token URL> <client id> <client secret>   # scope <URL>/.default\n",
	} {
		description, err := execute(t, presetsCommand(), "", name)
		require.NoError(t, err)
		assert.Regexp(t, want, description)
	}
	_, err = execute(t, presetsCommand(), "", "none")
	require.ErrorContains(t, err, `no preset "none": there are dixa,`)
}
