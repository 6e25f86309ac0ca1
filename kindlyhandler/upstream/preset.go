package upstream

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// settings are what a preset and its options come to.
type settings struct {
	preset  *preset.Preset // an empty one if there is none
	names   []string       // of variables; the first is $base
	values  []any
	path    string
	check   string      // the path of the preset's check
	header  http.Header // what is demanded, and credentials
	ownBody bool        // the body is the preset's
}

// applyPreset completes options by their preset, if there is one. What the
// operator has set wins.
func applyPreset(o *Options) (*settings, error) {
	s := &settings{preset: new(preset.Preset), names: []string{"$base"}, values: []any{nil}, header: make(http.Header)}
	if o.Preset == "" {
		if len(o.PresetOptions) > 0 {
			return nil, errors.New("options are those of a preset: name one, or leave them out")
		}
		return s, nil
	}
	p := preset.Find(o.Preset)
	if p == nil {
		return nil, fmt.Errorf("no preset %q: there are %s", o.Preset, preset.Names())
	}
	s.preset = p
	texts := make(map[string]string) // the options in the request
	for name := range o.PresetOptions {
		if p.Option(name) == nil {
			if len(p.Options) == 0 {
				return nil, fmt.Errorf("options: %s has none: leave out %s", p.Name, name)
			}
			return nil, fmt.Errorf("options: %s is none of %s: there are %s", name, p.Name, p.OptionNames())
		}
	}
	for _, option := range p.Options {
		value, err := optionValue(&option, o.PresetOptions[option.Name])
		if err != nil {
			return nil, err
		}
		if option.Required && value == nil {
			return nil, fmt.Errorf("%s is missing: write `%s %s`, %s", option.Name, option.Name, option.Value, option.Help)
		}
		if value == nil {
			value = option.Default
		}
		s.names, s.values = append(s.names, "$"+option.Name), append(s.values, value)
		texts[option.Name] = textOf(value)
	}
	if err := s.logIn(o, texts); err != nil {
		return nil, err
	}
	for field, value := range p.Header {
		s.header.Set(field, replaceOptions(value, texts, strings.Clone))
	}
	method, path := p.Method, p.Path
	if p.Upsert != nil && texts[p.Upsert.Option] != "" {
		method, path = p.Upsert.Method, p.Upsert.Path
	}
	o.Method = cmp.Or(o.Method, method)
	if p.URL == "" && o.URL == "" {
		return nil, fmt.Errorf("url is missing: write where your %s is, such as %s", p.System, p.Example)
	}
	o.URL = cmp.Or(o.URL, p.URL)
	s.path = replaceOptions(path, texts, url.PathEscape)
	if p.Check != nil {
		s.check = replaceOptions(p.Check.Path, texts, url.PathEscape)
	}
	s.ownBody = o.Mapping.Body == ""
	o.Mapping.Body = cmp.Or(o.Mapping.Body, p.Body)
	o.Mapping.Success = cmp.Or(o.Mapping.Success, p.Success)
	o.Mapping.TicketID = cmp.Or(o.Mapping.TicketID, p.TicketID)
	o.Mapping.TicketURL = cmp.Or(o.Mapping.TicketURL, p.TicketURL)
	return s, nil
}

// oauth2 completes options by what the preset knows.
func (s *settings) oauth2(o *OAuth2) *OAuth2 {
	completed := *o
	known := s.preset.OAuth2
	here := func(text string) string { return strings.ReplaceAll(text, "{base}", s.values[0].(string)) }
	completed.TokenURL = cmp.Or(completed.TokenURL, here(known.TokenURL))
	if len(completed.Scopes) == 0 && known.Scope != "" {
		completed.Scopes = []string{here(known.Scope)}
	}
	return &completed
}

// optionValue returns an option in the type of its kind, nil if nothing is
// said.
func optionValue(option *preset.Option, v any) (any, error) {
	if v == nil || v == "" {
		return nil, nil
	}
	wrong := fmt.Errorf("%s is not what it should be: write `%s %s`, %s", option.Name, option.Name, option.Value, option.Help)
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if option.Kind == preset.Strings {
		texts := make([]any, len(list))
		for i, element := range list {
			text := textOf(element)
			if text == "" {
				return nil, wrong
			}
			texts[i] = text
		}
		return texts, nil
	}
	if len(list) != 1 {
		return nil, wrong
	}
	text := textOf(list[0])
	if b, ok := list[0].(bool); ok {
		text = strconv.FormatBool(b)
	}
	switch option.Kind {
	case preset.Integer:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, wrong
		}
		return n, nil
	case preset.Boolean:
		if text != "true" && text != "false" {
			return nil, wrong
		}
		return text == "true", nil
	default:
		if text == "" || len(option.Choices) > 0 && !slices.Contains(option.Choices, text) {
			return nil, wrong
		}
		return text, nil
	}
}

// logIn sets the credentials, unless the operator has them in the URL or in a
// header.
func (s *settings) logIn(o *Options, texts map[string]string) error {
	if o.OAuth2 != nil {
		for _, auth := range s.preset.Auth {
			if i := slices.IndexFunc(auth.Options, func(name string) bool { return texts[name] != "" }); i >= 0 {
				return fmt.Errorf("oauth2 logs in already: leave out %s, or oauth2", auth.Options[i])
			}
		}
		return nil
	}
	for _, auth := range s.preset.Auth {
		if slices.ContainsFunc(auth.Options, func(name string) bool { return texts[name] == "" }) {
			continue
		}
		value := replaceOptions(auth.Value, texts, strings.Clone)
		if auth.Basic {
			value = "Basic " + base64.StdEncoding.EncodeToString([]byte(value))
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("%s: there are characters in it that no header can carry", strings.Join(auth.Options, " and "))
		}
		s.header.Set(auth.Field, value)
		return nil
	}
	if u, err := url.Parse(o.URL); err == nil && u.User != nil {
		return nil
	}
	given := func(auth preset.Auth) bool {
		return slices.ContainsFunc(o.Fields, func(field string) bool { return strings.EqualFold(field, auth.Field) })
	}
	if len(s.preset.Auth) == 0 || slices.ContainsFunc(s.preset.Auth, given) {
		return nil
	}
	ways := make([]string, len(s.preset.Auth))
	for i, auth := range s.preset.Auth {
		ways[i] = "`" + strings.Join(auth.Options, "` and `") + "`"
	}
	if s.preset.OAuth2 != (preset.OAuth2{}) {
		ways = append(ways, "`oauth2`")
	}
	return fmt.Errorf("credentials are missing: write %s, or a header %s", strings.Join(ways, ", or "), s.preset.Auth[0].Field)
}

// Rehearsal completes options by whatever their preset demands and is not there,
// so that one sees a request before having an account.
func Rehearsal(o Options) Options {
	p := preset.Find(o.Preset)
	if p == nil {
		return o
	}
	o.URL = cmp.Or(o.URL, p.URL, p.Example)
	o.PresetOptions = maps.Clone(o.PresetOptions)
	if o.PresetOptions == nil {
		o.PresetOptions = make(map[string]any)
	}
	demanded := []string{}
	for _, option := range p.Options {
		if option.Required {
			demanded = append(demanded, option.Name)
		}
	}
	if len(p.Auth) > 0 && o.OAuth2 == nil {
		demanded = append(demanded, p.Auth[0].Options...)
	}
	for _, name := range demanded {
		switch option := p.Option(name); {
		case o.PresetOptions[name] != nil:
		case option.Kind == preset.Integer:
			o.PresetOptions[name] = 1
		case len(option.Choices) > 0:
			o.PresetOptions[name] = option.Choices[0]
		default:
			o.PresetOptions[name] = strings.ToUpper(name)
		}
	}
	return o
}

// Rehearse returns the request that a ticket would be sent by, without sending
// it, and the fields of its header that are secret.
func (up *Upstream) Rehearse(ctx context.Context, id uuid.UUID, ticket []byte) (r *http.Request, secret []string, err error) {
	var mapped Request
	if up.Maps() {
		document, ok := bodyValue(ticket).(map[string]any)
		if !ok {
			return nil, nil, errors.New("the ticket is not a JSON object")
		}
		if mapped, err = up.Map(ctx, document); err != nil {
			return nil, nil, err
		}
	}
	if mapped.Body == nil {
		mapped.Body = ticket
	}
	secret = []string{"Authorization", Signature}
	for _, auth := range up.preset.Auth {
		secret = append(secret, http.CanonicalHeaderKey(auth.Field))
	}
	var header http.Header
	if up.tokens != nil {
		header = http.Header{"Authorization": {"Bearer (from oauth2)"}}
	}
	return up.request(ctx, id, mapped, header), secret, nil
}

// replaceOptions puts options into a text that has them in braces.
func replaceOptions(s string, options map[string]string, escape func(string) string) string {
	if !strings.Contains(s, "{") {
		return s
	}
	pairs := make([]string, 0, 2*len(options))
	for name, value := range options {
		pairs = append(pairs, "{"+name+"}", escape(value))
	}
	return strings.NewReplacer(pairs...).Replace(s)
}
