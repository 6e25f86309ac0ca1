package kindlytest

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// SignToken returns the token of a chat's user as the operator of the chat
// signs it ("Chat authentication"): a JWT with the claims, which become JSON,
// by RS256 if the key is an RSA one, else by ES256. The keyID is its kid; it
// can be empty. Kindly documents the claims iss, sub, iat, exp, name, email,
// email_verified, phone_number, phone_number_verified, picture, and
// chat: {id, webhook_domains}.
func SignToken(key crypto.Signer, keyID string, claims any) (string, error) {
	algorithm := jose.ES256
	if _, ok := key.(*rsa.PrivateKey); ok {
		algorithm = jose.RS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// ForwardToken makes a webhook one of a chat whose user is logged in: Kindly
// forwards the token in the Authorization header.
func ForwardToken(webhook *http.Request, token string) {
	webhook.Header.Set("Authorization", "Bearer "+token)
}

// SendAs is [Kindly.Send] for a chat whose user is logged in: see
// [ForwardToken].
func (k *Kindly) SendAs(ctx context.Context, url, secret, token string, body []byte) (Response, error) {
	req, err := newWebhookRequest(ctx, url, secret, body)
	if err != nil {
		return Response{}, err
	}
	ForwardToken(req, token)
	return k.Do(req)
}
