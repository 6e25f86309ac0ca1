package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed request, in canonical form. See
// https://www.standardwebhooks.com.
const (
	SignatureID        = "Webhook-Id"
	SignatureTimestamp = "Webhook-Timestamp"
	Signature          = "Webhook-Signature"
)

// secretPrefix is what a secret for signatures begins with.
const secretPrefix = "whsec_"

// How long a secret is, in bytes, after the specification.
const (
	minSecret = 24
	maxSecret = 64
)

// signer signs requests after the Standard Webhooks specification, once for
// each of its keys.
type signer [][]byte

// newSigner reads secrets. Its errors do not repeat them.
func newSigner(secrets []string) (signer, error) {
	var s signer
	for _, secret := range secrets {
		encoded, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if !ok || err != nil || strings.ContainsAny(encoded, "\r\n") { // which the decoder skips
			return nil, errors.New("sign: a secret is whsec_ and then base64 with its padding: make one by `echo whsec_$(head -c 32 /dev/urandom | base64)`")
		}
		if len(key) < minSecret || len(key) > maxSecret {
			return nil, errors.New("sign: a secret has 24 to 64 bytes: make one by `echo whsec_$(head -c 32 /dev/urandom | base64)`")
		}
		s = append(s, key)
	}
	return s, nil
}

// sign adds the signatures of a body to its header.
func (s signer) sign(header http.Header, id string, at time.Time, body []byte) {
	if len(s) == 0 {
		return
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(s))
	for i, key := range s {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	header[SignatureID] = []string{id}
	header[SignatureTimestamp] = []string{timestamp}
	header[Signature] = []string{strings.Join(signatures, " ")}
}
