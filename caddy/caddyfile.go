package kindly

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

func init() {
	httpcaddyfile.RegisterDirective("kindly_webhook", parseDirective)
	// Before anything rewrites the request or asks for a password.
	httpcaddyfile.RegisterDirectiveOrder("kindly_webhook", httpcaddyfile.Before, "redir")
	httpcaddyfile.RegisterGlobalOption("kindly", parseGlobalOption)
}

// parseDirective parses the directive with its matcher.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if matcher == nil && isWholeSite(h) {
		caddy.Log().Named("caddyfile").Warn("kindly_webhook has no matcher and takes the whole site: give it a path, such as `kindly_webhook /kindly`")
	}
	return h.NewRoute(matcher, caddyhttp.MiddlewareHandler(handler)), nil
}

// isWholeSite tells whether a directive stands in a site's block itself. Only
// there is the state of its block the state of the whole adaptation.
func isWholeSite(h httpcaddyfile.Helper) bool {
	const mark = "kindly_webhook"
	h.State[mark] = true
	_, same := h.BlockState[mark]
	delete(h.State, mark)
	return same
}

// UnmarshalCaddyfile implements [caddyfile.Unmarshaler]. Syntax:
//
//	kindly_webhook [<matcher>] [<name>] {
//		secret        <secret...>
//		verify_token  <token>
//		max_body      <size>
//		dedupe        <window>|off
//		events        <pattern...>
//		ignore_source <source...>
//		redact        <name|regexp> [<replacement>]
//		api_key       <key>
//		transcript    off
//		transcript {
//			api       <base URL>
//			timeout   <duration>
//			max_size  <size>
//			transport http { ... }
//		}
//		chat_auth <public key file...> {
//			required
//		}
//		upstream [<preset>] <URL> {
//			name        <label>
//			method      <method>|<jq expression>
//			header      <field> <value>
//			body        <jq expression>
//			success     <status...>|<jq expression>
//			ticket_id   <jq expression>
//			ticket_url  <jq expression>
//			sign        <secret...>
//			oauth2      <token URL> <client id> <client secret> [<scope...>]
//			<option>    <value...>
//			timeout     <duration>
//			concurrency <n>
//			rate        <n>/<s|m|h>
//			transport   http { ... }
//		}
//		retry {
//			initial_interval <duration>
//			multiplier       <number>
//			max_interval     <duration>
//			max_elapsed      <duration>
//		}
//		respond_within <duration>
//		reply          [<language>] <text>
//		reply_pending  [<language>] <text>
//		reply_failed   [<language>] <text>
//		new_context    <key> <value>
//		exchange_slug  <slug>
//		button         <type> <label> <value>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if d.NextArg() {
		h.Name = d.Val()
	}
	if d.NextArg() {
		return d.Err("wrong arguments of kindly_webhook: write `kindly_webhook [<matcher>] [<name>] { … }`, with a matcher that begins with / or @")
	}
	for d.NextBlock(0) {
		if err := h.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalSubdirective(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "secret":
		return appendArgs(d, &h.Secrets, "<secret...>")
	case "verify_token":
		return oneArg(d, &h.VerifyToken, "<token>")
	case "max_body":
		return sizeArg(d, &h.MaxBody)
	case "dedupe":
		return h.unmarshalDedupe(d)
	case "events":
		return appendArgs(d, &h.Events, "<pattern...>")
	case "ignore_source":
		return appendArgs(d, &h.IgnoreSources, "<source...>")
	case "redact":
		return h.unmarshalRedact(d)
	case "api_key":
		return oneArg(d, &h.APIKey, "<key>")
	case "transcript":
		return h.unmarshalTranscript(d)
	case "chat_auth":
		return h.unmarshalChatAuth(d)
	case "upstream":
		return h.unmarshalUpstream(d)
	case "retry":
		return h.unmarshalRetry(d)
	case "respond_within":
		if h.RespondWithin != nil {
			return twice(d)
		}
		h.RespondWithin = new(caddy.Duration)
		return durationArg(d, h.RespondWithin)
	case "reply":
		return textArg(d, &h.Reply)
	case "reply_pending":
		return textArg(d, &h.ReplyPending)
	case "reply_failed":
		return textArg(d, &h.ReplyFailed)
	case "new_context":
		return h.unmarshalContext(d)
	case "exchange_slug":
		return oneArg(d, &h.ExchangeSlug, "<slug>")
	case "button":
		return h.unmarshalButton(d)
	default:
		return unknown(d, "kindly_webhook", "secret, verify_token, max_body, dedupe, events, ignore_source, redact, api_key, transcript, chat_auth, upstream, "+
			"retry, respond_within, reply, reply_pending, reply_failed, new_context, exchange_slug, button")
	}
}

func (h *Handler) unmarshalDedupe(d *caddyfile.Dispenser) error {
	if h.Dedupe != 0 {
		return twice(d)
	}
	var window string
	if !d.AllArgs(&window) {
		return wrongArgs(d, "dedupe", "<window>|off")
	}
	if window == "off" {
		h.Dedupe = -1
		return nil
	}
	var err error
	if h.Dedupe, err = parseDuration(d, "dedupe", window); err != nil {
		return err
	}
	if h.Dedupe <= 0 {
		return d.Err("dedupe needs a window longer than 0; to turn it off, write `dedupe off`")
	}
	return nil
}

func (h *Handler) unmarshalContext(d *caddyfile.Dispenser) error {
	var key, value string
	if !d.AllArgs(&key, &value) {
		return wrongArgs(d, "new_context", "<key> <value>")
	}
	if _, ok := h.NewContext[key]; ok {
		return d.Errf("new_context %s is there twice", key)
	}
	if h.NewContext == nil {
		h.NewContext = make(map[string]string)
	}
	h.NewContext[key] = value
	return nil
}

func (h *Handler) unmarshalTranscript(d *caddyfile.Dispenser) error {
	if h.Transcript != nil {
		return twice(d)
	}
	t := new(Transcript)
	h.Transcript = t
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.Errf("unexpected argument %q: write `transcript off`, or `transcript { … }`", d.Val())
		}
		t.Off = true
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if t.Off {
			return d.Err("`transcript off` takes no block")
		}
		if err := t.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	return nil
}

func (t *Transcript) unmarshalSubdirective(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "api":
		return urlArg(d, &t.API, "<base URL>")
	case "timeout":
		return timeoutArg(d, &t.Timeout)
	case "max_size":
		return sizeArg(d, &t.MaxSize)
	case "transport":
		return transportArg(d, (*rawTransport)(&t.TransportRaw))
	default:
		return unknown(d, "transcript", "api, timeout, max_size, transport")
	}
}

// parseGlobalOption parses the global option. Syntax:
//
//	kindly {
//		store        bolt [<path>]|memory
//		retention    <delivered> [<dead>]
//		max_pending  <n>
//		grace_period <duration>
//		encryption_key <key...>
//		tracing
//	}
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume the option's name
	if existing != nil {
		return nil, d.Err("the global option kindly is there twice: put everything into one block")
	}
	if d.NextArg() {
		return nil, d.Errf("unexpected argument %q: write `kindly { … }`", d.Val())
	}
	app := new(App)
	for d.NextBlock(0) {
		if err := app.unmarshalOption(d); err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "kindly", Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "store":
		return a.unmarshalStore(d)
	case "retention":
		return a.unmarshalRetention(d)
	case "max_pending":
		return countArg(d, &a.MaxPending, "deliveries")
	case "grace_period":
		return timeoutArg(d, &a.GracePeriod)
	case "encryption_key":
		return appendArgs(d, &a.EncryptionKeys, "<key...>")
	case "tracing":
		return flagArg(d, &a.Tracing)
	default:
		return unknown(d, "the global option kindly", "store, retention, max_pending, grace_period, encryption_key, tracing")
	}
}

func (a *App) unmarshalStore(d *caddyfile.Dispenser) error {
	if a.StoreRaw != nil {
		return twice(d)
	}
	const usage = "write `store bolt [<path>]`, `store postgres <dsn>`, or `store memory` for trials"
	if !d.NextArg() || d.Val() == "" {
		return d.Err("store has no value: " + usage)
	}
	engine := d.Val()
	if _, err := caddy.GetModule(stores + "." + engine); err != nil {
		return d.Errf("there is no store %q: %s", engine, usage)
	}
	module, err := caddyfile.UnmarshalModule(d, stores+"."+engine)
	if err != nil {
		return err
	}
	a.StoreRaw = caddyconfig.JSONModuleObject(module, "engine", engine, nil)
	return nil
}

// storeEnds fails unless nothing follows a store's arguments.
func storeEnds(d *caddyfile.Dispenser, usage string) error {
	if d.NextArg() || d.NextBlock(0) {
		return wrongArgs(d, "store", usage)
	}
	return nil
}

func (a *App) unmarshalRetention(d *caddyfile.Dispenser) (err error) {
	if a.Retention != 0 {
		return twice(d)
	}
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return wrongArgs(d, "retention", "<delivered> [<dead>]")
	}
	for i, to := range []*caddy.Duration{&a.Retention, &a.DeadRetention}[:len(args)] {
		if *to, err = parseDuration(d, "retention", args[i]); err != nil {
			return err
		}
		if *to == 0 {
			return d.Err("retention must be longer than 0")
		}
	}
	return nil
}

// appendArgs takes one or more values.
func appendArgs(d *caddyfile.Dispenser, to *[]string, usage string) error {
	field := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return noValue(d, field, usage)
	}
	*to = append(*to, args...)
	return nil
}

// oneArg takes one value, once.
func oneArg(d *caddyfile.Dispenser, to *string, usage string) error {
	field := d.Val()
	if *to != "" {
		return twice(d)
	}
	if d.CountRemainingArgs() > 1 {
		return wrongArgs(d, field, usage)
	}
	if !d.AllArgs(to) || *to == "" {
		return noValue(d, field, usage)
	}
	return nil
}

// urlArg takes an absolute URL, which may be a placeholder for one.
func urlArg(d *caddyfile.Dispenser, to *string, usage string) error {
	field := d.Val()
	if err := oneArg(d, to, usage); err != nil {
		return err
	}
	return checkURL(d, field, *to)
}

func checkURL(d *caddyfile.Dispenser, field, address string) error {
	if placeholder.MatchString(address) {
		return nil
	}
	if _, err := upstream.ParseURL(address); err != nil {
		return d.Errf("the URL of %s %v", field, err)
	}
	return nil
}

func durationArg(d *caddyfile.Dispenser, to *caddy.Duration) (err error) {
	field := d.Val()
	var s string
	if !d.AllArgs(&s) {
		return wrongArgs(d, field, "<duration>")
	}
	*to, err = parseDuration(d, field, s)
	return err
}

func parseDuration(d *caddyfile.Dispenser, field, s string) (caddy.Duration, error) {
	duration, err := caddy.ParseDuration(s)
	if err != nil || duration < 0 {
		return 0, d.Errf("%s %q is not a duration: write a number and a unit, such as 500ms, 5s, 10m or 24h", field, s)
	}
	return caddy.Duration(duration), nil
}

// timeoutArg takes a duration longer than 0, once.
func timeoutArg(d *caddyfile.Dispenser, to *caddy.Duration) error {
	field := d.Val()
	if *to != 0 {
		return twice(d)
	}
	if err := durationArg(d, to); err != nil {
		return err
	}
	if *to == 0 {
		return d.Errf("%s must be longer than 0", field)
	}
	return nil
}

// flagArg takes what is set by its name alone, once.
func flagArg(d *caddyfile.Dispenser, to *bool) error {
	field := d.Val()
	if *to {
		return twice(d)
	}
	if d.NextArg() {
		return d.Errf("%s takes no argument: write `%[1]s`, or leave it out", field)
	}
	*to = true
	return nil
}

// countArg takes a number of things, once.
func countArg(d *caddyfile.Dispenser, to *int, things string) (err error) {
	field := d.Val()
	if *to != 0 {
		return twice(d)
	}
	var n string
	if err := oneArg(d, &n, "<n>"); err != nil {
		return err
	}
	if *to, err = strconv.Atoi(n); err != nil || *to < 1 {
		return d.Errf("%s %q is not a number of %s: write a whole number from 1", field, n, things)
	}
	return nil
}

func sizeArg(d *caddyfile.Dispenser, to *int64) error {
	field := d.Val()
	if *to != 0 {
		return twice(d)
	}
	var s string
	if !d.AllArgs(&s) {
		return wrongArgs(d, field, "<size>")
	}
	size, err := humanize.ParseBytes(s)
	if err != nil || size == 0 || size > 1<<40 {
		return d.Errf("%s %q is not a size: write a number and a unit, such as 512KiB or 4MiB", field, s)
	}
	*to = int64(size)
	return nil
}

// textArg takes a text, with its language before it or not.
func textArg(d *caddyfile.Dispenser, to *map[string]string) error {
	field := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return wrongArgs(d, field, `[<language>] "<text>"`)
	}
	language, text := anyLanguage, args[len(args)-1]
	if len(args) == 2 {
		language = args[0]
		if err := kindlyhandler.CheckLanguage(language); err != nil {
			return d.Errf("%s: %v, as in `%s [<language>] \"<text>\"` with the text in quotation marks", field, err, field)
		}
	}
	for other := range *to {
		if strings.EqualFold(other, language) {
			return d.Errf("%s is there twice for the same language", field)
		}
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	(*to)[language] = text
	return nil
}

// rawTransport is a transport's JSON.
type rawTransport []byte

func transportArg(d *caddyfile.Dispenser, to *rawTransport) error {
	if *to != nil {
		return twice(d)
	}
	if !d.NextArg() || d.Val() != httpTransport {
		return wrongArgs(d, "transport", httpTransport+" { … }")
	}
	transport, err := caddyfile.UnmarshalModule(d, transports+"."+httpTransport)
	if err != nil {
		return err
	}
	*to = rawTransport(caddyconfig.JSONModuleObject(transport, "protocol", httpTransport, nil))
	return nil
}

func twice(d *caddyfile.Dispenser) error {
	return d.Errf("%s is there twice", d.Val())
}

// noValue is also about an environment variable that is not set.
func noValue(d *caddyfile.Dispenser, field, usage string) error {
	return d.Errf("%s has no value: write `%s %s`", field, field, usage)
}

// wrongArgs does not repeat what is there: it may be a secret.
func wrongArgs(d *caddyfile.Dispenser, field, usage string) error {
	return d.Errf("wrong arguments of %s: write `%s %s`", field, field, usage)
}

func unknown(d *caddyfile.Dispenser, where, known string) error {
	return d.Errf("unknown subdirective %q: %s has %s", d.Val(), where, known)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
