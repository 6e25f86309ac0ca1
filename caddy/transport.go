package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// loadTransport loads the transport that the field TransportRaw of owner
// configures, nil if there is none.
func loadTransport(ctx caddy.Context, owner any, raw json.RawMessage) (http.RoundTripper, error) {
	if raw == nil {
		return nil, nil
	}
	module, err := ctx.LoadModule(owner, "TransportRaw")
	if err != nil {
		return nil, err
	}
	transport, ok := module.(http.RoundTripper)
	if !ok {
		return nil, errors.New("transport cannot make requests: write `transport http`")
	}
	return withReplacer{transport}, nil
}

// withReplacer gives a transport of reverse_proxy the replacer that it expects
// every request to have.
type withReplacer struct{ http.RoundTripper }

func (t withReplacer) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	return t.RoundTripper.RoundTrip(r.WithContext(ctx))
}
