package kindlyhandler

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keyFile returns a PEM file of one block.
func keyFile(tb testing.TB, blockType string, der []byte, err error) string {
	tb.Helper()
	require.NoError(tb, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func jwks(tb testing.TB, keys ...jose.JSONWebKey) string {
	tb.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	require.NoError(tb, err)
	return string(set)
}

func TestParseChatKeys(t *testing.T) {
	rsaKey, ecKey := privateKey(t, rs256).Public(), privateKey(t, es256).Public()
	pkix := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		return keyFile(t, "PUBLIC KEY", der, err)
	}
	pkcs1 := keyFile(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaKey.(*rsa.PublicKey)), nil)
	lines := strings.Split(strings.TrimSpace(pkix(rsaKey)), "\n")
	oneLine := lines[0] + "\n" + strings.Join(lines[1:len(lines)-1], "") + "\n" + lines[len(lines)-1]
	for name, test := range map[string]struct {
		file string
		want []ChatKey
	}{
		"PUBLIC KEY":          {pkix(rsaKey), []ChatKey{{Key: rsaKey}}},
		"PUBLIC KEY, EC":      {pkix(ecKey), []ChatKey{{Key: ecKey}}},
		"RSA PUBLIC KEY":      {pkcs1, []ChatKey{{Key: rsaKey}}},
		"CERTIFICATE":         {certificate(t, rs256), []ChatKey{{Key: rsaKey}}},
		"CERTIFICATE, EC":     {certificate(t, es256), []ChatKey{{Key: ecKey}}},
		"several":             {pkix(rsaKey) + certificate(t, es256) + pkcs1, []ChatKey{{Key: rsaKey}, {Key: ecKey}, {Key: rsaKey}}},
		"with text around":    {"# of the shop\n\n" + pkix(rsaKey) + "\n-- the old one\n" + pkix(ecKey) + "\n", []ChatKey{{Key: rsaKey}, {Key: ecKey}}},
		"lines of Windows":    {strings.ReplaceAll(pkix(rsaKey), "\n", "\r\n"), []ChatKey{{Key: rsaKey}}},
		"base64 in one line":  {oneLine, []ChatKey{{Key: rsaKey}}},
		"JWKS":                {jwks(t, jose.JSONWebKey{Key: rsaKey, KeyID: "one"}, jose.JSONWebKey{Key: ecKey}), []ChatKey{{"one", rsaKey}, {"", ecKey}}},
		"JWKS with all of it": {"\n " + jwks(t, jose.JSONWebKey{Key: rsaKey, KeyID: "1", Algorithm: "RS256", Use: "sig"}, jose.JSONWebKey{Key: ecKey, Algorithm: "ES256"}), []ChatKey{{"1", rsaKey}, {"", ecKey}}},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := ParseChatKeys([]byte(test.file))
			require.NoError(t, err)
			assert.Equal(t, test.want, keys)
		})
	}
}

func TestParseChatKeys_wrong(t *testing.T) {
	private := privateKey(t, rs256).(*rsa.PrivateKey)
	privateEC := privateKey(t, es256).(*ecdsa.PrivateKey)
	good := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		return keyFile(t, "PUBLIC KEY", der, err)
	}
	public := good(private.Public())
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	short := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	short.N.SetBit(short.N, 0, 1)
	const what = "write an RSA key, for RS256, or one on the curve P-256, for ES256"
	ecDER, ecErr := x509.MarshalECPrivateKey(privateEC)

	for name, test := range map[string]struct{ file, want string }{
		"nothing":                   {"", errNoKey.Error()},
		"text":                      {"ssh-rsa AAAAB3Nza", errNoKey.Error()},
		"DER":                       {"\x30\x82\x01\x22", errNoKey.Error()},
		"private key":               {string(readTestdata(t, "chat_auth/rs256-private.pem")), "PEM block 1: that is a private key, which nobody but the signer of the tokens should have: write the public one, which `openssl pkey -in <private key file> -pubout` prints"},
		"RSA PRIVATE KEY":           {keyFile(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private), nil), "PEM block 1: that is a private key"},
		"EC PRIVATE KEY":            {keyFile(t, "EC PRIVATE KEY", ecDER, ecErr), "PEM block 1: that is a private key"},
		"encrypted private key":     {keyFile(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil), "PEM block 1: that is a private key"},
		"private beside public":     {public + string(readTestdata(t, "chat_auth/es256-private.pem")), "PEM block 2: that is a private key"},
		"another block":             {keyFile(t, "CERTIFICATE REQUEST", []byte("x"), nil), `PEM block 1: "CERTIFICATE REQUEST" is not supported: write PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE blocks`},
		"damaged key":               {keyFile(t, "PUBLIC KEY", []byte("no key"), nil), "PEM block 1: PUBLIC KEY cannot be read: write it as openssl does"},
		"damaged certificate":       {public + keyFile(t, "CERTIFICATE", []byte("none"), nil), "PEM block 2: CERTIFICATE cannot be read"},
		"damaged block":             {strings.Replace(public, "MII", "M?I", 1), "1 of 1 PEM blocks cannot be read: write them as openssl does"},
		"damaged block beside one":  {public + strings.Replace(public, "-----END PUBLIC", "-----END PRIVATE", 1), "1 of 2 PEM blocks cannot be read"},
		"1024 bits":                 {good(short), "PEM block 1: an RSA key of 1024 bits is too short: write one of 2048 or more"},
		"P-384":                     {good(p384.Public()), "PEM block 1: a key on the curve P-384 is not supported: write one on P-256, for ES256, or an RSA key, for RS256"},
		"Ed25519":                   {good(edPublic), "PEM block 1: a key of the type ed25519.PublicKey is not supported: " + what},
		"JWKS that is no JSON":      {"{keys}", `the JWKS cannot be read: write JSON such as {"keys": [`},
		"JWKS of other types":       {`{"keys": {"kty": "RSA"}}`, "the JWKS cannot be read"},
		"JWKS without keys":         {`{"keys": []}`, errNoKey.Error()},
		"JWK alone":                 {`{"kty": "RSA", "n": "AQ", "e": "AQAB"}`, errNoKey.Error()},
		"JWKS with a symmetric key": {jwks(t, jose.JSONWebKey{Key: private.Public()}, jose.JSONWebKey{Key: []byte("s3cr3t")}), "key 2 of the JWKS: a symmetric key (oct) is not supported, since who can check a token could make one: " + what},
		"JWKS with a private key":   {jwks(t, jose.JSONWebKey{Key: private}), "key 1 of the JWKS: that is a private key"},
		"JWKS, private EC":          {jwks(t, jose.JSONWebKey{Key: privateEC}), "key 1 of the JWKS: that is a private key"},
		"JWKS, private Ed25519":     {jwks(t, jose.JSONWebKey{Key: edPrivate}), "key 1 of the JWKS: that is a private key"},
		"JWKS, 1024 bits":           {jwks(t, jose.JSONWebKey{Key: short}), "key 1 of the JWKS: an RSA key of 1024 bits is too short"},
		"JWKS, P-384":               {jwks(t, jose.JSONWebKey{Key: p384.Public()}), "key 1 of the JWKS: a key on the curve P-384 is not supported"},
		"JWKS, secp256k1":           {`{"keys": [{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}]}`, "key 1 of the JWKS: it cannot be read: " + what},
		"JWKS, not on the curve":    {`{"keys": [{"kty": "EC", "crv": "P-256", "x": "` + strings.Repeat("A", 43) + `", "y": "` + strings.Repeat("A", 43) + `"}]}`, "key 1 of the JWKS: it cannot be read: " + what},
		"JWKS, no modulus":          {`{"keys": [{"kty": "RSA"}]}`, "key 1 of the JWKS: it cannot be read: " + what},
		"JWKS, no type":             {`{"keys": [{}]}`, "key 1 of the JWKS: it cannot be read: " + what},
		"JWKS, null":                {`{"keys": [null]}`, "key 1 of the JWKS: "},
		"JWKS for encryption":       {jwks(t, jose.JSONWebKey{Key: private.Public(), Use: "enc"}), `key 1 of the JWKS: it is not for signatures (use is "enc"): leave it out`},
		"JWKS for RS512":            {jwks(t, jose.JSONWebKey{Key: private.Public(), Algorithm: "RS512"}), `key 1 of the JWKS: its alg is "RS512": write a key for RS256 or ES256`},
		"JWKS, ES256 for an RSA":    {jwks(t, jose.JSONWebKey{Key: private.Public(), Algorithm: "ES256"}), `key 1 of the JWKS: its alg is "ES256"`},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := ParseChatKeys([]byte(test.file))
			require.ErrorContains(t, err, test.want)
			assert.Empty(t, keys)
			assert.NotContains(t, err.Error(), "s3cr3t")
			for line := range strings.Lines(test.file) {
				if line = strings.TrimSpace(line); len(line) > 60 {
					assert.NotContains(t, err.Error(), line)
				}
			}
		})
	}
}

func TestNewChatAuth_wrong(t *testing.T) {
	for want, keys := range map[string][]ChatKey{
		"chat_auth: there is no public key: write a PEM file":      nil,
		"chat_auth: that is a private key":                         {{Key: privateKey(t, es256)}},
		"chat_auth: a key of the type <nil> is not supported":      {{ID: "one"}},
		"chat_auth: a symmetric key (oct) is not supported, since": {{Key: []byte("secret")}},
	} {
		_, err := New(Options{Secrets: []string{"s"}, ChatAuth: &ChatAuthOptions{Keys: keys}})
		require.ErrorContains(t, err, want)
	}
}

// certificate returns one of a key, expired: only the key counts.
func certificate(tb testing.TB, name string) string {
	tb.Helper()
	key := privateKey(tb, name)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, NotAfter: time.Unix(1_000_000_000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return keyFile(tb, "CERTIFICATE", der, err)
}
