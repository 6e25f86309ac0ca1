package kindly

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"
)

// TestHandlerLogsNoSecrets is about Caddy's `trace`, which logs handlers whole.
func TestHandlerLogsNoSecrets(t *testing.T) {
	h := &Handler{Secrets: []string{"secret"}, VerifyToken: "token", APIKey: "key", Upstreams: []*Upstream{{URL: "https://hooks.example.com/secret"}}, name: "shop"}
	logged := zapcore.NewMapObjectEncoder()
	require.NoError(t, h.MarshalLogObject(logged))
	require.Equal(t, map[string]any{"name": "shop", "secrets": 1, "upstreams": 1}, logged.Fields)
}
