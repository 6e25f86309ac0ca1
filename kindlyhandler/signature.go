package kindlyhandler

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"net/http"
	"sync"
)

// The headers by which Kindly signs a webhook, and the one algorithm that it
// documents (docs.kindly.ai, "Checking webhook signatures (HMACs)"). Kindly
// announces a change of the algorithm by a change of the second header's
// value, so any other value is refused.
const (
	SignatureHeader = "Kindly-HMAC"
	AlgorithmHeader = "Kindly-HMAC-algorithm"
	Algorithm       = "HMAC-SHA-256 (base64 encoded)"
)

// The same names as net/http keys its header maps.
const (
	canonicalSignatureHeader = "Kindly-Hmac"
	canonicalAlgorithmHeader = "Kindly-Hmac-Algorithm"
)

var (
	errSignatureHeader = errors.New("signature header is missing, repeated or malformed")
	errAlgorithmHeader = errors.New("signature algorithm header is missing, repeated or unknown")
	errSignature       = errors.New("signature does not match")
)

// Sign returns the value of the Kindly-HMAC header for body: the padded
// standard base64 of HMAC-SHA-256(secret, body).
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// digest is a decoded signature.
type digest [sha256.Size]byte

var strictBase64 = base64.StdEncoding.Strict()

// parseSignature reads the signature from a request's header. It is exact:
// each header must be there once, the algorithm must be the documented one,
// and the signature must be canonical base64 of 32 bytes.
func parseSignature(header http.Header) (digest, error) {
	var d digest
	algorithm := header[canonicalAlgorithmHeader]
	if len(algorithm) != 1 || algorithm[0] != Algorithm {
		return d, errAlgorithmHeader
	}
	signature := header[canonicalSignatureHeader]
	if len(signature) != 1 || len(signature[0]) != base64.StdEncoding.EncodedLen(len(d)) {
		return d, errSignatureHeader
	}
	var decoded [33]byte // what 44 characters can decode to
	n, err := strictBase64.Decode(decoded[:], []byte(signature[0]))
	if err != nil || n != len(d) {
		return d, errSignatureHeader
	}
	return digest(decoded[:n]), nil
}

// verifier checks signatures against one or more secrets. Several secrets are
// valid at once while they are being rotated.
type verifier struct {
	macs []*sync.Pool // of *mac, one pool per secret
}

// mac computes signatures by one secret.
type mac struct {
	hash hash.Hash
	sum  digest
}

func newVerifier(secrets []string) *verifier {
	v := &verifier{macs: make([]*sync.Pool, len(secrets))}
	for i, secret := range secrets {
		v.macs[i] = &sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, []byte(secret))} }}
	}
	return v
}

// verify reports the position of the secret that signed body. It compares
// with every secret in constant time, so that its duration does not tell
// which one matched.
func (v *verifier) verify(body []byte, want digest) (int, error) {
	matched := -1
	for i, pool := range v.macs {
		m := pool.Get().(*mac)
		m.hash.Reset()
		m.hash.Write(body)
		m.hash.Sum(m.sum[:0])
		if hmac.Equal(m.sum[:], want[:]) && matched < 0 {
			matched = i
		}
		pool.Put(m)
	}
	if matched < 0 {
		return matched, errSignature
	}
	return matched, nil
}
