package kindly

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// Upstream is where tickets go.
type Upstream struct {
	// A label like the webhook's name, different for each of its upstreams.
	// Default: the preset, else `default`.
	Name string `json:"name,omitempty"`

	// The system that takes the tickets, if it is one that this module knows:
	// `caddy kindly presets` lists them. Default: none, and the upstream gets the
	// ticket as JSON, by POST.
	Preset string `json:"preset,omitempty"`

	// What the preset asks for, by the names that it has for it: credentials, the
	// project, labels. A value is a string, a number, a boolean, or a list of them.
	// Global placeholders are resolved when the configuration is loaded.
	Options map[string]any `json:"options,omitempty"`

	// The URL that takes the tickets, https or http; with a preset, where the
	// system is. Required, unless the preset is of a system that is at one place.
	// Global placeholders are resolved when the configuration is loaded.
	URL string `json:"url,omitempty"`

	// The request's method: `POST`, `PUT` or `PATCH`, or a jq expression over the
	// ticket that gives one of them. What fails, or gives something else, makes a
	// dead letter. Default: the preset's, else `POST`.
	Method string `json:"method,omitempty"`

	// Header fields for every request, such as credentials. Placeholders are
	// resolved at each attempt, and `{env.*}` and `{file.*}` must have a value
	// when the configuration is loaded.
	Headers http.Header `json:"headers,omitempty"`

	// The request's JSON body, as a jq expression over the ticket; it has one
	// result. The README describes the ticket, docs/ticket-systems.md what
	// expressions can do. What fails or takes too long makes a dead letter.
	// Default: the ticket itself.
	Body string `json:"body,omitempty"`

	// Which answers mean that the upstream has the ticket: statuses (`201`, `200
	// 202`, `2xx`), or a jq expression over the answer, `{status, headers,
	// body}`, that gives true or false. Other answers mean what their status
	// does; a 2xx that is no success is taken like a 404. Default: `2xx`.
	Success string `json:"success,omitempty"`

	// The ticket's id, as a jq expression over the answer; null for none.
	// Default: what is usually called so.
	TicketID string `json:"ticket_id,omitempty"`

	// The ticket's address, as a jq expression over the answer; null for none.
	// Default: what is usually called so.
	TicketURL string `json:"ticket_url,omitempty"`

	// Secrets that sign each request after the [Standard
	// Webhooks](https://www.standardwebhooks.com) specification, so that the
	// receiver can verify it with any library for that: `whsec_` and base64 of 24
	// to 64 bytes. Several while one replaces another; the request has a signature
	// by each. Global placeholders are resolved when the configuration is loaded.
	Sign []string `json:"sign,omitempty"`

	// Gets the access tokens for the Authorization header by OAuth 2.0 client
	// credentials, instead of other credentials. Default: none.
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`

	// How long one request may take. Default: 15 seconds.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many requests may be under way at once. Default: 16.
	Concurrency int `json:"concurrency,omitempty"`

	// How many requests a second, minute or hour may have, first attempts and
	// later ones together: `10/s`, `200/m`, `1000/h`. A tenth of them may come
	// at once, the others come evenly, so that no period has more, whenever it
	// begins. A first attempt whose turn would come too late for the answer is
	// left for later. It holds on over reloads, but not over restarts. Default:
	// no limit.
	Rate string `json:"rate,omitempty"`

	// How to make the requests: reverse_proxy's transport `http`, with all that
	// it takes but proxy_protocol. Default: as the environment's proxy wants it.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`
}

func (u *Upstream) options(ctx caddy.Context) (o kindlyhandler.UpstreamOptions, err error) {
	o = kindlyhandler.UpstreamOptions{
		Name:        u.Name,
		Method:      u.Method,
		Timeout:     time.Duration(u.Timeout),
		Header:      u.Headers,
		Concurrency: u.Concurrency,
		Preset:      u.Preset,
		Mapping: upstream.Mapping{
			Body:      u.Body,
			Success:   u.Success,
			TicketID:  u.TicketID,
			TicketURL: u.TicketURL,
		},
	}
	o.Name = kindlyhandler.UpstreamName(o.Name, o.Preset)
	if u.Rate != "" {
		if o.Rate, err = delivery.ParseRate(u.Rate); err != nil {
			return o, fmt.Errorf("rate %w", err)
		}
	}
	if o.URL, err = resolve("url", u.URL); err != nil {
		return o, err
	}
	if o.PresetOptions, err = resolveOptions(u.Options); err != nil {
		return o, err
	}
	for _, secret := range u.Sign {
		resolved, err := resolve("sign", secret)
		if err != nil {
			return o, err
		}
		o.Sign = append(o.Sign, resolved)
	}
	if o.OAuth2, err = u.OAuth2.options(); err != nil {
		return o, err
	}
	o.Transport, err = loadTransport(ctx, u, u.TransportRaw)
	return o, err
}

// resolveOptions replaces placeholders in the options of a preset.
func resolveOptions(options map[string]any) (map[string]any, error) {
	resolved := make(map[string]any, len(options))
	for name, value := range options {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		list = slices.Clone(list)
		for i, element := range list {
			text, ok := element.(string)
			if !ok {
				continue
			}
			var err error
			if list[i], err = resolve(name, text); err != nil {
				return nil, err
			}
		}
		resolved[name] = value
		if isList {
			resolved[name] = list
		} else {
			resolved[name] = list[0]
		}
	}
	return resolved, nil
}

func (h *Handler) unmarshalUpstream(d *caddyfile.Dispenser) error {
	u := new(Upstream)
	h.Upstreams = append(h.Upstreams, u)
	const usage = "[<preset>] <URL> { … }"
	args := d.RemainingArgs()
	if len(args) > 0 && isPresetName(args[0]) {
		u.Preset, args = args[0], args[1:]
		if preset.Find(u.Preset) == nil {
			return d.Errf("no preset %q: there are %s; without a preset write the URL that takes the tickets", u.Preset, preset.Names())
		}
	}
	switch {
	case len(args) == 1 && args[0] != "":
		u.URL = args[0]
		if err := checkURL(d, "upstream", u.URL); err != nil {
			return err
		}
	case len(args) > 1:
		return wrongArgs(d, "upstream", usage)
	case u.Preset == "" || len(args) == 1:
		return noValue(d, "upstream", usage)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := u.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	return nil
}

// isPresetName tells the name of a preset from an address.
func isPresetName(arg string) bool {
	return arg != "" && strings.Trim(arg, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && arg != "localhost"
}

func (u *Upstream) unmarshalSubdirective(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "name":
		return oneArg(d, &u.Name, "<label>")
	case "method":
		return methodArg(d, &u.Method)
	case "header":
		var field, value string
		if !d.AllArgs(&field, &value) {
			return wrongArgs(d, "header", "<field> <value>")
		}
		if u.Headers == nil {
			u.Headers = make(http.Header)
		}
		u.Headers.Add(field, value)
		return nil
	case "body":
		return expressionArg(d, &u.Body)
	case "success":
		return successArg(d, &u.Success)
	case "ticket_id":
		return expressionArg(d, &u.TicketID)
	case "ticket_url":
		return expressionArg(d, &u.TicketURL)
	case "sign":
		return appendArgs(d, &u.Sign, "<secret...>")
	case "oauth2":
		return u.unmarshalOAuth2(d)
	case "timeout":
		return timeoutArg(d, &u.Timeout)
	case "concurrency":
		return countArg(d, &u.Concurrency, "requests")
	case "rate":
		return rateArg(d, &u.Rate)
	case "transport":
		return transportArg(d, (*rawTransport)(&u.TransportRaw))
	default:
		if p := preset.Find(u.Preset); p != nil {
			return u.unmarshalOption(d, p)
		}
		return unknown(d, "upstream", subdirectives)
	}
}

// unmarshalOption takes an option of a preset.
func (u *Upstream) unmarshalOption(d *caddyfile.Dispenser, p *preset.Preset) error {
	name := d.Val()
	option := p.Option(name)
	if option == nil {
		return unknown(d, "upstream "+p.Name, subdirectives+", "+p.OptionNames())
	}
	if u.Options[name] != nil {
		return twice(d)
	}
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return noValue(d, name, option.Value)
	}
	if u.Options == nil {
		u.Options = make(map[string]any)
	}
	if option.Kind != preset.Strings {
		if len(args) != 1 {
			return wrongArgs(d, name, option.Value)
		}
		u.Options[name] = args[0]
		return nil
	}
	list := make([]any, len(args))
	for i, arg := range args {
		list[i] = arg
	}
	u.Options[name] = list
	return nil
}

// subdirectives are what every upstream has.
const subdirectives = "name, method, header, body, success, ticket_id, ticket_url, sign, oauth2, timeout, concurrency, rate, transport"

// methodArg takes a method, or a jq expression.
func methodArg(d *caddyfile.Dispenser, to *string) error {
	if *to == "" && d.CountRemainingArgs() > 1 {
		return d.Errf("wrong arguments of method: write POST, PUT or PATCH, or one jq expression in backquotes")
	}
	return oneArg(d, to, "<method>")
}

// expressionArg takes a jq expression, which has to be one token.
func expressionArg(d *caddyfile.Dispenser, to *string) error {
	field := d.Val()
	if *to != "" {
		return twice(d)
	}
	if d.CountRemainingArgs() != 1 {
		return d.Errf("%s needs one jq expression: put it into backquotes, such as %s `.subject`", field, field)
	}
	d.AllArgs(to)
	if strings.TrimSpace(*to) == "" {
		return d.Errf("%s has no value: put a jq expression into backquotes, such as %s `.subject`", field, field)
	}
	return nil
}

// successArg takes statuses, or a jq expression.
func successArg(d *caddyfile.Dispenser, to *string) error {
	if d.CountRemainingArgs() <= 1 {
		return expressionArg(d, to)
	}
	if *to != "" {
		return twice(d)
	}
	args := d.RemainingArgs()
	for _, arg := range args {
		if !upstream.IsStatus(arg) {
			return d.Errf("success %q is not a status: write statuses such as 201 or 2xx, or one jq expression in backquotes", arg)
		}
	}
	*to = strings.Join(args, " ")
	return nil
}

func rateArg(d *caddyfile.Dispenser, to *string) error {
	if err := oneArg(d, to, "<n>/<s|m|h>"); err != nil {
		return err
	}
	if _, err := delivery.ParseRate(*to); err != nil {
		return d.Errf("rate %v", err)
	}
	return nil
}
