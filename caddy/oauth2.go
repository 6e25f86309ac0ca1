package kindly

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// OAuth2 gets access tokens by client credentials, for systems whose tokens
// expire. A token is shared by all attempts of its upstream, and replaced before
// it expires, or when the upstream refuses it. It is asked for as tickets are
// sent: by the upstream's transport, within its timeout, without redirects.
type OAuth2 struct {
	// The token endpoint: https, or http on a loopback address. Global
	// placeholders are resolved when the configuration is loaded. Default: the
	// preset's, if its system has one at a known place.
	TokenURL string `json:"token_url,omitempty"`

	// The application's client id. Required. Global placeholders are resolved when
	// the configuration is loaded.
	ClientID string `json:"client_id,omitempty"`

	// The application's client secret. Required. It is sent with the id as
	// parameters of the request; an endpoint that refuses them so is asked by Basic
	// authentication. Global placeholders are resolved when the configuration is
	// loaded.
	ClientSecret string `json:"client_secret,omitempty"`

	// What the token is asked to be good for. Global placeholders are resolved when
	// the configuration is loaded. Default: what the preset needs, or nothing.
	Scopes []string `json:"scopes,omitempty"`
}

// options resolves placeholders; nil stays nil.
func (o *OAuth2) options() (*upstream.OAuth2, error) {
	if o == nil {
		return nil, nil
	}
	var err error
	resolved := func(field, value string) (text string) {
		if err == nil {
			text, err = resolve("oauth2: "+field, value)
		}
		return text
	}
	options := &upstream.OAuth2{
		TokenURL:     resolved("token_url", o.TokenURL),
		ClientID:     resolved("client_id", o.ClientID),
		ClientSecret: resolved("client_secret", o.ClientSecret),
	}
	for _, scope := range o.Scopes {
		options.Scopes = append(options.Scopes, resolved("scopes", scope))
	}
	return options, err
}

func (u *Upstream) unmarshalOAuth2(d *caddyfile.Dispenser) error {
	if u.OAuth2 != nil {
		return twice(d)
	}
	usage := "<token URL> <client id> <client secret> [<scope...>]"
	p := preset.Find(u.Preset)
	knowsURL := p != nil && p.OAuth2.TokenURL != ""
	if knowsURL {
		usage = "<client id> <client secret>"
	}
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return noValue(d, "oauth2", usage)
	}
	u.OAuth2 = new(OAuth2)
	if len(args) == 2 && knowsURL {
		u.OAuth2.ClientID, u.OAuth2.ClientSecret = args[0], args[1]
		return nil
	}
	if len(args) < 3 {
		return wrongArgs(d, "oauth2", usage)
	}
	u.OAuth2.TokenURL, u.OAuth2.ClientID, u.OAuth2.ClientSecret, u.OAuth2.Scopes = args[0], args[1], args[2], args[3:]
	return checkURL(d, "oauth2", u.OAuth2.TokenURL)
}
