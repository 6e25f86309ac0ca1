package kindlyhandler

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
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

// Keys that sign nothing but tests.
const (
	rs256 = "rs256"
	es256 = "es256"
)

func privateKey(tb testing.TB, name string) crypto.Signer {
	tb.Helper()
	block, _ := pem.Decode(readTestdata(tb, "chat_auth/"+name+"-private.pem"))
	require.NotNil(tb, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(tb, err)
	return key.(crypto.Signer)
}

func publicKey(tb testing.TB, name, id string) ChatKey {
	tb.Helper()
	return ChatKey{ID: id, Key: privateKey(tb, name).Public()}
}

func newAuth(tb testing.TB, keys ...ChatKey) *chatAuth {
	tb.Helper()
	a, err := newChatAuth(&ChatAuthOptions{Keys: keys})
	require.NoError(tb, err)
	return a
}

// signToken signs a payload, whatever it is.
func signToken(tb testing.TB, algorithm jose.SignatureAlgorithm, key any, payload string, header map[jose.HeaderKey]any) string {
	tb.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, &jose.SignerOptions{ExtraHeaders: header})
	require.NoError(tb, err)
	signed, err := signer.Sign([]byte(payload))
	require.NoError(tb, err)
	token, err := signed.CompactSerialize()
	require.NoError(tb, err)
	return token
}

func kid(id string) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{"kid": id} }

// tokenTime is when the tests' tokens are checked.
var tokenTime = time.Unix(1_800_000_000, 0)

const goodClaims = `{"iss":"shop","sub":"user-1","exp":1800000300,"name":"Kari Nordmann","email":"kari@example.no","phone_number":"+47 22 22 55 55","chat":{"id":"chat-1","webhook_domains":["*.example.com"]}}`

func TestChatAuth_check(t *testing.T) {
	rsaKey, ecKey := privateKey(t, rs256), privateKey(t, es256)
	otherRSA, err := rsa.GenerateKey(nil, 2048)
	require.NoError(t, err)
	both := newAuth(t, publicKey(t, rs256, ""), publicKey(t, es256, ""))
	named := newAuth(t, publicKey(t, rs256, "one"), publicKey(t, es256, "two"), ChatKey{ID: "three", Key: otherRSA.Public()})
	half := newAuth(t, ChatKey{ID: "one", Key: otherRSA.Public()}, publicKey(t, rs256, ""))
	onlyRSA, onlyEC := newAuth(t, publicKey(t, rs256, "")), newAuth(t, publicKey(t, es256, ""))
	rs := func(payload string) string { return signToken(t, jose.RS256, rsaKey, payload, nil) }
	good := rs(goodClaims)
	publicPEM, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	require.NoError(t, err)
	confused := signToken(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicPEM}), goodClaims, nil)
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	unsigned := part(`{"alg":"none"}`) + "." + part(goodClaims) + "."
	_, rest, _ := strings.Cut(good, ".")
	_, signature, _ := strings.Cut(rest, ".")

	for name, test := range map[string]struct {
		auth  *chatAuth
		token string
		want  *tokenError
	}{
		"RS256":                         {both, good, nil},
		"ES256":                         {both, signToken(t, jose.ES256, ecKey, goodClaims, nil), nil},
		"the only key":                  {onlyRSA, good, nil},
		"kid that nobody has":           {both, signToken(t, jose.RS256, rsaKey, goodClaims, kid("any")), nil},
		"no kid, keys have":             {named, good, nil},
		"the right kid":                 {named, signToken(t, jose.RS256, rsaKey, goodClaims, kid("one")), nil},
		"the right kid, EC":             {named, signToken(t, jose.ES256, ecKey, goodClaims, kid("two")), nil},
		"key without a kid":             {half, signToken(t, jose.RS256, rsaKey, goodClaims, kid("two")), nil},
		"key without a kid, after its":  {half, signToken(t, jose.RS256, rsaKey, goodClaims, kid("one")), nil},
		"the third key":                 {named, signToken(t, jose.RS256, otherRSA, goodClaims, nil), nil},
		"kid of another key":            {named, signToken(t, jose.RS256, rsaKey, goodClaims, kid("three")), errTokenSignature},
		"kid of a key of another type":  {named, signToken(t, jose.RS256, rsaKey, goodClaims, kid("two")), errTokenKey},
		"unknown kid":                   {named, signToken(t, jose.RS256, rsaKey, goodClaims, kid("four")), errTokenKey},
		"another key":                   {both, signToken(t, jose.RS256, otherRSA, goodClaims, nil), errTokenSignature},
		"a key that it brings along":    {both, signToken(t, jose.RS256, otherRSA, goodClaims, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: otherRSA.Public()}}), errTokenSignature},
		"RS256 for an EC key":           {onlyEC, good, errTokenAlgorithm},
		"ES256 for an RSA key":          {onlyRSA, signToken(t, jose.ES256, ecKey, goodClaims, nil), errTokenAlgorithm},
		"RS384":                         {both, signToken(t, jose.RS384, rsaKey, goodClaims, nil), errTokenAlgorithm},
		"PS256":                         {both, signToken(t, jose.PS256, rsaKey, goodClaims, nil), errTokenAlgorithm},
		"HS256 by the public key":       {both, confused, errTokenAlgorithm},
		"none":                          {both, unsigned, errTokenAlgorithm},
		"none, with a signature":        {both, unsigned + signature, errTokenAlgorithm},
		"None":                          {both, part(`{"alg":"None"}`) + "." + part(goodClaims) + "." + signature, errTokenAlgorithm},
		"no alg":                        {both, part(`{"typ":"JWT"}`) + "." + part(goodClaims) + "." + signature, errTokenAlgorithm},
		"another payload":               {both, good[:strings.Index(good, ".")] + "." + part(strings.Replace(goodClaims, "user-1", "user-2", 1)) + "." + signature, errTokenSignature},
		"signature cut off":             {both, good[:len(good)-10], errTokenSignature},
		"no signature":                  {both, strings.TrimSuffix(good, signature), errTokenSignature},
		"unknown critical header":       {both, signToken(t, jose.RS256, rsaKey, goodClaims, map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}), errTokenClaims},
		"empty":                         {both, "", errTokenMalformed},
		"a word":                        {both, "token", errTokenMalformed},
		"two parts":                     {both, good[:strings.LastIndex(good, ".")], errTokenMalformed},
		"four parts":                    {both, good + ".e30", errTokenMalformed},
		"encrypted":                     {both, good + ".e30.e30", errTokenMalformed},
		"JSON":                          {both, `{"payload":"","protected":"","signature":""}`, errTokenMalformed},
		"no base64":                     {both, "%." + rest, errTokenMalformed},
		"too large":                     {both, rs(`{"exp":1800000300,"chat":{"id":"chat-1"},"picture":"` + strings.Repeat("x", 6500) + `"}`), errTokenSize},
		"almost too large":              {both, rs(`{"exp":1800000300,"chat":{"id":"chat-1"},"picture":"` + strings.Repeat("x", 5500) + `"}`), nil},
		"nothing but what must be":      {both, rs(`{"exp":1800000300,"chat":{"id":"chat-1"}}`), nil},
		"other claims of odd types":     {both, rs(`{"exp":1800000300,"chat":{"id":"chat-1","webhook_domains":7},"iss":[],"aud":{},"iat":"x","sub":1,"name":null,"email":{}}`), nil},
		"expired":                       {both, rs(`{"exp":1799999939,"chat":{"id":"chat-1"}}`), errTokenExpired},
		"expired a minute ago":          {both, rs(`{"exp":1799999940,"chat":{"id":"chat-1"}}`), nil},
		"expired long ago":              {both, rs(`{"exp":0,"chat":{"id":"chat-1"}}`), errTokenExpired},
		"expired before time began":     {both, rs(`{"exp":-1e18,"chat":{"id":"chat-1"}}`), errTokenExpired},
		"exp without an end":            {both, rs(`{"exp":1e300,"chat":{"id":"chat-1"}}`), errTokenClaims},
		"no exp":                        {both, rs(`{"chat":{"id":"chat-1"}}`), errTokenClaims},
		"exp is null":                   {both, rs(`{"exp":null,"chat":{"id":"chat-1"}}`), errTokenClaims},
		"exp is a string":               {both, rs(`{"exp":"1800000300","chat":{"id":"chat-1"}}`), errTokenClaims},
		"two exp":                       {both, rs(`{"exp":1,"exp":1800000300,"chat":{"id":"chat-1"}}`), errTokenClaims},
		"EXP":                           {both, rs(`{"EXP":1800000300,"chat":{"id":"chat-1"}}`), errTokenClaims},
		"not yet valid":                 {both, rs(`{"exp":1800000300,"nbf":1800000061,"chat":{"id":"chat-1"}}`), errTokenEarly},
		"valid in a minute":             {both, rs(`{"exp":1800000300,"nbf":1800000060,"chat":{"id":"chat-1"}}`), nil},
		"nbf is a string":               {both, rs(`{"exp":1800000300,"nbf":"x","chat":{"id":"chat-1"}}`), errTokenClaims},
		"another chat":                  {both, rs(`{"exp":1800000300,"chat":{"id":"chat-2"}}`), errTokenChat},
		"the chat in upper case":        {both, rs(`{"exp":1800000300,"chat":{"id":"CHAT-1"}}`), errTokenChat},
		"expired, and of another chat":  {both, rs(`{"exp":1,"chat":{"id":"chat-2"}}`), errTokenExpired},
		"no chat":                       {both, rs(`{"exp":1800000300}`), errTokenClaims},
		"chat is null":                  {both, rs(`{"exp":1800000300,"chat":null}`), errTokenClaims},
		"chat is its id":                {both, rs(`{"exp":1800000300,"chat":"chat-1"}`), errTokenClaims},
		"chat without an id":            {both, rs(`{"exp":1800000300,"chat":{"id":""}}`), errTokenClaims},
		"chat.id is a number":           {both, rs(`{"exp":1800000300,"chat":{"id":1}}`), errTokenClaims},
		"chat.id with a point":          {both, rs(`{"exp":1800000300,"chat.id":"chat-1"}`), errTokenClaims},
		"payload is a list":             {both, rs(`[]`), errTokenClaims},
		"payload is no JSON":            {both, rs(`exp=1800000300`), errTokenClaims},
		"payload is null":               {both, rs(`null`), errTokenClaims},
		"no payload":                    {both, rs(``), errTokenClaims},
		"something after the payload":   {both, rs(goodClaims + `{}`), errTokenClaims},
		"nested as deep as it can be":   {both, rs(`{"x":` + strings.Repeat("[", 2500) + strings.Repeat("]", 2500) + `,"exp":1800000300,"chat":{"id":"chat-1"}}`), nil},
		"nested without an end":         {both, rs(strings.Repeat("[", 5500)), errTokenClaims},
		"spaces around":                 {both, " " + good + " ", nil},
		"a line's end in it":            {both, good[:10] + "\n" + good[10:], errTokenMalformed},
		"a NUL in it":                   {both, good[:10] + "\x00" + good[10:], errTokenMalformed},
		"two tokens":                    {both, good + " " + good, errTokenMalformed},
		"two tokens, with a comma":      {both, good + "," + good, errTokenMalformed},
		"the scheme again":              {both, "Bearer " + good, errTokenMalformed},
		"exp of a float":                {both, rs(`{"exp":1800000300.75,"chat":{"id":"chat-1"}}`), nil},
		"an invalid signature of an EC": {both, part(`{"alg":"ES256"}`) + "." + part(goodClaims) + "." + part(strings.Repeat("\x00", 64)), errTokenSignature},
		"a long signature of an EC":     {both, part(`{"alg":"ES256"}`) + "." + part(goodClaims) + "." + part(strings.Repeat("\x01", 65)), errTokenSignature},
	} {
		t.Run(name, func(t *testing.T) {
			customer, bad := test.auth.check([]string{"Bearer " + test.token}, "chat-1", tokenTime)
			assert.Equal(t, test.want, bad)
			assert.Equal(t, test.want == nil, customer != nil)
		})
	}
}

func TestChatAuth_header(t *testing.T) {
	a := newAuth(t, publicKey(t, rs256, ""))
	good := signToken(t, jose.RS256, privateKey(t, rs256), goodClaims, nil)
	for name, test := range map[string]struct {
		fields []string
		want   *tokenError
	}{
		"as Kindly has it":  {[]string{"Bearer " + good}, nil},
		"in lower case":     {[]string{"bearer " + good}, nil},
		"spaces":            {[]string{"Bearer   " + good}, nil},
		"nothing":           {nil, errNoToken},
		"no fields":         {[]string{}, errNoToken},
		"empty":             {[]string{""}, errTokenHeader},
		"the bare token":    {[]string{good}, errTokenHeader},
		"another scheme":    {[]string{"Basic dXNlcjpwYXNz"}, errTokenHeader},
		"twice":             {[]string{"Bearer " + good, "Bearer " + good}, errTokenHeader},
		"scheme alone":      {[]string{"Bearer"}, errTokenMalformed},
		"tab":               {[]string{"Bearer\t" + good}, errTokenHeader},
		"a lot of nothing":  {[]string{"Bearer " + strings.Repeat(" ", 10_000) + good}, errTokenSize},
		"a lot of anything": {[]string{"Bearer " + strings.Repeat("a.", 1<<20)}, errTokenSize},
	} {
		t.Run(name, func(t *testing.T) {
			_, bad := a.check(test.fields, "chat-1", tokenTime)
			assert.Equal(t, test.want, bad)
		})
	}
}

func TestTokenClaims_customer(t *testing.T) {
	a := newAuth(t, publicKey(t, rs256, ""))
	key := privateKey(t, rs256)
	for name, test := range map[string]struct{ claims, want string }{
		"everything":        {`"sub":"user-1","name":"Kari Nordmann","email":"kari@example.no","phone_number":"+47 22 22 55 55"`, `{"id":"user-1","name":"Kari Nordmann","email":"kari@example.no","phone":"+47 22 22 55 55","verified":true}`},
		"verified ones":     {`"email":"kari@example.no","email_verified":true,"phone_number":"1","phone_number_verified":true`, `{"id":null,"name":null,"email":"kari@example.no","phone":"1","verified":true}`},
		"unverified ones":   {`"sub":"1","email":"kari@example.no","email_verified":false,"phone_number":"1","phone_number_verified":false`, `{"id":"1","name":null,"email":null,"phone":null,"verified":true}`},
		"in quotes":         {`"email":"kari@example.no","email_verified":"false","phone_number":"1","phone_number_verified":"true"`, `{"id":null,"name":null,"email":null,"phone":"1","verified":true}`},
		"nothing":           {`"iss":"shop"`, `{"id":null,"name":null,"email":null,"phone":null,"verified":true}`},
		"no address":        {`"email":"Kari <kari@example.no>"`, `{"id":null,"name":null,"email":null,"phone":null,"verified":true}`},
		"numbers":           {`"sub":4711,"phone_number":4722225555`, `{"id":"4711","name":null,"email":null,"phone":"4722225555","verified":true}`},
		"null":              {`"sub":null,"name":null,"email":null,"phone_number":null`, `{"id":null,"name":null,"email":null,"phone":null,"verified":true}`},
		"lists and objects": {`"sub":[1],"name":{"first":"Kari"},"email":["kari@example.no"],"phone_number":[]`, `{"id":null,"name":null,"email":null,"phone":null,"verified":true}`},
		"names of one line": {`"name":" Kari\nBcc: x\u202e "`, `{"id":null,"name":"Kari Bcc: x","email":null,"phone":null,"verified":true}`},
		"escapes":           {`"name":"K\u00e5re \"Bj\u00f8rn\""`, `{"id":null,"name":"Kåre \"Bjørn\"","email":null,"phone":null,"verified":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			token := signToken(t, jose.RS256, key, `{"exp":1800000300,"chat":{"id":"chat-1"},`+test.claims+`}`, nil)
			customer, bad := a.check([]string{"Bearer " + token}, "chat-1", tokenTime)
			require.Nil(t, bad)
			kept, err := encodeCustomer(customer)
			require.NoError(t, err)
			assert.Equal(t, test.want, string(kept))
			again, err := decodeCustomer(kept)
			require.NoError(t, err)
			assert.Equal(t, customer, again)

			// What is in the chat completes nothing.
			e := mustParseEvent(t, `{"chat_id":"chat-1","user_id":"typed","context":{"name":"typed","email":"typed@example.no","phone":"typed"}}`)
			e.verified = again
			identified, err := json.Marshal(identify(e, nil))
			require.NoError(t, err)
			assert.Equal(t, test.want, string(identified))
		})
	}
}

func TestDecodeCustomer(t *testing.T) {
	c, err := decodeCustomer(nil)
	require.NoError(t, err)
	require.Nil(t, c)
	for _, wrong := range []string{"no JSON", "null", "{}", `{"email":"me@example.com"}`, `{"verified":false}`} {
		_, err := decodeCustomer([]byte(wrong))
		require.ErrorIs(t, err, errCustomer)
	}
}

// FuzzChatToken compares with the standard library: a token is accepted only if
// one of the keys has signed it for the chat, by the algorithm of the key.
func FuzzChatToken(f *testing.F) {
	rsaKey, ecKey := privateKey(f, rs256), privateKey(f, es256)
	a := newAuth(f, publicKey(f, rs256, "one"), publicKey(f, es256, ""))
	rs := signToken(f, jose.RS256, rsaKey, goodClaims, kid("one"))
	es := signToken(f, jose.ES256, ecKey, goodClaims, nil)
	for _, token := range []string{rs, es} {
		parts := strings.Split(token, ".")
		f.Add("Bearer "+token, "chat-1", int64(0))
		f.Add("Bearer "+parts[0]+"."+parts[1]+".", "chat-1", int64(0))
		f.Add("Bearer "+token, "chat-2", int64(400))
		f.Add("bearer "+base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))+"."+parts[1]+"."+parts[2], "chat-1", int64(-1))
	}
	f.Add("Bearer "+signToken(f, jose.ES256, ecKey, `{"exp":1e9,"nbf":null,"chat":{"id":""}}`, nil), "", int64(0))
	f.Add("Basic dXNlcjpwYXNz", "chat-1", int64(0))
	f.Fuzz(func(t *testing.T, authorization, chatID string, seconds int64) {
		now := tokenTime.Add(time.Duration(seconds) * time.Second)
		customer, bad := a.check([]string{authorization}, chatID, now)
		require.Equal(t, bad == nil, customer != nil)
		if bad != nil {
			require.NotContains(t, []*tokenError{errNoToken}, bad)
			return
		}
		require.True(t, customer.Verified)
		token := strings.Trim(authorization[len("Bearer "):], " ")
		require.LessOrEqual(t, len(token), maxToken)
		parts := strings.Split(token, ".")
		require.Len(t, parts, 3)
		// Encoded anew, as the last character of base64 can have idle bits.
		protected, payload, signature := decodePart(t, parts[0]), decodePart(t, parts[1]), decodePart(t, parts[2])
		digest := sha256.Sum256([]byte(base64.RawURLEncoding.EncodeToString(protected) + "." + base64.RawURLEncoding.EncodeToString(payload)))
		var header struct{ Alg string }
		require.NoError(t, json.Unmarshal(protected, &header))
		switch header.Alg {
		case "RS256":
			require.NoError(t, rsa.VerifyPKCS1v15(rsaKey.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature))
		case "ES256":
			require.Len(t, signature, 64)
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			require.True(t, ecdsa.Verify(ecKey.Public().(*ecdsa.PublicKey), digest[:], r, s))
		default:
			t.Fatalf("accepted by %q", header.Alg)
		}
		var claims struct {
			Exp  float64
			Chat struct{ ID string }
		}
		require.NoError(t, json.Unmarshal(payload, &claims))
		require.Equal(t, chatID, claims.Chat.ID)
		require.NotEmpty(t, chatID)
		require.GreaterOrEqual(t, int64(claims.Exp)+60, now.Unix())
	})
}

func decodePart(tb testing.TB, part string) []byte {
	tb.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(tb, err)
	return decoded
}
