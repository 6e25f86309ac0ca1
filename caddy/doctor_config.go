package kindly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// webhook is a kindly_webhook of a configuration.
type webhook struct {
	name    string
	raw     map[string]any // its JSON
	handler *Handler
	err     error // of decoding it
	places  []place
}

// place is where a webhook is served.
type place struct {
	server *server
	hosts  []string
}

// hosts are those of all its places.
func (w *webhook) hosts() []string {
	hosts := []string{}
	for _, p := range w.places {
		hosts = append(hosts, p.hosts...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// server is an HTTP server of a configuration.
type server struct {
	Listen    []string        `json:"listen"`
	Routes    json.RawMessage `json:"routes"`
	Named     json.RawMessage `json:"named_routes"`
	Policies  []any           `json:"tls_connection_policies"`
	Automatic struct {
		Disable bool     `json:"disable"`
		Skip    []string `json:"skip"`
	} `json:"automatic_https"`

	httpPort int
}

// findWebhooks returns the kindly_webhooks of a configuration, in the order of
// servers and routes. One that is there twice, under two addresses, is one.
func findWebhooks(config []byte) ([]*webhook, error) {
	var c struct {
		Apps struct {
			HTTP struct {
				HTTPPort int                `json:"http_port"`
				Servers  map[string]*server `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("the configuration is not JSON as Caddy has it: %w", err)
	}
	var found []*webhook
	for _, name := range slices.Sorted(maps.Keys(c.Apps.HTTP.Servers)) {
		s := c.Apps.HTTP.Servers[name]
		if s == nil {
			continue
		}
		s.httpPort = c.Apps.HTTP.HTTPPort
		for _, routes := range []json.RawMessage{s.Routes, s.Named} {
			walkRoutes(anyJSON(routes), nil, func(raw map[string]any, hosts []string) {
				found = addFound(found, newWebhook(raw), place{s, hosts})
			})
		}
	}
	return found, nil
}

// anyJSON decodes a part of what was decoded already, with its numbers as they
// are.
func anyJSON(raw json.RawMessage) (v any) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	_ = decoder.Decode(&v)
	return v
}

func addFound(found []*webhook, w *webhook, p place) []*webhook {
	for _, other := range found {
		if other.name == w.name && equalJSON(other.raw, w.raw) {
			other.places = append(other.places, p)
			return found
		}
	}
	w.places = []place{p}
	return append(found, w)
}

func equalJSON(a, b any) bool {
	one, _ := json.Marshal(a)
	two, _ := json.Marshal(b)
	return bytes.Equal(one, two)
}

// walkRoutes visits every kindly_webhook in routes, with the hosts that its
// routes match.
func walkRoutes(v any, hosts []string, visit func(raw map[string]any, hosts []string)) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			walkRoutes(element, hosts, visit)
		}
	case map[string]any:
		if v["handler"] == "kindly_webhook" {
			visit(v, hosts)
			return
		}
		if own := matchedHosts(v["match"]); len(own) > 0 {
			hosts = own
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walkRoutes(v[key], hosts, visit)
		}
	}
}

func matchedHosts(match any) []string {
	var hosts []string
	sets, _ := match.([]any)
	for _, set := range sets {
		matchers, _ := set.(map[string]any)
		list, _ := matchers["host"].([]any)
		for _, host := range list {
			if text, ok := host.(string); ok {
				hosts = append(hosts, text)
			}
		}
	}
	return hosts
}

func newWebhook(raw map[string]any) *webhook {
	w := &webhook{raw: maps.Clone(raw), handler: new(Handler)}
	delete(w.raw, "handler")
	text, err := json.Marshal(w.raw)
	if err == nil {
		err = caddy.StrictUnmarshalJSON(text, w.handler)
	}
	w.err = err
	w.name = w.handler.Name
	if w.name == "" {
		w.name = kindlyhandler.DefaultName
	}
	return w
}
