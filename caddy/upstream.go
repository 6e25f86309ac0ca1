package kindly

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
)

// Upstream is where tickets go.
type Upstream struct {
	// A label like the webhook's name, different for each of its upstreams.
	// Default: `default`.
	Name string `json:"name,omitempty"`

	// The URL that takes the tickets, https or http. Required. Global
	// placeholders are resolved when the configuration is loaded.
	URL string `json:"url,omitempty"`

	// The request's method. Default: `POST`.
	Method string `json:"method,omitempty"`

	// Header fields for every request, such as credentials. Placeholders are
	// resolved at each attempt, and `{env.*}` and `{file.*}` must have a value
	// when the configuration is loaded.
	Headers http.Header `json:"headers,omitempty"`

	// The request's JSON body, as a jq expression over the ticket; it has one
	// result. The README describes the ticket, and what expressions can do. What
	// fails or takes too long makes a dead letter. Default: the ticket itself.
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
		Mapping: upstream.Mapping{
			Body:      u.Body,
			Success:   u.Success,
			TicketID:  u.TicketID,
			TicketURL: u.TicketURL,
		},
	}
	if o.Name == "" {
		o.Name = kindlyhandler.DefaultName
	}
	if u.Rate != "" {
		if o.Rate, err = delivery.ParseRate(u.Rate); err != nil {
			return o, fmt.Errorf("rate %w", err)
		}
	}
	if o.URL, err = resolve("url", u.URL); err != nil {
		return o, err
	}
	for _, secret := range u.Sign {
		resolved, err := resolve("sign", secret)
		if err != nil {
			return o, err
		}
		o.Sign = append(o.Sign, resolved)
	}
	o.Transport, err = loadTransport(ctx, u, u.TransportRaw)
	return o, err
}

func (h *Handler) unmarshalUpstream(d *caddyfile.Dispenser) error {
	u := new(Upstream)
	if err := urlArg(d, &u.URL, "<URL> { … }"); err != nil {
		return err
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := u.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	h.Upstreams = append(h.Upstreams, u)
	return nil
}

func (u *Upstream) unmarshalSubdirective(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "name":
		return oneArg(d, &u.Name, "<label>")
	case "method":
		return oneArg(d, &u.Method, "<method>")
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
	case "timeout":
		return timeoutArg(d, &u.Timeout)
	case "concurrency":
		return countArg(d, &u.Concurrency, "requests")
	case "rate":
		return rateArg(d, &u.Rate)
	case "transport":
		return transportArg(d, (*rawTransport)(&u.TransportRaw))
	default:
		return unknown(d, "upstream", "name, method, header, body, success, ticket_id, ticket_url, sign, timeout, concurrency, rate, transport")
	}
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
