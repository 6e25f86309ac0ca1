package kindlyhandler

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The example of Kindly's documentation.
const (
	publishedSecret    = "examplekey"
	publishedBody      = `{"foo":1,"bar":2}`
	publishedSignature = "uEeD0Q7eW9btdx6LFvvlpwkzQBWdbknsQkg1C27Cx7Q="
)

func TestSign_publishedVector(t *testing.T) {
	require.Equal(t, publishedSignature, Sign(publishedSecret, []byte(publishedBody)))
}

func TestParseSignature(t *testing.T) {
	sum := sha256.Sum256([]byte("any"))
	other := base64.StdEncoding.EncodeToString(sum[:])
	tests := map[string]struct {
		signature, algorithm []string
		want                 error
	}{
		"as documented":          {[]string{publishedSignature}, []string{Algorithm}, nil},
		"of something else":      {[]string{other}, []string{Algorithm}, nil},
		"nothing":                {nil, nil, errAlgorithmHeader},
		"no algorithm":           {[]string{publishedSignature}, nil, errAlgorithmHeader},
		"empty algorithm":        {[]string{publishedSignature}, []string{""}, errAlgorithmHeader},
		"other algorithm":        {[]string{publishedSignature}, []string{"HMAC-SHA-512 (base64 encoded)"}, errAlgorithmHeader},
		"algorithm in lowercase": {[]string{publishedSignature}, []string{strings.ToLower(Algorithm)}, errAlgorithmHeader},
		"algorithm twice":        {[]string{publishedSignature}, []string{Algorithm, Algorithm}, errAlgorithmHeader},
		"no signature":           {nil, []string{Algorithm}, errSignatureHeader},
		"empty signature":        {[]string{""}, []string{Algorithm}, errSignatureHeader},
		"signature twice":        {[]string{publishedSignature, publishedSignature}, []string{Algorithm}, errSignatureHeader},
		"twice in one header":    {[]string{publishedSignature + "," + publishedSignature}, []string{Algorithm}, errSignatureHeader},
		"hex":                    {[]string{hex.EncodeToString(sum[:])}, []string{Algorithm}, errSignatureHeader},
		"without padding":        {[]string{strings.TrimRight(publishedSignature, "=")}, []string{Algorithm}, errSignatureHeader},
		"more padding":           {[]string{publishedSignature[:42] + "=="}, []string{Algorithm}, errSignatureHeader},
		"33 bytes":               {[]string{base64.StdEncoding.EncodeToString(append(sum[:], 0))}, []string{Algorithm}, errSignatureHeader},
		"31 bytes":               {[]string{base64.StdEncoding.EncodeToString(sum[:31])}, []string{Algorithm}, errSignatureHeader},
		"URL-safe alphabet":      {[]string{base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 32))}, []string{Algorithm}, errSignatureHeader},
		"trailing bits":          {[]string{publishedSignature[:42] + "R="}, []string{Algorithm}, errSignatureHeader},
		"line break inside":      {[]string{publishedSignature[:20] + "\n" + publishedSignature[21:]}, []string{Algorithm}, errSignatureHeader},
		"four line breaks":       {[]string{publishedSignature[:40] + "\n\r\n\r"}, []string{Algorithm}, errSignatureHeader},
		"space before":           {[]string{" " + publishedSignature[:43]}, []string{Algorithm}, errSignatureHeader},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			for _, v := range test.signature {
				header.Add(SignatureHeader, v)
			}
			for _, v := range test.algorithm {
				header.Add(AlgorithmHeader, v)
			}
			d, err := parseSignature(header)
			require.Equal(t, test.want, err)
			if err == nil {
				assert.Equal(t, test.signature[0], base64.StdEncoding.EncodeToString(d[:]))
			}
		})
	}
}

func TestVerify(t *testing.T) {
	body := []byte(publishedBody)
	tests := map[string]struct {
		secrets  []string
		signedBy string
		body     string
		want     int
		err      error
	}{
		"right":                      {[]string{"a"}, "a", publishedBody, 0, nil},
		"wrong":                      {[]string{"a"}, "b", publishedBody, -1, errSignature},
		"first of two":               {[]string{"a", "b"}, "a", publishedBody, 0, nil},
		"second of two":              {[]string{"a", "b"}, "b", publishedBody, 1, nil},
		"none of two":                {[]string{"a", "b"}, "c", publishedBody, -1, errSignature},
		"the same one twice":         {[]string{"a", "a"}, "a", publishedBody, 0, nil},
		"body with one byte more":    {[]string{"a"}, "a", publishedBody + "\n", -1, errSignature},
		"body formatted differently": {[]string{"a"}, "a", `{"foo": 1, "bar": 2}`, -1, errSignature},
		"secret longer than a block": {[]string{strings.Repeat("k", 100)}, strings.Repeat("k", 100), publishedBody, 0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := parseSignature(signed(test.signedBy, body))
			require.NoError(t, err)
			v := newVerifier(test.secrets)
			for range 2 { // a hash is used again
				position, err := v.verify([]byte(test.body), d)
				require.Equal(t, test.err, err)
				require.Equal(t, test.want, position)
			}
		})
	}
}

// FuzzSignatureHeader compares with the plain way to do it: a header is
// accepted if and only if it is what signing the body gives.
func FuzzSignatureHeader(f *testing.F) {
	f.Add(publishedSignature, Algorithm, publishedBody)
	f.Add(publishedSignature[:43]+"\n", Algorithm, publishedBody)
	f.Add("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "HMAC-SHA-256", "")
	f.Add(hex.EncodeToString([]byte(publishedSecret)), "", "{}")
	v := newVerifier([]string{publishedSecret, "another"})
	f.Fuzz(func(t *testing.T, signature, algorithm, body string) {
		header := http.Header{canonicalSignatureHeader: {signature}, canonicalAlgorithmHeader: {algorithm}}
		accepted := false
		if d, err := parseSignature(header); err == nil {
			require.Equal(t, signature, base64.StdEncoding.EncodeToString(d[:]), "is not canonical")
			position, err := v.verify([]byte(body), d)
			require.Equal(t, err == nil, position >= 0)
			accepted = err == nil
		}
		expected := false
		for _, secret := range []string{publishedSecret, "another"} {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(body))
			expected = expected || base64.StdEncoding.EncodeToString(mac.Sum(nil)) == signature
		}
		require.Equal(t, expected && algorithm == Algorithm, accepted)
	})
}
