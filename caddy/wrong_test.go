package kindly_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/require"
)

// theSecret must never be in an error.
const theSecret = "s3cr3t-b3hind-a-l0ck"

// theKey encrypts.
const theKey = "c2VhbGVkLXdpdGgtdGhlLWtleS1vZi1hLXRlc3QuLi4="

// good is what a webhook needs; line 3 of the Caddyfile is the one after it.
const good = "secret " + theSecret + "; api_key key-" + theSecret + "; upstream https://helpdesk.example.com/tickets"

// webhook returns a Caddyfile with a webhook named shop. Its first
// subdirective is on line 3. A semicolon ends a line.
func webhook(subdirectives string) string {
	var b strings.Builder
	b.WriteString("http://localhost:8080 {\n\tkindly_webhook /kindly shop {\n")
	for line := range strings.SplitSeq(subdirectives, ";") {
		b.WriteString("\t\t" + strings.TrimSpace(line) + "\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// validate does what `caddy validate` does with a Caddyfile.
func validate(t *testing.T, caddyfile string) error {
	t.Helper()
	adapted, _, err := adapt([]byte(caddyfile))
	if err != nil {
		return err
	}
	return caddy.Validate(quiet(t, adapted))
}

// quiet decodes a configuration, and makes it leave no traces.
func quiet(t *testing.T, adapted []byte) *caddy.Config {
	t.Helper()
	var config caddy.Config
	require.NoError(t, json.Unmarshal(adapted, &config))
	no := false
	config.Admin = &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &no}}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}},
	}}
	storage, err := json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
	require.NoError(t, err)
	config.StorageRaw = storage
	return &config
}

// requireWrong fails unless a Caddyfile is refused with the words that the
// operator needs, and without the secret.
func requireWrong(t *testing.T, caddyfile, want string) {
	t.Helper()
	err := validate(t, caddyfile)
	require.ErrorContains(t, err, want)
	require.NotContains(t, err.Error(), theSecret)
}

func TestGoodConfiguration(t *testing.T) {
	require.NoError(t, validate(t, webhook(good)))
}

// TestWrongSyntax has what the adapter refuses: it names file and line.
func TestWrongSyntax(t *testing.T) {
	const (
		upstream = "upstream https://helpdesk.example.com {; "
		oauth2   = "write `oauth2 <token URL> <client id> <client secret> [<scope...>]`"
	)
	for name, c := range map[string]struct{ webhook, want string }{
		"no value for a secret":            {"secret", "secret has no value: write `secret <secret...>`, at Caddyfile:3"},
		"unset variable as a secret":       {"secret {$UNSET_VARIABLE}", "secret has no value: write `secret <secret...>`, at Caddyfile:3"},
		"empty secret":                     {`secret ""`, "secret has no value: write `secret <secret...>`, at Caddyfile:3"},
		"empty secret beside another":      {"secret " + theSecret + ` ""`, "secret has no value: write `secret <secret...>`, at Caddyfile:3"},
		"no value for the token":           {"verify_token", "verify_token has no value: write `verify_token <token>`, at Caddyfile:3"},
		"two tokens":                       {"verify_token " + theSecret + " " + theSecret, "wrong arguments of verify_token: write `verify_token <token>`, at Caddyfile:3"},
		"a second token":                   {"verify_token " + theSecret + "; verify_token " + theSecret, "verify_token is there twice, at Caddyfile:4"},
		"no value for the key":             {good + "; api_key", "api_key is there twice, at Caddyfile:6"},
		"empty key":                        {`api_key ""`, "api_key has no value: write `api_key <key>`, at Caddyfile:3"},
		"two keys":                         {"api_key " + theSecret + " b", "wrong arguments of api_key: write `api_key <key>`, at Caddyfile:3"},
		"no value for events":              {"events", "events has no value: write `events <pattern...>`, at Caddyfile:3"},
		"no value for ignore_source":       {"ignore_source", "ignore_source has no value: write `ignore_source <source...>`, at Caddyfile:3"},
		"no value for exchange_slug":       {"exchange_slug", "exchange_slug has no value: write `exchange_slug <slug>`, at Caddyfile:3"},
		"a third argument":                 {"new_context a b c", "wrong arguments of new_context: write `new_context <key> <value>`, at Caddyfile:3"},
		"a context key again":              {"new_context a b; new_context a c", "new_context a is there twice, at Caddyfile:4"},
		"unknown":                          {"secrets " + theSecret, `unknown subdirective "secrets": kindly_webhook has secret, verify_token, max_body,`},
		"place of unknown":                 {good + "; foo", ", exchange_slug, button, at Caddyfile:6"},
		"not here: encryption_key":         {"encryption_key k", `unknown subdirective "encryption_key": kindly_webhook has secret,`},
		"redact: nothing":                  {"redact", "wrong arguments of redact: write `redact <name|regexp> [<replacement>]`, at Caddyfile:3"},
		"redact: unset variable":           {"redact {$UNSET_VARIABLE}", "wrong arguments of redact: write `redact <name|regexp> [<replacement>]`, at Caddyfile:3"},
		"redact: empty":                    {`redact "" x`, "wrong arguments of redact: write `redact <name|regexp> [<replacement>]`, at Caddyfile:3"},
		"redact: several names":            {"redact card iban email", "wrong arguments of redact: write `redact <name|regexp> [<replacement>]`, at Caddyfile:3"},
		"chat_auth: no file":               {"chat_auth", "chat_auth has no value: write `chat_auth <public key file...>`, at Caddyfile:3"},
		"chat_auth: unset variable":        {"chat_auth {$UNSET_VARIABLE} {; required; }", "chat_auth has no value: write `chat_auth <public key file...>`, at Caddyfile:3"},
		"chat_auth: empty path":            {`chat_auth a.pem ""`, "chat_auth has no value: write `chat_auth <public key file...>`, at Caddyfile:3"},
		"chat_auth: a second one":          {"chat_auth a.pem; chat_auth b.pem", "chat_auth is there twice, at Caddyfile:4"},
		"chat_auth: unknown":               {"chat_auth a.pem {; require; }", `unknown subdirective "require": chat_auth has required, at Caddyfile:4`},
		"chat_auth: required with a value": {"chat_auth a.pem {; required true; }", "required takes no argument: write `required`, or leave it out, at Caddyfile:4"},
		"chat_auth: required twice":        {"chat_auth a.pem {; required; required; }", "required is there twice, at Caddyfile:5"},
		"size without a number":            {"max_body large", "max_body \"large\" is not a size: write a number and a unit, such as 512KiB or 4MiB, at Caddyfile:3"},
		"size of nothing":                  {"max_body 0", "max_body \"0\" is not a size: write a number and a unit, such as 512KiB or 4MiB, at Caddyfile:3"},
		"negative size":                    {"max_body -1MiB", "max_body \"-1MiB\" is not a size: write a number and a unit, such as 512KiB or 4MiB, at Caddyfile:3"},
		"two sizes":                        {"max_body 1 MiB", "wrong arguments of max_body: write `max_body <size>`, at Caddyfile:3"},
		"duration without a unit":          {"respond_within 5", "respond_within \"5\" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:3"},
		"negative duration":                {"respond_within -5s", "respond_within \"-5s\" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:3"},
		"no duration":                      {"respond_within", "wrong arguments of respond_within: write `respond_within <duration>`, at Caddyfile:3"},
		"a second duration":                {"respond_within 0; respond_within 5s", "respond_within is there twice, at Caddyfile:4"},
		"no dedupe window":                 {"dedupe", "wrong arguments of dedupe: write `dedupe <window>|off`, at Caddyfile:3"},
		"two dedupe windows":               {"dedupe off off", "wrong arguments of dedupe: write `dedupe <window>|off`, at Caddyfile:3"},
		"dedupe window of nothing":         {"dedupe 0s", "dedupe needs a window longer than 0; to turn it off, write `dedupe off`, at Caddyfile:3"},
		"dedupe is no duration":            {"dedupe soon", "dedupe \"soon\" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:3"},
		"no text":                          {"reply", "wrong arguments of reply: write `reply [<language>] \"<text>\"`, at Caddyfile:3"},
		"text without quotation marks":     {"reply_pending Thank you very much", "wrong arguments of reply_pending: write `reply_pending [<language>] \"<text>\"`, at Caddyfile:3"},
		"bad language":                     {`reply_failed norsk "Beklager."`, "reply_failed: \"norsk\" is not a language tag: write one such as nb, sv or pt-BR, as in `reply_failed [<language>] \"<text>\"` with the text in quotation marks, at Caddyfile:3"},
		"language with an underscore":      {`reply nb_NO "Takk."`, "reply: \"nb_NO\" is not a language tag: write nb-NO, as in `reply [<language>]"},
		"language that is none":            {`reply "" "Takk."`, "reply: \"\" is not a language tag: write one such as nb, sv or pt-BR, as in"},
		"a language again":                 {`reply nb A; reply nb B`, "reply is there twice for the same language, at Caddyfile:4"},
		"a language again, in capitals":    {`reply nb-no A; reply NB-NO B`, "reply is there twice for the same language, at Caddyfile:4"},
		"all languages again":              {`reply A; reply B`, "reply is there twice for the same language, at Caddyfile:4"},
		"button: nothing":                  {"button", "wrong arguments of button: write `button <type> \"<label>\" <value>`, at Caddyfile:3"},
		"button: no value":                 {"button link Ticket", "wrong arguments of button: write `button <type> \"<label>\" <value>`, at Caddyfile:3"},
		"button: label without marks":      {"button link See your ticket {kindly.ticket.url}", "wrong arguments of button: write `button <type> \"<label>\" <value>`, at Caddyfile:3"},
		"button: unknown type":             {"button url Ticket https://a.example", `button: "url" is not a type of buttons: write one of link, phone, email, quick_reply, at Caddyfile:3`},
		"button: older type":               {"button EXTERNAL_LINK Ticket https://a.example", `button: "EXTERNAL_LINK" is not a type of buttons: write one of link, phone, email, quick_reply, at Caddyfile:3`},
		"transcript: bad argument":         {"transcript none", "unexpected argument \"none\": write `transcript off`, or `transcript { … }`, at Caddyfile:3"},
		"transcript: off with a block":     {"transcript off {; timeout 5s; }", "`transcript off` takes no block, at Caddyfile:4"},
		"transcript: a second one":         {"transcript off; transcript {; timeout 5s; }", "transcript is there twice, at Caddyfile:4"},
		"transcript: unknown":              {"transcript {; retry 5; }", `unknown subdirective "retry": transcript has api, timeout, max_size, transport, at Caddyfile:4`},
		"transcript: no URL":               {"transcript {; api; }", "api has no value: write `api <base URL>`, at Caddyfile:4"},
		"transcript: URL without scheme":   {"transcript {; api bot.kindly.ai; }", "the URL of api has no scheme; write an absolute URL that starts with https:// or http://, at Caddyfile:4"},
		"transcript: timeout of nothing":   {"transcript {; timeout 0; }", "timeout must be longer than 0, at Caddyfile:4"},
		"transcript: bad size":             {"transcript {; max_size 1XB; }", "max_size \"1XB\" is not a size: write a number and a unit, such as 512KiB or 4MiB, at Caddyfile:4"},
		"transcript: transport unnamed":    {"transcript {; transport; }", "wrong arguments of transport: write `transport http { … }`, at Caddyfile:4"},
		"retry: an argument":               {"retry 5", "unexpected argument \"5\": write `retry { … }`, at Caddyfile:3"},
		"retry: a second one":              {"retry {; multiplier 2; }; retry {; multiplier 2; }", "retry is there twice, at Caddyfile:6"},
		"retry: unknown":                   {"retry {; attempts 5; }", `unknown subdirective "attempts": retry has initial_interval, multiplier, max_interval, max_elapsed, at Caddyfile:4`},
		"retry: interval of nothing":       {"retry {; initial_interval 0; }", "initial_interval must be longer than 0, at Caddyfile:4"},
		"retry: interval without a unit":   {"retry {; max_interval 60; }", "max_interval \"60\" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:4"},
		"retry: forever":                   {"retry {; max_elapsed 0; }", "max_elapsed must be longer than 0, at Caddyfile:4"},
		"retry: an interval again":         {"retry {; max_elapsed 1h; max_elapsed 2h; }", "max_elapsed is there twice, at Caddyfile:5"},
		"retry: no multiplier":             {"retry {; multiplier; }", "wrong arguments of multiplier: write `multiplier <number>`, at Caddyfile:4"},
		"retry: a multiplier again":        {"retry {; multiplier 2; multiplier 2; }", "multiplier is there twice, at Caddyfile:5"},
		"retry: shrinking intervals":       {"retry {; multiplier 0.5; }", "multiplier \"0.5\" is not a number from 1: write one such as 2 or 1.5, at Caddyfile:4"},
		"retry: multiplier in words":       {"retry {; multiplier double; }", "multiplier \"double\" is not a number from 1: write one such as 2 or 1.5, at Caddyfile:4"},
		"retry: multiplier without end":    {"retry {; multiplier inf; }", "multiplier \"inf\" is not a number from 1: write one such as 2 or 1.5, at Caddyfile:4"},
		"retry: multiplier that is none":   {"retry {; multiplier nan; }", "multiplier \"nan\" is not a number from 1: write one such as 2 or 1.5, at Caddyfile:4"},
		"upstream: no URL":                 {"upstream", "upstream has no value: write `upstream [<preset>] <URL> { … }`, at Caddyfile:3"},
		"upstream: unset variable":         {"upstream {$UNSET_VARIABLE} {; name a; }", "upstream has no value: write `upstream [<preset>] <URL> { … }`, at Caddyfile:3"},
		"upstream: two URLs":               {"upstream https://a.example https://b.example", "wrong arguments of upstream: write `upstream [<preset>] <URL> { … }`, at Caddyfile:3"},
		"upstream: URL without scheme":     {"upstream helpdesk.example.com/tickets", "the URL of upstream has no scheme; write an absolute URL that starts with https:// or http://, at Caddyfile:3"},
		"upstream: URL with another":       {"upstream ftp://helpdesk.example.com", "the URL of upstream has no scheme; write an absolute URL that starts with https:// or http://, at Caddyfile:3"},
		"upstream: URL without host":       {"upstream https:///tickets", "the URL of upstream has no host; write an absolute URL such as https://helpdesk.example.com/tickets, at Caddyfile:3"},
		"upstream: no such port":           {"upstream https://helpdesk.example.com:99999", "the URL of upstream has no valid port; write one from 1 to 65535, or leave it out, at Caddyfile:3"},
		"upstream: unknown":                {upstream + "foo bar; }", `unknown subdirective "foo": upstream has name, method, header, body, success, ticket_id, ticket_url, sign, oauth2, timeout, concurrency, rate, transport, at Caddyfile:4`},
		"preset: unknown":                  {"upstream zendsk https://acme.zendesk.com", "no preset \"zendsk\": there are dixa, dynamics_365, freshdesk,"},
		"preset: two URLs":                 {"upstream zendesk https://acme.zendesk.com https://b.example", "wrong arguments of upstream: write `upstream [<preset>] <URL> { … }`, at Caddyfile:3"},
		"preset: URL without scheme":       {"upstream zendesk acme.zendesk.com", "the URL of upstream has no scheme; write an absolute URL that starts with https:// or http://, at Caddyfile:3"},
		"preset: unknown option":           {"upstream jira https://acme.atlassian.net {; queue a; }", "unknown subdirective \"queue\": upstream jira has name, method, header, body, success, ticket_id, ticket_url, sign, oauth2, timeout, concurrency, rate, transport, project, issuetype, priority, labels, email, api_token, access_token, at Caddyfile:4"},
		"preset: option of another":        {"upstream https://acme.atlassian.net {; project a; }", "unknown subdirective \"project\": upstream has name, method,"},
		"preset: no value":                 {"upstream jira https://acme.atlassian.net {; project; }", "project has no value: write `project <key>`, at Caddyfile:4"},
		"preset: empty value":              {"upstream jira https://acme.atlassian.net {; labels a \"\"; }", "labels has no value: write `labels <label...>`, at Caddyfile:4"},
		"preset: two values":               {"upstream jira https://acme.atlassian.net {; project A B; }", "wrong arguments of project: write `project <key>`, at Caddyfile:4"},
		"preset: again":                    {"upstream jira https://acme.atlassian.net {; project A; project B; }", "project is there twice, at Caddyfile:5"},
		"upstream: no body":                {upstream + "body; }", "body needs one jq expression: put it into backquotes, such as body `.subject`, at Caddyfile:4"},
		"upstream: empty body":             {upstream + "body ` `; }", "body has no value: put a jq expression into backquotes, such as body `.subject`, at Caddyfile:4"},
		"upstream: body without quotes":    {upstream + "body .subject + .message; }", "body needs one jq expression: put it into backquotes, such as body `.subject`, at Caddyfile:4"},
		"upstream: body again":             {upstream + "body .subject; body .message; }", "body is there twice, at Caddyfile:5"},
		"upstream: no success":             {upstream + "success; }", "success needs one jq expression: put it into backquotes, such as success `.subject`, at Caddyfile:4"},
		"upstream: success without":        {upstream + "success .body.ok == true; }", "success \".body.ok\" is not a status: write statuses such as 201 or 2xx, or one jq expression in backquotes, at Caddyfile:4"},
		"upstream: success again":          {upstream + "success 200 201; success 202 203; }", "success is there twice, at Caddyfile:5"},
		"upstream: ids":                    {upstream + "ticket_id .id .number; }", "ticket_id needs one jq expression: put it into backquotes, such as ticket_id `.subject`, at Caddyfile:4"},
		"upstream: address again":          {upstream + "ticket_url .a; ticket_url .b; }", "ticket_url is there twice, at Caddyfile:5"},
		"upstream: no secret to sign with": {upstream + "sign; }", "sign has no value: write `sign <secret...>`, at Caddyfile:4"},
		"oauth2: nothing":                  {upstream + "oauth2; }", "oauth2 has no value: " + oauth2 + ", at Caddyfile:4"},
		"oauth2: no secret":                {upstream + "oauth2 https://login.example.com " + theSecret + "; }", "wrong arguments of oauth2: " + oauth2 + ", at Caddyfile:4"},
		"oauth2: empty secret":             {upstream + `oauth2 https://login.example.com id ""; }`, "oauth2 has no value: " + oauth2 + ", at Caddyfile:4"},
		"oauth2: unset variable":           {upstream + "oauth2 https://login.example.com id {$UNSET_VARIABLE}; }", "wrong arguments of oauth2: " + oauth2 + ", at Caddyfile:4"},
		"oauth2: URL without scheme":       {upstream + "oauth2 login.example.com id " + theSecret + "; }", "the URL of oauth2 has no scheme; write an absolute URL that starts with https:// or http://, at Caddyfile:4"},
		"oauth2: again":                    {upstream + "oauth2 https://a.example id s; oauth2 https://a.example id " + theSecret + "; }", "oauth2 is there twice, at Caddyfile:5"},
		"oauth2: no URL for a preset":      {"upstream dynamics_365 https://acme.crm.dynamics.com {; oauth2 id " + theSecret + "; }", "wrong arguments of oauth2: " + oauth2 + ", at Caddyfile:4"},
		"oauth2: no secret for a preset":   {"upstream help_scout {; oauth2 " + theSecret + "; }", "wrong arguments of oauth2: write `oauth2 <client id> <client secret>`, at Caddyfile:4"},
		"oauth2: a scope but no URL":       {"upstream help_scout {; oauth2 id " + theSecret + " scope; }", "the URL of oauth2 has no scheme; write an absolute URL that starts with https:// or http://, at Caddyfile:4"},
		"upstream: header without a value": {upstream + "header Authorization; }", "wrong arguments of header: write `header <field> <value>`, at Caddyfile:4"},
		"upstream: header of three":        {upstream + "header Authorization Bearer " + theSecret + "; }", "wrong arguments of header: write `header <field> <value>`, at Caddyfile:4"},
		"upstream: name missing":           {upstream + "name; }", "name has no value: write `name <label>`, at Caddyfile:4"},
		"upstream: two methods":            {upstream + "method POST PUT; }", "wrong arguments of method: write POST, PUT or PATCH, or one jq expression in backquotes, at Caddyfile:4"},
		"upstream: method missing":         {upstream + "method; }", "method has no value: write `method <method>`, at Caddyfile:4"},
		"upstream: method twice":           {upstream + "method PUT; method PATCH POST; }", "method is there twice, at Caddyfile:5"},
		"upstream: timeout without unit":   {upstream + "timeout 15; }", "timeout \"15\" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:4"},
		"upstream: no concurrency":         {upstream + "concurrency 0; }", "concurrency \"0\" is not a number of requests: write a whole number from 1, at Caddyfile:4"},
		"upstream: bad concurrency":        {upstream + "concurrency many; }", "concurrency \"many\" is not a number of requests: write a whole number from 1, at Caddyfile:4"},
		"upstream: no rate":                {upstream + "rate; }", "rate has no value: write `rate <n>/<s|m|h>`, at Caddyfile:4"},
		"upstream: rate without a unit":    {upstream + "rate 10; }", "rate \"10\" is not a rate: write how many attempts a second, minute or hour may have, such as 10/s, 200/m or 1000/h, at Caddyfile:4"},
		"upstream: rate of nothing":        {upstream + "rate 0/s; }", "rate \"0/s\" is not a rate: write how many attempts a second, minute or hour may have, such as 10/s, 200/m or 1000/h, at Caddyfile:4"},
		"upstream: rate in a day":          {upstream + "rate 10/d; }", "rate \"10/d\" is not a rate: write how many attempts"},
		"upstream: rate in words":          {upstream + "rate 10 / s; }", "wrong arguments of rate: write `rate <n>/<s|m|h>`, at Caddyfile:4"},
		"upstream: rate again":             {upstream + "rate 1/s; rate 1/s; }", "rate is there twice, at Caddyfile:5"},
		"upstream: other transport":        {upstream + "transport fastcgi; }", "wrong arguments of transport: write `transport http { … }`, at Caddyfile:4"},
		"upstream: transport again":        {upstream + "transport http; transport http; }", "transport is there twice, at Caddyfile:5"},
		"upstream: in its transport":       {upstream + "transport http {; foo; }; }", "unrecognized subdirective foo, at Caddyfile:5"},
	} {
		t.Run(name, func(t *testing.T) { requireWrong(t, webhook(c.webhook), c.want) })
	}
}

// TestWrongElsewhere has what is wrong around a webhook's block.
func TestWrongElsewhere(t *testing.T) {
	for name, c := range map[string]struct{ caddyfile, want string }{
		"two names": {
			"http://localhost:8080 {\n\tkindly_webhook /kindly shop " + theSecret + "\n}\n",
			"wrong arguments of kindly_webhook: write `kindly_webhook [<matcher>] [<name>] { … }`, with a matcher that begins with / or @, at Caddyfile:2",
		},
		"path that is none": {
			"http://localhost:8080 {\n\tkindly_webhook kindly shop {\n\t}\n}\n",
			"wrong arguments of kindly_webhook: write `kindly_webhook [<matcher>] [<name>] { … }`, with a matcher that begins with / or @, at Caddyfile:2",
		},
		"unknown global option": {
			"{\n\tkindly {\n\t\ttraces\n\t}\n}\n",
			`unknown subdirective "traces": the global option kindly has store, retention, max_pending, grace_period, encryption_key, tracing, at Caddyfile:3`,
		},
		"global option with an argument": {
			"{\n\tkindly on\n}\n",
			"unexpected argument \"on\": write `kindly { … }`, at Caddyfile:2",
		},
		"global option twice": {
			"{\n\tkindly {\n\t}\n\tkindly {\n\t}\n}\n",
			"the global option kindly is there twice: put everything into one block, at Caddyfile:4",
		},
		"grace period of nothing": {
			"{\n\tkindly {\n\t\tgrace_period 0\n\t}\n}\n",
			"grace_period must be longer than 0, at Caddyfile:3",
		},
	} {
		t.Run(name, func(t *testing.T) { requireWrong(t, c.caddyfile, c.want) })
	}
}

// TestWrongConfiguration has what is refused only when the configuration is
// provisioned: the message names webhook, upstream and field.
func TestWrongConfiguration(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	missing := filepath.Join(dir, "missing")
	t.Setenv("KINDLY_TEST_EMPTY", "")
	t.Setenv("KINDLY_TEST_HTTP", "http://login.example.com/token")

	const (
		shop     = `kindly_webhook "shop": `
		rest     = "; transcript off; upstream https://helpdesk.example.com"
		upstream = "secret " + theSecret + "; transcript off; upstream https://helpdesk.example.com {; "
	)
	for name, c := range map[string]struct{ webhook, want string }{
		"no secret":                       {"api_key key" + rest, shop + "secret is missing: write the one that signs the webhooks (Kindly: Settings › General › Security › Webhook HMAC)"},
		"secret in no variable":           {"secret {env.KINDLY_TEST_UNSET}" + rest, shop + "secret: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"secret in an empty variable":     {"secret {env.KINDLY_TEST_EMPTY}" + rest, shop + "secret: placeholder {env.KINDLY_TEST_EMPTY} has no value: set it before Caddy starts"},
		"secret partly in no variable":    {"secret " + theSecret + "{env.KINDLY_TEST_UNSET}" + rest, shop + "secret: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"second secret in no variable":    {"secret " + theSecret + " {env.KINDLY_TEST_UNSET}" + rest, shop + "secret: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"secret in no file":               {"secret {file." + missing + "}" + rest, shop + "secret: placeholder {file." + missing + "} has no value: set it before Caddy starts"},
		"secret in an empty file":         {"secret {file." + empty + "}" + rest, shop + "secret: placeholder {file." + empty + "} has no value: set it before Caddy starts"},
		"braces in a secret":              {`secret "` + theSecret + `{x}y"` + rest, shop + `secret has braces that are no placeholder: write a literal brace as \{`},
		"token in no variable":            {"secret " + theSecret + "; verify_token {env.KINDLY_TEST_UNSET}" + rest, shop + "verify_token: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"no key":                          {"secret " + theSecret + "; upstream https://helpdesk.example.com", shop + "api_key is missing: write the API key with the scope \"Read chats\" (Kindly: Connect › API Keys), or `transcript off`"},
		"key in no variable":              {"secret " + theSecret + "; api_key {env.KINDLY_TEST_UNSET}; upstream https://helpdesk.example.com", shop + "api_key: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"key in the clear":                {good + "; transcript {; api http://bot.example.com; }", shop + "transcript api: http would send the API key in the clear; write https, or the address of a loopback interface"},
		"API in no variable":              {good + "; transcript {; api {env.KINDLY_TEST_UNSET}; }", shop + "transcript api: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"API with a query":                {good + "; transcript {; api https://bot.example.com/?key=" + theSecret + "; }", shop + "transcript api is a base URL: leave out user, query and fragment"},
		"transport of transcripts":        {good + "; transcript {; transport http {; proxy_protocol v2; }; }", shop + "transcript: transport: proxy_protocol only works in a reverse_proxy: leave it out"},
		"events without a pattern":        {good + "; events ticket.[", shop + `events: "ticket.[" is not a pattern: write the name of an event`},
		"redact: no such name":            {good + "; redact ssn", shop + `redact: "ssn" is unknown: write one of card, iban, email, national_id, norwegian_id, swedish_id, danish_id, finnish_id; for a regular expression that is this word, write (?:ssn)`},
		"redact: no expression":           {good + "; redact `(\\d+`", shop + `redact: "(\\d+" is neither one of card, iban, email, national_id, norwegian_id, swedish_id, danish_id, finnish_id nor a regular expression: missing closing ): write it in Go's syntax (RE2), which has no look-around and no back-references`},
		"redact: look-ahead":              {good + "; redact `x(?=y)`", shop + `redact: "x(?=y)" is neither one of`},
		"redact: matches nothing":         {good + "; redact `\\d*` x", shop + `redact: "\\d*" matches where there is nothing: write an expression whose matches have a character at least, such as x+ for x*`},
		"redact: again":                   {good + "; redact email; redact email x", shop + `redact: "email" is there twice, or is a part of national_id`},
		"redact: a part of another":       {good + "; redact national_id; redact swedish_id", shop + `redact: "swedish_id" is there twice, or is a part of national_id, which is there, too: leave one of them out`},
		"redact: long replacement":        {good + "; redact card " + strings.Repeat("x", 257), shop + `redact: "card": the replacement is longer than 256 bytes`},
		"request placeholder in a reply":  {good + `; reply "{http.request.host}"`, shop + "reply: placeholder {http.request.host} is about an HTTP request, and there is none when a delivery is retried; use a {kindly.*} placeholder"},
		"request placeholder, short":      {good + `; reply_failed "{host}"`, shop + "reply_failed: placeholder {http.request.host} is about an HTTP request"},
		"unknown placeholder":             {good + `; reply_pending nb "{kindly.ticket.nr}"`, shop + "reply_pending: unknown placeholder {kindly.ticket.nr}; there are {kindly.bot.id}, {kindly.chat.id}"},
		"unknown placeholder in context":  {good + "; new_context ticket {kindly.nr}", shop + "new_context ticket: unknown placeholder {kindly.nr}; there are"},
		"button without a label":          {good + `; button link "" https://a.example`, shop + "button: link has no label: write what the button says"},
		"button without a value":          {good + `; button quick_reply More ""`, shop + "button: the value of quick_reply is none: write what pressing it says in the chat"},
		"button to no address":            {good + "; button link Ticket helpdesk.example.com", shop + "button: the value of link is none: write an address such as https://helpdesk.example.com/tickets"},
		"button to no address, later":     {good + "; button link Ticket helpdesk.example.com/{kindly.ticket.id}", shop + "button: the value of link is none: write an address such as https://"},
		"button that runs a script":       {good + "; button link Ticket javascript:open({kindly.ticket.id})", shop + "button: the value of link is none: write an address such as https://"},
		"button to no number":             {good + "; button phone Call us", shop + "button: the value of phone is none: write a telephone number such as +4722334455"},
		"button to no e-mail address":     {good + "; button email Write support", shop + "button: the value of email is none: write an e-mail address such as support@example.com"},
		"unknown placeholder on a button": {good + "; button link {kindly.ticket} https://a.example", shop + "button: the label of link: unknown placeholder {kindly.ticket}; there are"},
		"request placeholder in a button": {good + "; button link Ticket {host}", shop + "button: the value of link: placeholder {http.request.host} is about an HTTP request"},
		"unknown placeholder in slug":     {good + "; exchange_slug {kindly.nr}", shop + "exchange_slug: unknown placeholder {kindly.nr}; there are"},
		"upstream: URL in no variable":    {"secret s; transcript off; upstream {env.KINDLY_TEST_UNSET} {; name crm; }", shop + `upstream "crm": url: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts`},
		"upstream: URL with braces":       {"secret s; transcript off; upstream https://helpdesk.example.com/{id}", shop + `upstream "default": url has braces that are no placeholder: write a literal brace as \{`},
		"upstream: name":                  {upstream + "name -crm; }", shop + `upstream: name "-crm" is not valid: write a letter or a digit, then up to 62 letters, digits, dots, underscores or hyphens`},
		"upstream: same name":             {upstream + "name crm; }; upstream https://crm.example.com {; name crm; }", shop + `upstream "crm": another upstream of this webhook has the same name; write a name for each`},
		"upstream: both without a name":   {good + "; upstream https://crm.example.com", shop + `upstream "default": another upstream of this webhook has the same name; write a name for each`},
		"upstream: method":                {upstream + `method post; }`, shop + `upstream "default": method "post" is not one: write POST, PUT or PATCH, or a jq expression that gives one of them`},
		"upstream: method by jq":          {upstream + "method `if .kindly_ticket then \"PUT\" else POST end`; }", shop + "upstream \"default\": method: line 1, column 35: no function POST with 0 arguments; write a jq expression such as `if .kindly_ticket then \"PUT\" else \"POST\" end`"},
		"upstream: header in no variable": {upstream + `header Authorization "Bearer {env.KINDLY_TEST_UNSET}"; }`, shop + `upstream "default": header Authorization: placeholder {env.KINDLY_TEST_UNSET} has no value; set it before`},
		"upstream: header in no file":     {upstream + "header Authorization {file." + missing + "}; }", shop + `upstream "default": header Authorization: placeholder {file.` + missing + `} has no value; set it before`},
		"upstream: request placeholder":   {upstream + "header X-Host {host}; }", shop + `upstream "default": header X-Host: placeholder {http.request.host} is about an HTTP request`},
		"upstream: header that is ours":   {upstream + "header Idempotency-Key " + theSecret + "; }", shop + `upstream "default": header "Idempotency-Key" is set for every request: leave it out`},
		"upstream: body":                  {upstream + "name crm; body `{title: .subject, text: .transcript.txt,, }`; }", shop + "upstream \"crm\": body: line 1, column 41: unexpected token \",\"; write a jq expression such as `{title: .subject, text: .transcript.text}`"},
		"upstream: function":              {upstream + "body .subject|shorten(5); }", shop + "upstream \"default\": body: line 1, column 10: no function shorten with 1 arguments; write"},
		"upstream: environment":           {upstream + "body `{token: $ENV.TOKEN}`; }", shop + "upstream \"default\": body: line 1, column 9: the environment is not available: write what you need into the expression, or into a header as {env.NAME}"},
		"upstream: success":               {upstream + "success .body.ok=; }", shop + "upstream \"default\": success: line 1, column 10: unexpected EOF: something is missing"},
		"upstream: ticket_id":             {upstream + "ticket_id $ticket; }", shop + "upstream \"default\": ticket_id: line 1, column 1: no variable $ticket: there are $base; write a jq expression such as `.body.ticket.id`"},
		"upstream: ticket_url":            {upstream + "ticket_url \"https://desk.example/\\(id)\"; }", shop + "upstream \"default\": ticket_url: line 1, column"},
		"upstream: sign with another":     {upstream + "sign " + theSecret + "; }", shop + "upstream \"default\": sign: a secret is whsec_ and then base64 with its padding: make one by `echo whsec_$(head -c 32 /dev/urandom | base64)`"},
		"upstream: sign with no variable": {upstream + "sign {env.KINDLY_TEST_UNSET}; }", shop + "upstream \"default\": sign: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"upstream: header of a signature": {upstream + "sign whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw; header webhook-id 1; }", shop + "upstream \"default\": header \"Webhook-Id\" is a part of the signature: leave out it, or sign"},
		"oauth2: http":                    {upstream + "oauth2 http://login.example.com id " + theSecret + "; }", shop + "upstream \"default\": oauth2: token_url is http, which would send the secret in the clear; write https, or the address of a loopback interface"},
		"oauth2: http by a variable":      {upstream + "oauth2 {env.KINDLY_TEST_HTTP} id " + theSecret + "; }", shop + "upstream \"default\": oauth2: token_url is http, which would send the secret in the clear"},
		"oauth2: secret in no variable":   {upstream + "oauth2 https://login.example.com id {env.KINDLY_TEST_UNSET}; }", shop + "upstream \"default\": oauth2: client_secret: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"oauth2: secret in an empty file": {upstream + "oauth2 https://login.example.com id {file." + empty + "}; }", shop + "upstream \"default\": oauth2: client_secret: placeholder {file." + empty + "} has no value: set it before Caddy starts"},
		"oauth2: scope in no variable":    {upstream + "oauth2 https://login.example.com id " + theSecret + " {env.KINDLY_TEST_UNSET}; }", shop + "upstream \"default\": oauth2: scopes: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"oauth2: user in the token URL":   {upstream + "oauth2 https://id:" + theSecret + "@login.example.com id s; }", shop + "upstream \"default\": oauth2: token_url has a user or a fragment: leave it out, id and secret are written after the URL"},
		"oauth2: and a header":            {upstream + "oauth2 https://login.example.com id " + theSecret + "; header authorization \"Bearer " + theSecret + "\"; }", shop + "upstream \"default\": oauth2 sets the header Authorization: leave out that header, or oauth2"},
		"oauth2: and a user":              {"secret s; transcript off; upstream https://me:" + theSecret + "@helpdesk.example.com {; oauth2 https://login.example.com id s; }", shop + "upstream \"default\": oauth2 logs in already: leave out the user in the url, or oauth2"},
		"oauth2: and a token":             {"secret s; transcript off; upstream help_scout {; mailbox_id 1; customer a@acme.example; access_token " + theSecret + "; oauth2 id " + theSecret + "; }", shop + "upstream \"help_scout\": oauth2 logs in already: leave out access_token, or oauth2"},
		"preset: nothing":                 {"secret s; transcript off; upstream jira https://acme.atlassian.net", shop + "upstream \"jira\": project is missing: write `project <key>`, of the project that gets the issue, such as SUP"},
		"preset: no URL":                  {"secret s; transcript off; upstream zendesk {; email a; api_token b; }", shop + "upstream \"zendesk\": url is missing: write where your Zendesk is, such as https://acme.zendesk.com"},
		"preset: no credentials":          {"secret s; transcript off; upstream zendesk https://acme.zendesk.com {; email a; }", shop + "upstream \"zendesk\": credentials are missing: write `email` and `api_token`, or `access_token`, or a header Authorization"},
		"preset: token in no variable":    {"secret s; transcript off; upstream zendesk https://acme.zendesk.com {; access_token {env.KINDLY_TEST_UNSET}; }", shop + "upstream \"zendesk\": access_token: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"preset: no number":               {"secret s; transcript off; upstream zendesk https://acme.zendesk.com {; access_token " + theSecret + "; group_id support; }", shop + "upstream \"zendesk\": group_id is not what it should be: write `group_id <id>`, of the group that gets the ticket"},
		"preset: same name":               {"secret s; transcript off; upstream slack https://hooks.slack.com/services/a; upstream slack https://hooks.slack.com/services/b", shop + "upstream \"slack\": another upstream of this webhook has the same name; write a name for each"},
		"upstream: transport":             {upstream + "name crm; transport http {; versions 7; }; }", shop + `upstream "crm": transport: loading module 'http':`},
		"middleware: dedupe":              {"secret s; transcript off; dedupe off", shop + "dedupe has no effect without an upstream: add one, or leave it out"},
		"middleware: ignore_source":       {"secret s; transcript off; ignore_source test", shop + "ignore_source has no effect without an upstream: add one, or leave it out"},
		"retry: intervals that cross":     {good + "; retry {; initial_interval 10m; max_interval 5m; }", shop + "retry: max_interval 5m0s is shorter than initial_interval 10m0s: write a longer one, or a shorter initial_interval"},
		"retry: beyond the default":       {good + "; retry {; initial_interval 2h; }", shop + "retry: max_interval 1h0m0s is shorter than initial_interval 2h0m0s"},
		"middleware: retry":               {"secret s; transcript off; retry {; multiplier 2; }", shop + "retry has no effect without an upstream: add one, or leave it out"},
		"middleware: respond_within":      {"secret s; transcript off; respond_within 5s", shop + "respond_within has no effect without an upstream: add one, or leave it out"},
		"middleware: reply":               {"secret s; transcript off; reply a", shop + "reply has no effect without an upstream: add one, or leave it out"},
		"middleware: reply_pending":       {"secret s; transcript off; reply_pending a", shop + "reply_pending has no effect without an upstream: add one, or leave it out"},
		"middleware: reply_failed":        {"secret s; transcript off; reply_failed a", shop + "reply_failed has no effect without an upstream: add one, or leave it out"},
		"middleware: new_context":         {"secret s; transcript off; new_context a b", shop + "new_context has no effect without an upstream: add one, or leave it out"},
		"middleware: exchange_slug":       {"secret s; transcript off; exchange_slug a", shop + "exchange_slug has no effect without an upstream: add one, or leave it out"},
		"middleware: button":              {"secret s; transcript off; button quick_reply a b", shop + "button has no effect without an upstream: add one, or leave it out"},
		"middleware: no secret":           {"transcript off", shop + "secret is missing: write the one that signs the webhooks"},
	} {
		t.Run(name, func(t *testing.T) { requireWrong(t, webhook(c.webhook), c.want) })
	}
}

// TestWrongOptions has what is wrong in the global option's block, which begins
// at line 3.
func TestWrongOptions(t *testing.T) {
	const usage = ": write `store bolt [<path>]`, `store postgres <dsn>`, or `store memory` for trials, at Caddyfile:3"
	for name, c := range map[string]struct{ option, want string }{
		"store of nothing":         {"store", "store has no value" + usage},
		"store of an empty name":   {`store ""`, "store has no value" + usage},
		"unknown store":            {"store redis dsn", `there is no store "redis"` + usage},
		"two stores":               {"store memory; store memory", "store is there twice, at Caddyfile:4"},
		"memory with a path":       {"store memory /a", "wrong arguments of store: write `store memory`, at Caddyfile:3"},
		"memory with a block":      {"store memory {; a; }", "wrong arguments of store: write `store memory`, at Caddyfile:4"},
		"postgres of nothing":      {"store postgres", "store postgres has no DSN: write `store postgres postgres://<user>:<password>@<host>/<database>`, or `host=… user=…` in quotes, at Caddyfile:3"},
		"postgres with two DSNs":   {"store postgres host=a user=b", "wrong arguments of store: write `store postgres <dsn>`, at Caddyfile:3"},
		"postgres with an option":  {"store postgres host=a {; prefix a; }", `unknown subdirective "prefix": store postgres has table_prefix, max_connections, at Caddyfile:4`},
		"postgres with none":       {"store postgres host=a {; max_connections 0; }", `max_connections "0" is not a number of connections: write a whole number from 1, at Caddyfile:4`},
		"malformed DSN":            {"store postgres postgres://kindly:s3cret%zz@db/kindly", "kindly: store: loading module 'postgres': provision kindly.stores.postgres: the DSN is malformed: write postgres://user:password@host:5432/database?sslmode=verify-full"},
		"prefix with a dot":        {"store postgres host=a {; table_prefix a.b; }", `kindly: store: loading module 'postgres': provision kindly.stores.postgres: the table prefix "a.b" must be at most 32 lower-case letters, digits and underscores, and begin with no digit`},
		"bolt with two paths":      {"store bolt /a /b", "wrong arguments of store: write `store bolt [<path>]`, at Caddyfile:3"},
		"bolt with an empty path":  {`store bolt ""`, "the path of store bolt is empty: write `store bolt <path>`, or `store bolt` for the default, at Caddyfile:3"},
		"bolt with a block":        {"store bolt {; path /a; }", "wrong arguments of store: write `store bolt [<path>]`, at Caddyfile:4"},
		"path in no variable":      {"store bolt {env.KINDLY_TEST_UNSET}/a", "kindly: store: loading module 'bolt': provision kindly.stores.bolt: path: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"path with braces":         {"store bolt /{a}", `kindly: store: loading module 'bolt': provision kindly.stores.bolt: path has braces that are no placeholder: write a literal brace as \{`},
		"no retention":             {"retention", "wrong arguments of retention: write `retention <delivered> [<dead>]`, at Caddyfile:3"},
		"three retentions":         {"retention 1h 2h 3h", "wrong arguments of retention: write `retention <delivered> [<dead>]`, at Caddyfile:3"},
		"retention twice":          {"retention 1h; retention 2h", "retention is there twice, at Caddyfile:4"},
		"retention without a unit": {"retention 24", `retention "24" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:3`},
		"negative retention":       {"retention 24h -1h", `retention "-1h" is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h, at Caddyfile:3`},
		"retention of nothing":     {"retention 24h 0", "retention must be longer than 0, at Caddyfile:3"},
		"no max_pending":           {"max_pending", "max_pending has no value: write `max_pending <n>`, at Caddyfile:3"},
		"two max_pendings":         {"max_pending 1 2", "wrong arguments of max_pending: write `max_pending <n>`, at Caddyfile:3"},
		"max_pending twice":        {"max_pending 1; max_pending 2", "max_pending is there twice, at Caddyfile:4"},
		"max_pending of nothing":   {"max_pending 0", `max_pending "0" is not a number of deliveries: write a whole number from 1, at Caddyfile:3`},
		"no encryption_key":        {"encryption_key", "encryption_key has no value: write `encryption_key <key...>`, at Caddyfile:3"},
		"encryption_key unset":     {"encryption_key {$UNSET_VARIABLE}", "encryption_key has no value: write `encryption_key <key...>`, at Caddyfile:3"},
		"encryption_key: empty":    {"encryption_key " + theSecret + ` ""`, "encryption_key has no value: write `encryption_key <key...>`, at Caddyfile:3"},
		"encryption_key: a word":   {"encryption_key " + theSecret, "kindly: encryption_key: key 1 has 15 bytes instead of 32: make one by `openssl rand -base64 32`"},
		"encryption_key: short":    {"encryption_key " + theKey + "; encryption_key c2hvcnQ=", "kindly: encryption_key: key 2 has 5 bytes instead of 32: make one by `openssl rand -base64 32`"},
		"encryption_key: the same": {"encryption_key " + theKey + " " + theKey, "kindly: encryption_key: key 2 is the same as one before it: leave it out"},
		"encryption_key: late off": {"encryption_key " + theKey + " off", "kindly: encryption_key: key 2 is off, which goes first: write `off <key...>`"},
		"encryption_key: no env":   {"encryption_key {env.KINDLY_TEST_UNSET}", "kindly: encryption_key: placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts"},
		"encryption_key: memory":   {"store memory; encryption_key " + theKey, "kindly: encryption_key: store memory encrypts nothing: leave it out, or write `store bolt`"},
		"tracing with a value":     {"tracing otlp", "tracing takes no argument: write `tracing`, or leave it out, at Caddyfile:3"},
		"tracing twice":            {"tracing; tracing", "tracing is there twice, at Caddyfile:4"},
		"max_pending in words":     {"max_pending 1M", `max_pending "1M" is not a number of deliveries: write a whole number from 1, at Caddyfile:3`},
	} {
		t.Run(name, func(t *testing.T) {
			config := "{\n\tkindly {\n" + strings.ReplaceAll(c.option, "; ", "\n") + "\n\t}\n}\n"
			requireWrong(t, config, c.want)
			require.NotContains(t, validate(t, config).Error(), theKey)
		})
	}
}

func TestWrongName(t *testing.T) {
	for _, name := range []string{"-shop", `"my shop"`, "shop/1", strings.Repeat("a", 64), "ø"} {
		caddyfile := "http://localhost:8080 {\n\tkindly_webhook /kindly " + name + " {\n\t\tsecret s\n\t\ttranscript off\n\t\tupstream https://helpdesk.example.com\n\t}\n}\n"
		requireWrong(t, caddyfile, fmt.Sprintf("kindly_webhook %q: name %[1]q is not valid: write a letter or a digit, then up to 62 letters, digits, dots, underscores or hyphens", strings.Trim(name, `"`)))
	}
}

// TestWrongJSON has what no Caddyfile can say.
func TestWrongJSON(t *testing.T) {
	const secret = `"secrets": ["` + theSecret + `"], "transcript": {"off": true}`
	for name, c := range map[string]struct{ handler, want string }{
		"empty secret":           {`"secrets": [""], "transcript": {"off": true}`, `kindly_webhook "default": secret is empty`},
		"unknown field":          {secret + `, "retries": {}`, `unknown field "retries"`},
		"negative initial":       {secret + `, "upstreams": [{"url": "https://a.example"}], "retry": {"initial_interval": -1}`, `kindly_webhook "default": retry: initial_interval must be longer than 0: write a duration such as 1s`},
		"multiplier below 1":     {secret + `, "upstreams": [{"url": "https://a.example"}], "retry": {"multiplier": 0.9}`, `kindly_webhook "default": retry: multiplier must be at least 1: write a number such as 2`},
		"negative max_interval":  {secret + `, "upstreams": [{"url": "https://a.example"}], "retry": {"max_interval": -1}`, `kindly_webhook "default": retry: max_interval must be longer than 0: write a duration such as 1h`},
		"negative max_elapsed":   {secret + `, "upstreams": [{"url": "https://a.example"}], "retry": {"max_elapsed": -1}`, `kindly_webhook "default": retry: max_elapsed must be longer than 0: write a duration such as 72h`},
		"negative max_body":      {secret + `, "max_body": -1`, `kindly_webhook "default": max_body is negative: write a size such as 4MiB`},
		"negative respond":       {secret + `, "upstreams": [{"url": "https://a.example"}], "respond_within": -1`, `kindly_webhook "default": respond_within is negative: write a duration such as 5s`},
		"upstream without URL":   {secret + `, "upstreams": [{}]`, `kindly_webhook "default": upstream "default": url is empty; write an absolute URL`},
		"upstream is null":       {secret + `, "upstreams": [null]`, `kindly_webhook "default": upstreams: number 1 is null: write an object with a url, or leave it out`},
		"negative timeout":       {secret + `, "upstreams": [{"url": "https://a.example", "timeout": -1}]`, `kindly_webhook "default": upstream "default": timeout is negative: write a duration such as 15s`},
		"unknown preset":         {secret + `, "upstreams": [{"preset": "none"}]`, `kindly_webhook "default": upstream "none": no preset "none": there are dixa,`},
		"options alone":          {secret + `, "upstreams": [{"url": "https://a.example", "options": {"project": 1}}]`, `kindly_webhook "default": upstream "default": options are those of a preset: name one, or leave them out`},
		"unknown option":         {secret + `, "upstreams": [{"preset": "slack", "url": "https://a.example", "options": {"channel": "x"}}]`, `kindly_webhook "default": upstream "slack": options: slack has none: leave out channel`},
		"option that is null":    {secret + `, "upstreams": [{"preset": "jira", "url": "https://a.example", "options": {"project": null}}]`, `kindly_webhook "default": upstream "jira": project is missing`},
		"option in an option":    {secret + `, "upstreams": [{"preset": "jira", "url": "https://a.example", "options": {"project": {"key": "A"}}}]`, `kindly_webhook "default": upstream "jira": project is not what it should be: write`},
		"rate of nothing":        {secret + `, "upstreams": [{"url": "https://a.example", "rate": "0/s"}]`, `kindly_webhook "default": upstream "default": rate "0/s" is not a rate: write how many attempts`},
		"oauth2 of nothing":      {secret + `, "upstreams": [{"url": "https://a.example", "oauth2": {}}]`, `kindly_webhook "default": upstream "default": oauth2: token_url is missing: write the address of the token endpoint`},
		"oauth2 without an id":   {secret + `, "upstreams": [{"url": "https://a.example", "oauth2": {"token_url": "https://b.example", "client_secret": "` + theSecret + `"}}]`, `kindly_webhook "default": upstream "default": oauth2: client_id is missing: write the one`},
		"oauth2, empty secret":   {secret + `, "upstreams": [{"url": "https://a.example", "oauth2": {"token_url": "https://b.example", "client_id": "a", "client_secret": ""}}]`, `kindly_webhook "default": upstream "default": oauth2: client_secret is missing: write the one`},
		"oauth2, no scheme":      {secret + `, "upstreams": [{"url": "https://a.example", "oauth2": {"token_url": "b.example/` + theSecret + `", "client_id": "a", "client_secret": "b"}}]`, `kindly_webhook "default": upstream "default": oauth2: token_url has no scheme; write an absolute URL`},
		"oauth2, empty scope":    {secret + `, "upstreams": [{"url": "https://a.example", "oauth2": {"token_url": "https://b.example", "client_id": "a", "client_secret": "b", "scopes": [""]}}]`, `kindly_webhook "default": upstream "default": oauth2: a scope is empty: write its name, or leave it out`},
		"other transport":        {secret + `, "upstreams": [{"url": "https://a.example", "transport": {"protocol": "fastcgi"}}]`, "kindly_webhook \"default\": upstream \"default\": transport: its protocol only works in a reverse_proxy: write `http`"},
		"bad language":           {secret + `, "upstreams": [{"url": "https://a.example"}], "reply": {"norsk": "a"}`, `kindly_webhook "default": reply: "norsk" is not a language tag: write one such as nb, sv or pt-BR`},
		"a language twice":       {secret + `, "upstreams": [{"url": "https://a.example"}], "reply": {"nb": "a", "NB": "b"}`, `kindly_webhook "default": reply: there are two texts for the language nb; write one`},
		"button of no type":      {secret + `, "upstreams": [{"url": "https://a.example"}], "buttons": [{"label": "a", "value": "b"}]`, `kindly_webhook "default": button: "" is not a type of buttons: write one of link, phone, email, quick_reply`},
		"button is null":         {secret + `, "upstreams": [{"url": "https://a.example"}], "buttons": [null]`, `kindly_webhook "default": button: "" is not a type of buttons: write one of link, phone, email, quick_reply`},
		"redaction of nothing":   {secret + `, "upstreams": [{"url": "https://a.example"}], "redact": [{"replacement": "a"}]`, `kindly_webhook "default": redact: the pattern is empty: write one of card, iban,`},
		"redaction is null":      {secret + `, "upstreams": [{"url": "https://a.example"}], "redact": [null]`, `kindly_webhook "default": redact: the pattern is empty`},
		"unknown button field":   {secret + `, "upstreams": [{"url": "https://a.example"}], "buttons": [{"url": "b"}]`, `unknown field "url"`},
		"transcript size":        {`"secrets": ["s"], "api_key": "` + theSecret + `", "transcript": {"max_size": -1}`, `kindly_webhook "default": transcript: max_size is negative: write a size such as 16MiB`},
		"key with a line's end":  {`"secrets": ["s"], "api_key": "` + theSecret + `\n"`, `kindly_webhook "default": api_key has characters that no header can carry`},
		"a secret in a URL":      {secret + `, "upstreams": [{"url": "https://user:` + theSecret + `/@a.example"}]`, `kindly_webhook "default": upstream "default": url is not a URL`},
		"a secret in no address": {secret + `, "upstreams": [{"url": "https://` + theSecret + `%zz.example"}]`, `kindly_webhook "default": upstream "default": url is not a URL`},
	} {
		t.Run(name, func(t *testing.T) {
			config := `{"apps": {"http": {"servers": {"srv0": {"listen": ["127.0.0.1:8080"], "routes": [
				{"handle": [{"handler": "kindly_webhook", ` + c.handler + `}]}
			]}}}}}`
			err := caddy.Validate(quiet(t, []byte(config)))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), theSecret)
		})
	}
	for app, want := range map[string]string{
		`{"grace_period": -1}`:                  "kindly: grace_period is negative: write a duration such as 10s",
		`{"retention": -1}`:                     "kindly: retention is negative: write a duration such as 24h",
		`{"dead_retention": -1}`:                "kindly: dead_retention is negative: write a duration such as 720h",
		`{"max_pending": -1}`:                   "kindly: max_pending is negative: write a whole number such as 1000000",
		`{"tracing": "otlp"}`:                   "cannot unmarshal",
		`{"retentions": 1}`:                     `unknown field "retentions"`,
		`{"store": {}}`:                         "kindly: store has no engine: write an object with the engine bolt, postgres or memory",
		`{"store": "bolt"}`:                     "kindly: store has no engine: write an object with the engine bolt, postgres or memory",
		`{"store": {"engine": "none"}}`:         `kindly: store: there is no engine "none": write bolt, postgres or memory`,
		`{"store": {"engine": "postgres"}}`:     "dsn is missing: write where the database is, such as postgres://user:password@host/database",
		`{"store": {"engine": "bolt", "a": 1}}`: `unknown field "a"`,
	} {
		err := caddy.Validate(quiet(t, []byte(`{"apps": {"kindly": `+app+`}}`)))
		require.ErrorContains(t, err, want)
	}
}
