// Package kindly makes the handler of package kindlyhandler a Caddy module: it
// turns Caddy's configuration into options, and Caddy's lifecycle into calls.
// What happens to a webhook is not decided here.
package kindly

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler receives the webhooks of a [Kindly](https://kindly.ai) chatbot and
// makes each of them a ticket in a help desk: it verifies the signature,
// fetches the chat's transcript, delivers the ticket, and answers the chat.
//
// An accepted webhook is kept until its ticket is delivered. The first attempt
// starts at once; if it ends within `respond_within`, the chat is told of its
// result, else that the ticket will follow. What fails for the moment (network
// errors, timeouts, 408, 425, 429, 5xx) is retried as `retry` says, for up to
// three days, under the same `Idempotency-Key`; what is refused for good (other
// 4xx) becomes a dead letter. A 401, a redirect, or 403, 404 and 410 for three
// deliveries in a row mean that the configuration is wrong: deliveries wait
// then until it is right. While the upstream is down, transcripts are fetched
// soon after the webhook all the same, so that tickets show the chats as they
// were.
//
// The same webhook again, within `dedupe`, makes no second ticket and gets the
// first one's answer. Deliveries of one chat keep their order.
//
// Deliveries are kept in the store of the app `kindly`, by default a file: what
// was accepted survives a reload of the configuration, a stop and a crash.
//
// With `chat_auth`, the token of a user who is logged in, which Kindly forwards,
// makes the ticket's customer a verified one.
//
// Without an upstream, this is a middleware: it verifies the webhook, replaces
// the request's body by the ticket, sets the placeholders below and calls the
// next handler, whose answer goes back to Kindly. Nothing is stored or retried
// then. Put both into one `handle`.
//
// The ticket is a JSON document with the customer, the chat, its messages and
// the transcript as text, Markdown and HTML; the README describes it. From the
// upstream's answer, the ticket's id and address are read: `id`, `number` or
// `key`, and `url`, `html_url`, `web_url` or `link`, at the top level or in an
// object in it. Both can be made otherwise by jq: `body` makes the request of
// the ticket, `success`, `ticket_id` and `ticket_url` read the answer.
//
// Texts and upstream headers can have these placeholders, and Caddy's global
// ones (`{env.*}`, `{file.*}`, `{system.*}`, `{time.*}`):
//
// Placeholder | Description
// ------------|-------------
// `{kindly.delivery.id}` | The delivery's id, the Idempotency-Key of every attempt
// `{kindly.event}` | `dialogue`, or the event of a ticket webhook
// `{kindly.chat.id}` | The chat's id
// `{kindly.chat.url}` | The chat's address in Kindly's inbox
// `{kindly.bot.id}` | The bot's id
// `{kindly.language}` | The chat's language
// `{kindly.customer.name}` | The customer's name
// `{kindly.customer.email}` | The customer's e-mail address, if it is one
// `{kindly.customer.phone}` | The customer's phone number
// `{kindly.customer.id}` | The user id that the chat client has set, or that of the verified customer
// `{kindly.context.<key>}` | A value of the chat's context
// `{kindly.message}` | What the user wrote
// `{kindly.ticket.id}` | The ticket's id, once it is delivered
// `{kindly.ticket.url}` | The ticket's address, once it is delivered
//
// Values are put in once: what a visitor wrote is never expanded again. Kindly
// shows replies as HTML, so values in them and in buttons are escaped; those in
// `new_context` are not. In headers, and for the next handler, control characters in them
// become spaces. A literal brace is written `\{`.
type Handler struct {
	// A label for this webhook's deliveries, logs and metrics: a letter or a
	// digit, then up to 62 letters, digits, dots, underscores or hyphens.
	// Deliveries belong to it; they wait if it is gone. Default: `default`.
	Name string `json:"name,omitempty"`

	// The secrets that sign webhooks (Kindly: Settings › General › Security ›
	// Webhook HMAC). At least one is required; have the old and the new one
	// here while you rotate them. Global placeholders are resolved when the
	// configuration is loaded.
	Secrets []string `json:"secrets,omitempty"`

	// The token of the handshake by which Kindly checks the address of a
	// ticket webhook (a GET). Without one, GETs are refused. Global
	// placeholders are resolved when the configuration is loaded.
	VerifyToken string `json:"verify_token,omitempty"`

	// The size of the largest webhook, in bytes, less than 24 MiB. Default: 4
	// MiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// For how long an identical webhook is taken for the same one. Default: 10
	// minutes for dialogue webhooks, 24 hours for ticket webhooks. Negative:
	// never.
	Dedupe caddy.Duration `json:"dedupe,omitempty"`

	// Which events become tickets: `dialogue`, `ticket.created`, or patterns
	// such as `ticket.*`. Others are answered, and that is all. Default: all.
	Events []string `json:"events,omitempty"`

	// Sources of chats that make no ticket, such as `test`.
	IgnoreSources []string `json:"ignore_sources,omitempty"`

	// What is taken out of webhooks and transcripts before they are stored or
	// sent. Default: nothing.
	Redact []*Redaction `json:"redact,omitempty"`

	// The key for Kindly's Chat Transcript API (Kindly: Connect › API Keys),
	// with the scope "Read chats". Required unless the transcript is off. It
	// is sent as a Bearer token unless it names another scheme itself. Global
	// placeholders are resolved when the configuration is loaded.
	APIKey string `json:"api_key,omitempty"`

	// How to fetch transcripts.
	Transcript *Transcript `json:"transcript,omitempty"`

	// How the tokens of chats' users are checked. Default: they are not, and no
	// customer is verified.
	ChatAuth *ChatAuth `json:"chat_auth,omitempty"`

	// Where tickets go. The first one's result is what the chat is told.
	Upstreams []*Upstream `json:"upstreams,omitempty"`

	// When a delivery that failed is attempted again, and for how long.
	Retry *Retry `json:"retry,omitempty"`

	// How long an answer may wait for the result of the first attempt. Zero:
	// it never does. Default: 5 seconds.
	RespondWithin *caddy.Duration `json:"respond_within,omitempty"`

	// What the chat is told when the ticket was delivered, by language tag (BCP
	// 47: `nb`, `pt-BR`); `default` is for all other languages. A chat in `nb-NO`
	// gets the text for `nb-NO`, else `nb`, else another form of Norwegian
	// (`no`, `nb`, `nn`), else `default`: who writes one text has it in all
	// chats. Only chats for which there is none of these get the one that comes
	// with this module, in English, Norwegian (Bokmål), Swedish, Danish or
	// Finnish as their language is, and English in others. Default: thanks, with
	// the ticket's id if the upstream tells it.
	Reply map[string]string `json:"reply,omitempty"`

	// What the chat is told when the ticket will follow, by language as in
	// `reply`. Default: thanks, and that the request will be passed on.
	ReplyPending map[string]string `json:"reply_pending,omitempty"`

	// What the chat is told when the webhook could not be accepted, or was
	// refused for good, by language as in `reply`. Default: regrets, and to try
	// again later or to get in touch in another way.
	ReplyFailed map[string]string `json:"reply_failed,omitempty"`

	// Values that are merged into the chat's context on delivery.
	NewContext map[string]string `json:"new_context,omitempty"`

	// The slug of the dialogue to trigger on delivery.
	ExchangeSlug string `json:"exchange_slug,omitempty"`

	// Buttons that are shown with the reply on delivery.
	Buttons []*Button `json:"buttons,omitempty"`

	app     *App
	handler *kindlyhandler.Handler
	name    string
	config  []byte // as JSON
}

// Transcript is how transcripts are fetched.
type Transcript struct {
	// Tickets go without transcripts, and no API key is needed.
	Off bool `json:"off,omitempty"`

	// The base URL of the API, https, or http on a loopback address. The API
	// key goes nowhere else. Global placeholders are resolved when the
	// configuration is loaded. Default: `https://bot.kindly.ai`.
	API string `json:"api,omitempty"`

	// How long one request may take. Default: 10 seconds.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The size of the largest transcript, in bytes, less than 48 MiB; a ticket
	// goes without a larger one. Default: 16 MiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// How to make the requests: reverse_proxy's transport `http`, with all that
	// it takes but proxy_protocol. Default: as the environment's proxy wants it.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.kindly_webhook",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision implements [caddy.Provisioner].
func (h *Handler) Provision(ctx caddy.Context) error {
	h.name = h.Name
	if h.name == "" {
		h.name = kindlyhandler.DefaultName
	}
	if err := h.provision(ctx); err != nil {
		return fmt.Errorf("kindly_webhook %q: %w", h.name, err)
	}
	return nil
}

func (h *Handler) provision(ctx caddy.Context) error {
	app, err := ctx.App("kindly")
	if err != nil {
		return err
	}
	// Before modules are loaded, which takes their configuration away.
	if h.config, err = json.Marshal(h); err != nil {
		return err
	}
	h.app = app.(*App)
	options, err := h.options(ctx)
	if err != nil {
		return err
	}
	if h.app.provider != nil {
		options.TracerProvider = h.app.provider
	}
	if h.handler, err = kindlyhandler.New(options); err != nil {
		return err
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		server.RegisterOnShutdown(func() { _ = h.app.Stop() })
	}
	return h.app.register(h)
}

// Cleanup implements [caddy.CleanerUpper].
func (h *Handler) Cleanup() error {
	if h.handler != nil {
		h.handler.Close()
	}
	return nil
}

// ServeHTTP implements [caddyhttp.MiddlewareHandler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.URL.RawQuery != "" && r.URL.Query().Has("verify_token") {
		// Keep the token, which is in the URL, out of the access log.
		caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	}
	if len(h.Upstreams) == 0 {
		prepared, result, err := h.handler.Prepare(w, r)
		logResult(r, result)
		if prepared == nil {
			return httpError(err)
		}
		replacer := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		replacer.Map(func(name string) (any, bool) { return prepared.Placeholder(name) })
		return next.ServeHTTP(w, r)
	}
	defer h.app.admit()()
	result, err := h.handler.Serve(w, r)
	logResult(r, result)
	return httpError(err)
}

// logResult puts into the access log's line, if there is one, by what the rest
// is found.
func logResult(r *http.Request, result kindlyhandler.Result) {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return
	}
	extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	extra.Add(zap.String("kindly_outcome", result.Outcome))
	if result.Delivery != uuid.Nil {
		extra.Add(zap.Stringer("kindly_delivery", result.Delivery))
	}
}

// httpError makes a refusal one that Caddy's error routes understand. What
// strangers cause goes without the error's id and stack trace, which cost as
// much as the check of their signature; our own log has the reason.
func httpError(err error) error {
	refused, ok := errors.AsType[*kindlyhandler.Error](err)
	switch {
	case !ok:
		return err
	case refused.Status < http.StatusInternalServerError:
		return caddyhttp.HandlerError{StatusCode: refused.Status, Err: refused}
	default:
		return caddyhttp.Error(refused.Status, refused)
	}
}

// MarshalLogObject implements [zapcore.ObjectMarshaler]: Caddy logs handlers
// whole when it traces, and this one has secrets.
func (h *Handler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("name", h.name)
	enc.AddInt("secrets", len(h.Secrets))
	enc.AddInt("upstreams", len(h.Upstreams))
	return nil
}

// options resolves placeholders and defaults.
func (h *Handler) options(ctx caddy.Context) (o kindlyhandler.Options, err error) {
	o = kindlyhandler.Options{
		Name:          h.name,
		MaxBody:       h.MaxBody,
		Dedupe:        time.Duration(h.Dedupe),
		Events:        h.Events,
		IgnoreSources: h.IgnoreSources,
		Redact:        h.redactions(),
		Retry:         h.Retry.policy(),
		RespondWithin: kindlyhandler.DefaultRespondWithin,
		Reply:         texts(h.Reply),
		ReplyPending:  texts(h.ReplyPending),
		ReplyFailed:   texts(h.ReplyFailed),
		NewContext:    h.NewContext,
		ExchangeSlug:  h.ExchangeSlug,
		Buttons:       h.buttons(),
		Lookup:        lookup(),
		Log:           ctx.Logger(),
		Observer:      observe(h.app, h.name, len(h.Secrets)),
	}
	if h.RespondWithin != nil {
		o.RespondWithin = time.Duration(*h.RespondWithin)
	}
	for _, secret := range h.Secrets {
		resolved, err := resolve("secret", secret)
		if err != nil {
			return o, err
		}
		o.Secrets = append(o.Secrets, resolved)
	}
	if o.VerifyToken, err = resolve("verify_token", h.VerifyToken); err != nil {
		return o, err
	}
	if o.Transcript, err = h.transcriptOptions(ctx); err != nil {
		return o, err
	}
	if o.ChatAuth, err = h.ChatAuth.options(); err != nil {
		return o, err
	}
	for i, u := range h.Upstreams {
		if u == nil {
			return o, fmt.Errorf("upstreams: number %d is null: write an object with a url, or leave it out", i+1)
		}
		options, err := u.options(ctx)
		if err != nil {
			return o, fmt.Errorf("upstream %q: %w", options.Name, err)
		}
		o.Upstreams = append(o.Upstreams, options)
	}
	return o, h.checkMiddleware()
}

func (h *Handler) transcriptOptions(ctx caddy.Context) (*kindlyhandler.TranscriptOptions, error) {
	t := h.Transcript
	if t == nil {
		t = new(Transcript)
	}
	if t.Off {
		return nil, nil
	}
	key, err := resolve("api_key", h.APIKey)
	if err != nil {
		return nil, err
	}
	api, err := resolve("transcript api", t.API)
	if err != nil {
		return nil, err
	}
	transport, err := loadTransport(ctx, t, t.TransportRaw)
	if err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	return &kindlyhandler.TranscriptOptions{
		APIKey:    key,
		API:       api,
		Timeout:   time.Duration(t.Timeout),
		MaxSize:   t.MaxSize,
		Transport: transport,
	}, nil
}

// checkMiddleware refuses what has no effect without an upstream.
func (h *Handler) checkMiddleware() error {
	if len(h.Upstreams) > 0 {
		return nil
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"dedupe", h.Dedupe != 0},
		{"ignore_source", len(h.IgnoreSources) > 0},
		{"retry", h.Retry != nil},
		{"respond_within", h.RespondWithin != nil},
		{"reply", len(h.Reply) > 0},
		{"reply_pending", len(h.ReplyPending) > 0},
		{"reply_failed", len(h.ReplyFailed) > 0},
		{"new_context", len(h.NewContext) > 0},
		{"exchange_slug", h.ExchangeSlug != ""},
		{"button", len(h.Buttons) > 0},
	} {
		if field.set {
			return fmt.Errorf("%s has no effect without an upstream: add one, or leave it out", field.name)
		}
	}
	return nil
}

// texts turns the tag for all other languages into the core's.
func texts(byLanguage map[string]string) kindlyhandler.Texts {
	out := make(kindlyhandler.Texts, len(byLanguage))
	for tag, text := range byLanguage {
		if tag == anyLanguage {
			tag = ""
		}
		out[tag] = text
	}
	return out
}

// anyLanguage is the key of the text for all other languages.
const anyLanguage = "default"

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ zapcore.ObjectMarshaler     = (*Handler)(nil)
)
