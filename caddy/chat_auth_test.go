package kindly_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/require"
)

// keyFiles writes files of keys, and returns their directory.
func keyFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	publicPEM := func(key crypto.PublicKey) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		require.NoError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(p256)
	require.NoError(t, err)
	write("good.pem", publicPEM(p256.Public()))
	write("empty.pem", "")
	write("text.pem", theSecret)
	write("large.pem", strings.Repeat("x", 1<<20+1))
	write("curve.pem", publicPEM(p521.Public()))
	write("private.pem", publicPEM(p256.Public())+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	// A modulus of 1024 bits.
	write("short.json", `{"keys": [{"kty": "RSA", "e": "AQAB", "n": "`+strings.Repeat("-", 170)+`8"}]}`)
	write("oct.json", `{"keys": [{"kty": "oct", "k": "`+theSecret+`"}]}`)
	write("private.json", `{"keys": [{"kty": "RSA", "d": "`+theSecret+`"}]}`)
	return dir
}

func TestChatAuth(t *testing.T) {
	dir := keyFiles(t)
	t.Setenv("KINDLY_TEST_KEYS", dir)
	t.Setenv("KINDLY_TEST_NO_KEYS", "")
	for _, chatAuth := range []string{
		"chat_auth " + dir + "/good.pem",
		"chat_auth " + dir + "/good.pem {env.KINDLY_TEST_KEYS}/good.pem {; required; }",
	} {
		require.NoError(t, validate(t, webhook(good+"; "+chatAuth)))
		require.NoError(t, validate(t, webhook("secret s; transcript off; "+chatAuth)), "middleware")
	}
	t.Chdir(dir)
	require.NoError(t, validate(t, webhook(good+"; chat_auth good.pem")))

	const shop = `kindly_webhook "shop": chat_auth: `
	for file, want := range map[string]string{
		"{env.KINDLY_TEST_UNSET}":             "placeholder {env.KINDLY_TEST_UNSET} has no value: set it before Caddy starts",
		"{env.KINDLY_TEST_NO_KEYS}":           "placeholder {env.KINDLY_TEST_NO_KEYS} has no value: set it before Caddy starts",
		"missing.pem":                         "missing.pem: there is no such file: write the path of a file with public keys; a relative one begins where Caddy was started",
		"good.pem missing.pem":                "missing.pem: there is no such file",
		dir:                                   "is a directory: write the path of a file with public keys that Caddy can read",
		"empty.pem":                           "empty.pem: there is no public key: write a PEM file with PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE blocks, or a JWKS, which is JSON",
		"text.pem":                            "text.pem: there is no public key",
		"{env.KINDLY_TEST_KEYS}/text.pem":     dir + "/text.pem: there is no public key",
		"large.pem":                           "large.pem: the file is larger than 1 MiB",
		"curve.pem":                           "curve.pem: PEM block 1: a key on the curve P-521 is not supported: write one on P-256, for ES256, or an RSA key, for RS256",
		"private.pem":                         "private.pem: PEM block 2: that is a private key, which nobody but the signer of the tokens should have: write the public one, which `openssl pkey -in <private key file> -pubout` prints",
		"short.json":                          "short.json: key 1 of the JWKS: an RSA key of 1024 bits is too short: write one of 2048 or more",
		"oct.json":                            "oct.json: key 1 of the JWKS: a symmetric key (oct) is not supported",
		"private.json":                        "private.json: key 1 of the JWKS: it cannot be read: write an RSA key",
		`"` + filepath.Join(dir, "a b") + `"`: "a b: there is no such file",
	} {
		requireWrong(t, webhook(good+"; chat_auth "+file), want)
		requireWrong(t, webhook(good+"; chat_auth "+file), shop)
	}
}

// TestChatAuth_JSON has what a Caddyfile cannot say.
func TestChatAuth_JSON(t *testing.T) {
	for auth, want := range map[string]string{
		`{}`:                               `kindly_webhook "default": chat_auth: there is no public key: write a PEM file`,
		`{"key_files": []}`:                `kindly_webhook "default": chat_auth: there is no public key`,
		`{"key_files": [""]}`:              `kindly_webhook "default": chat_auth: the name of a file is empty`,
		`{"key_files": ["a"], "keys": []}`: `unknown field "keys"`,
	} {
		config := `{"apps": {"http": {"servers": {"srv0": {"listen": ["127.0.0.1:8080"], "routes": [
			{"handle": [{"handler": "kindly_webhook", "secrets": ["s"], "transcript": {"off": true}, "chat_auth": ` + auth + `}]}
		]}}}}}`
		require.ErrorContains(t, caddy.Validate(quiet(t, []byte(config))), want)
	}
}
