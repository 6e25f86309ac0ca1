package kindlyhandler

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// ChatKey is a public key by which the tokens of chats' users are checked.
type ChatKey struct {
	// ID is the key's kid. Where a token names one, too, it has to be the same.
	ID string
	// Key is an [*rsa.PublicKey] of at least 2048 bits, for RS256, or an
	// [*ecdsa.PublicKey] on the curve P-256, for ES256.
	Key crypto.PublicKey
}

// minRSA is the shortest modulus for RS256, in bits (RFC 7518, section 3.3).
const minRSA = 2048

// algorithm returns the one algorithm that the key is for.
func (k ChatKey) algorithm() (jose.SignatureAlgorithm, error) {
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA {
			return "", fmt.Errorf("an RSA key of %d bits is too short: write one of %d or more", bits, minRSA)
		}
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", fmt.Errorf("a key on the curve %s is not supported: write one on P-256, for ES256, or an RSA key, for RS256", key.Params().Name)
		}
		return jose.ES256, nil
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return "", errPrivateKey
	case []byte:
		return "", errors.New("a symmetric key (oct) is not supported, since who can check a token could make one: write an RSA key, for RS256, or one on the curve P-256, for ES256")
	default:
		return "", fmt.Errorf("a key of the type %T is not supported: write an RSA key, for RS256, or one on the curve P-256, for ES256", k.Key)
	}
}

var (
	errPrivateKey = errors.New("that is a private key, which nobody but the signer of the tokens should have: write the public one, which `openssl pkey -in <private key file> -pubout` prints")
	errNoKey      = errors.New("there is no public key: write a PEM file with PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE blocks, or a JWKS, which is JSON")
)

// ParseChatKeys reads the public keys of a file: PEM blocks PUBLIC KEY, RSA
// PUBLIC KEY or CERTIFICATE (of which nothing but the key counts), or a JWKS
// (RFC 7517, section 5). It fails if there is no key, or anything beside keys
// that a [Handler] takes. Its errors have nothing of a key in them.
func ParseChatKeys(file []byte) ([]ChatKey, error) {
	var keys []ChatKey
	var err error
	if text := bytes.TrimSpace(file); bytes.HasPrefix(text, []byte("{")) {
		keys, err = parseJWKS(text)
	} else {
		keys, err = parsePEM(file)
	}
	if err == nil && len(keys) == 0 {
		err = errNoKey
	}
	return keys, err
}

func parsePEM(file []byte) ([]ChatKey, error) {
	var keys []ChatKey
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	// What cannot be read as a block is passed over without a word.
	if n := bytes.Count(file, []byte("-----BEGIN ")); n != len(keys) {
		return nil, fmt.Errorf("%d of %d PEM blocks cannot be read: write them as openssl does", n-len(keys), n)
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (key ChatKey, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		key.Key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key.Key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key.Key = certificate.PublicKey
		}
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return key, errPrivateKey
		}
		return key, fmt.Errorf("%q is not supported: write PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE blocks", block.Type)
	}
	if err != nil {
		return key, fmt.Errorf("%s cannot be read: write it as openssl does (%w)", block.Type, err)
	}
	_, err = key.algorithm()
	return key, err
}

func parseJWKS(file []byte) ([]ChatKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(file, &set); err != nil {
		return nil, errors.New(`the JWKS cannot be read: write JSON such as {"keys": [{"kty": "RSA", "n": "…", "e": "AQAB"}]}`)
	}
	var keys []ChatKey
	for i, raw := range set.Keys {
		key, err := parseJWK(raw)
		if err != nil {
			return nil, fmt.Errorf("key %d of the JWKS: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseJWK(raw []byte) (ChatKey, error) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return ChatKey{}, fmt.Errorf("it cannot be read: write an RSA key, for RS256, or one on the curve P-256, for ES256 (%w)", err)
	}
	key := ChatKey{ID: jwk.KeyID, Key: jwk.Key}
	algorithm, err := key.algorithm()
	switch {
	case err != nil:
		return key, err
	case jwk.Use != "" && jwk.Use != "sig":
		return key, fmt.Errorf("it is not for signatures (use is %q): leave it out", jwk.Use)
	case jwk.Algorithm != "" && jwk.Algorithm != string(algorithm):
		return key, fmt.Errorf("its alg is %q: write a key for RS256 or ES256", jwk.Algorithm)
	}
	return key, nil
}
