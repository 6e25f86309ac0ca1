// Package kindlyhandler answers the webhooks of Kindly's chatbots: it verifies
// them, fetches the chat's transcript, delivers a ticket to one or more
// upstreams, and answers the chat. It works with any Go server, and knows
// nothing of Caddy.
//
// A request's way, in reading order: signature.go, receive.go, redaction.go,
// event.go, chat_token.go, identity.go, transcript.go, ticket.go, reply.go; handler.go
// puts them together, target.go is the part that a delivery goes through later.
// What is stored, when it is attempted and for how long lies in package
// delivery, the simulated Kindly for tests in package kindlytest.
package kindlyhandler

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/span"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

const (
	// DefaultName is what a webhook and an upstream are called that the
	// operator gave no name.
	DefaultName = "default"
	// DefaultMaxBody is enough for ticket webhooks, which carry a whole chat.
	DefaultMaxBody = 4 << 20
	// DefaultRespondWithin is how long a person in a chat is kept waiting.
	DefaultRespondWithin = 5 * time.Second
)

// Options of a [Handler].
type Options struct {
	// Name labels the webhook's deliveries, logs and metrics; default
	// "default". Deliveries belong to it: they wait if it changes.
	Name string
	// Secrets are those that sign webhooks (Kindly: Settings › General ›
	// Security › Webhook HMAC). At least one; several while one replaces
	// another.
	Secrets []string
	// VerifyToken answers the handshake of ticket webhooks; without it, a GET
	// is refused.
	VerifyToken string
	// MaxBody is the size of a webhook in bytes; default 4 MiB.
	MaxBody int64
	// Dedupe is for how long an identical webhook is the same one. Default 10
	// minutes for dialogue webhooks, 24 hours for others. Negative: never.
	Dedupe time.Duration
	// Events are patterns of events that become tickets: "dialogue",
	// "ticket.created", "ticket.*". Default all.
	Events []string
	// IgnoreSources are sources of chats that make no ticket, such as "test".
	IgnoreSources []string
	// Redact says what is taken out of webhooks and transcripts before they are
	// stored or sent. Default nothing.
	Redact []Redaction
	// Transcript says where transcripts come from. nil: tickets go without.
	Transcript *TranscriptOptions
	// ChatAuth says how user tokens are checked. nil: they are not.
	ChatAuth *ChatAuthOptions
	// Upstreams take the tickets; the first one's result is what the chat is
	// told. Without any, only [Handler.Prepare] works.
	Upstreams []UpstreamOptions
	// Retry is how failed deliveries are repeated. Zero values of it mean those
	// of [delivery.DefaultRetryPolicy].
	Retry delivery.RetryPolicy
	// RespondWithin is how long an answer may wait for the result of the
	// first attempt. 0: it never does.
	RespondWithin time.Duration

	// Reply, ReplyPending and ReplyFailed are what the chat is told when the
	// ticket was delivered, when it will follow, and when there will be none;
	// each for itself. By default they say so politely, and the first one gives the
	// ticket's id if there is one.
	Reply, ReplyPending, ReplyFailed Texts
	// NewContext is merged into the chat's context on delivery.
	NewContext map[string]string
	// ExchangeSlug is the dialogue that is triggered on delivery.
	ExchangeSlug string
	// Buttons are shown with the reply on delivery.
	Buttons []Button

	// Lookup resolves placeholders that are not {kindly.*}.
	Lookup Lookup
	// Log defaults to none, Observer to nobody.
	Log      *zap.Logger
	Observer Observer
	// TracerProvider makes the spans of attempts, also after a restart, and of
	// webhooks whose request has no span. Default: there are none. Requests
	// for transcripts and to upstreams have the webhook's traceparent anyhow, if
	// there is one.
	TracerProvider trace.TracerProvider
}

// UpstreamOptions say where tickets go.
type UpstreamOptions struct {
	// Name labels the upstream; default the preset's name, else "default".
	Name string
	// URL, Method, Timeout, Transport as in [upstream.Options].
	URL       string
	Method    string
	Timeout   time.Duration
	Transport http.RoundTripper
	// Header fields are added to every request. Their values may have
	// placeholders.
	Header http.Header
	// Concurrency bounds the requests under way at once; default 16.
	Concurrency int
	// Rate bounds the requests in a time; by default nothing does.
	Rate delivery.Rate
	// Mapping says what a ticket becomes, and how answers are read. Without it,
	// the upstream gets the [Ticket] as JSON.
	Mapping upstream.Mapping
	// Preset names a system that package upstream knows; PresetOptions are what it
	// asks for.
	Preset        string
	PresetOptions map[string]any
	// Sign are the secrets that sign each request after the Standard Webhooks
	// specification: whsec_ and base64. Several while one replaces another.
	Sign []string
	// OAuth2 gets the access tokens for the Authorization header, if it is not nil.
	OAuth2 *upstream.OAuth2
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// New returns a handler, or says which option is wrong and what to write
// instead.
func New(o Options) (*Handler, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if err := checkName(o.Name); err != nil {
		return nil, err
	}
	h := &Handler{
		connected:     make(chan struct{}),
		name:          o.Name,
		verifier:      newVerifier(o.Secrets),
		verifyToken:   o.VerifyToken,
		allow:         http.MethodPost,
		maxBody:       o.MaxBody,
		dedupe:        o.Dedupe,
		events:        o.Events,
		ignoreSources: o.IgnoreSources,
		retry:         o.Retry.WithDefaults(),
		respondWithin: o.RespondWithin,
		log:           o.Log,
		observer:      o.Observer,
	}
	if h.verifyToken != "" {
		h.allow = "GET, POST"
	}
	if h.maxBody == 0 {
		h.maxBody = DefaultMaxBody
	}
	if h.log == nil {
		h.log = zap.NewNop()
	}
	if h.observer == nil {
		h.observer = nobody{}
	}
	if o.TracerProvider != nil {
		h.tracer = o.TracerProvider.Tracer(span.Scope)
	}
	if err := h.check(o); err != nil {
		return nil, err
	}
	var err error
	if h.redactor, err = newRedactor(o.Redact); err != nil {
		return nil, err
	}
	if o.Transcript != nil {
		if h.transcripts, err = newTranscriptAPI(*o.Transcript, userAgent()); err != nil {
			return nil, err
		}
	}
	if h.chatAuth, err = newChatAuth(o.ChatAuth); err != nil {
		return nil, err
	}
	if err := h.setAnswers(o); err != nil {
		return nil, err
	}
	for _, u := range o.Upstreams {
		if err := h.addUpstream(u, o.Lookup); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("name %q is not valid: write a letter or a digit, then up to 62 letters, digits, dots, underscores or hyphens", name)
	}
	return nil
}

func (h *Handler) check(o Options) error {
	if len(o.Secrets) == 0 {
		return errors.New("secret is missing: write the one that signs the webhooks (Kindly: Settings › General › Security › Webhook HMAC)")
	}
	if slices.Contains(o.Secrets, "") {
		return errors.New("secret is empty: anybody could sign with it")
	}
	if h.maxBody < 0 {
		return errors.New("max_body is negative: write a size such as 4MiB")
	}
	if h.maxBody >= outbound.Largest(maxUnread) {
		return errors.New("max_body is too large: write less than 24MiB, since 64MiB are for all bodies at once")
	}
	if h.respondWithin < 0 {
		return errors.New("respond_within is negative: write a duration such as 5s, or 0 to answer before the first attempt has ended")
	}
	if err := h.retry.Validate(); err != nil {
		return fmt.Errorf("retry: %w", err)
	}
	for _, pattern := range o.Events {
		if err := checkPattern(pattern); err != nil {
			return fmt.Errorf("events: %q is not a pattern: write the name of an event, such as dialogue or ticket.created, or a pattern such as ticket.*", pattern)
		}
	}
	return nil
}

func (h *Handler) setAnswers(o Options) (err error) {
	a := &h.answers
	for _, texts := range []struct {
		to        *localized
		field     string
		written   Texts
		otherwise func(phrases) string
	}{
		{&a.delivered, "reply", o.Reply, func(p phrases) string { return p.delivered + " " + p.reference }},
		{&a.unnumbered, "reply", o.Reply, func(p phrases) string { return p.delivered }},
		{&a.pending, "reply_pending", o.ReplyPending, func(p phrases) string { return p.pending }},
		{&a.failed, "reply_failed", o.ReplyFailed, func(p phrases) string { return p.failed }},
	} {
		if *texts.to, err = parseTexts(texts.field, texts.written, texts.otherwise, o.Lookup); err != nil {
			return err
		}
	}
	for _, b := range o.Buttons {
		parsed, err := parseButton(b, o.Lookup)
		if err != nil {
			return fmt.Errorf("button: %w", err)
		}
		a.buttons = append(a.buttons, parsed)
	}
	for key, value := range o.NewContext {
		t, err := parseTemplate(value, o.Lookup)
		if err != nil {
			return fmt.Errorf("new_context %s: %w", key, err)
		}
		a.context = append(a.context, contextValue{key, t})
	}
	if o.ExchangeSlug != "" {
		if a.exchange, err = parseTemplate(o.ExchangeSlug, o.Lookup); err != nil {
			return fmt.Errorf("exchange_slug: %w", err)
		}
	}
	return nil
}

// UpstreamName returns what an upstream is called, by the name that it has been
// given and by its preset, both of which can be empty.
func UpstreamName(name, preset string) string { return cmp.Or(name, preset, DefaultName) }

func (h *Handler) addUpstream(o UpstreamOptions, lookup Lookup) error {
	o.Name = UpstreamName(o.Name, o.Preset)
	if err := checkName(o.Name); err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	failed := func(err error) error { return fmt.Errorf("upstream %q: %w", o.Name, err) }
	lane := delivery.Lane{Webhook: h.name, Upstream: o.Name}
	for _, t := range h.targets {
		if t.lane == lane {
			return failed(errors.New("another upstream of this webhook has the same name; write a name for each"))
		}
	}
	if o.Concurrency < 0 {
		return failed(errors.New("concurrency is negative: write a whole number from 1"))
	}
	if o.Timeout < 0 {
		return failed(errors.New("timeout is negative: write a duration such as 15s"))
	}
	if o.Concurrency == 0 {
		o.Concurrency = upstream.DefaultConcurrency
	}
	if o.Rate != (delivery.Rate{}) && (o.Rate.Attempts < 1 || o.Rate.Per <= 0) {
		return failed(errors.New("rate must be of at least one request in a time longer than 0"))
	}
	up, err := upstream.New(upstream.Options{
		URL:         o.URL,
		Method:      o.Method,
		Timeout:     o.Timeout,
		Transport:   o.Transport,
		UserAgent:   userAgent(),
		Concurrency: o.Concurrency,
		Mapping:     o.Mapping,
		Sign:        o.Sign,
		OAuth2:      o.OAuth2,

		Preset:        o.Preset,
		PresetOptions: o.PresetOptions,
		Fields:        slices.Collect(maps.Keys(o.Header)),
	})
	if err != nil {
		return failed(err)
	}
	t := &target{handler: h, lane: lane, upstream: up, concurrency: o.Concurrency, rate: o.Rate, observer: h.observer.Upstream(o.Name)}
	if t.header, err = parseHeader(o.Header, lookup); err != nil {
		return failed(err)
	}
	for _, field := range t.header {
		if len(o.Sign) > 0 && slices.Contains(signature, field.name) {
			return failed(fmt.Errorf("header %q is a part of the signature: leave out it, or sign", field.name))
		}
	}
	h.targets = append(h.targets, t)
	return nil
}

// reserved are the headers that belong to us.
var reserved = []string{"Content-Length", "Transfer-Encoding", "Connection", upstream.IdempotencyKey}

// signature are the headers that belong to us where requests are signed.
var signature = []string{upstream.SignatureID, upstream.SignatureTimestamp, upstream.Signature}

func parseHeader(header http.Header, lookup Lookup) ([]headerField, error) {
	var fields []headerField
	for name, values := range header {
		canonical := http.CanonicalHeaderKey(name)
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("header %q is no name of a field: write one such as Authorization, and its value after it", name)
		}
		if slices.Contains(reserved, canonical) {
			return nil, fmt.Errorf("header %q is set for every request: leave it out", name)
		}
		for _, value := range values {
			t, err := parseTemplate(value, lookup)
			if err == nil {
				err = t.requireValues()
			}
			if err != nil {
				return nil, fmt.Errorf("header %s: %w", canonical, err)
			}
			fields = append(fields, headerField{canonical, t})
		}
	}
	slices.SortStableFunc(fields, func(a, b headerField) int { return strings.Compare(a.name, b.name) })
	return fields, nil
}

// userAgent names us and our version, if the binary knows it.
func userAgent() string {
	const name, module = "caddy-kindly", "github.com/caddy-kindly/caddy-kindly"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return name
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && strings.HasPrefix(m.Version, "v") {
			return name + "/" + m.Version
		}
	}
	return name
}
