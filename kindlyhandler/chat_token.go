package kindlyhandler

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// ChatAuthOptions say how the token is checked that Kindly forwards with the
// dialogue webhooks of a chat whose user is logged in: a JWT that the operator
// of the chat has signed (docs.kindly.ai, "Chat authentication"). A good one
// tells who the [Customer] is.
type ChatAuthOptions struct {
	// Keys are the public keys of those who sign the tokens; at least one. See
	// [ParseChatKeys].
	Keys []ChatKey
	// Required refuses dialogue webhooks without a good token. Otherwise their
	// tickets go out unverified. Ticket webhooks carry no token, and are never
	// refused for it.
	Required bool
}

const (
	// maxToken is the size of the largest token that is looked at, in bytes.
	// Kindly's examples have some 700.
	maxToken = 8 << 10
	// tokenLeeway is by how much clocks may differ from that of the signer.
	tokenLeeway = 60 * time.Second
)

// tokenError is why a token is not good. The reason is what metrics call it.
type tokenError struct{ reason, text string }

func (e *tokenError) Error() string { return e.text }

var (
	errNoToken        = &tokenError{"", "there is no user token"}
	errTokenHeader    = &tokenError{"header", "Authorization is there twice, or is no Bearer token"}
	errTokenSize      = &tokenError{"too_large", "the user token is larger than 8 KiB"}
	errTokenMalformed = &tokenError{"malformed", "the user token is no signed JWT"}
	errTokenAlgorithm = &tokenError{"algorithm", "the user token is signed by an algorithm that none of the keys is for"}
	errTokenKey       = &tokenError{"key", "the user token names a key (kid) that is not there"}
	errTokenSignature = &tokenError{"signature", "the user token is signed by none of the keys"}
	errTokenClaims    = &tokenError{"claims", "the user token's claims cannot be read, or have no exp or no chat.id"}
	errTokenExpired   = &tokenError{"expired", "the user token has expired"}
	errTokenEarly     = &tokenError{"not_yet_valid", "the user token is not valid yet"}
	errTokenChat      = &tokenError{"chat", "the user token is for another chat"}
)

// chatAuth checks tokens. nil checks none.
type chatAuth struct {
	keys       []tokenKey
	algorithms []jose.SignatureAlgorithm
	required   bool
}

// tokenKey is a key with the algorithm that it is for, whatever a token says.
type tokenKey struct {
	ChatKey
	algorithm jose.SignatureAlgorithm
}

func newChatAuth(o *ChatAuthOptions) (*chatAuth, error) {
	if o == nil {
		return nil, nil
	}
	if len(o.Keys) == 0 {
		return nil, fmt.Errorf("chat_auth: %w", errNoKey)
	}
	a := &chatAuth{required: o.Required}
	for _, key := range o.Keys {
		algorithm, err := key.algorithm()
		if err != nil {
			return nil, fmt.Errorf("chat_auth: %w", err)
		}
		a.keys = append(a.keys, tokenKey{key, algorithm})
		if !slices.Contains(a.algorithms, algorithm) {
			a.algorithms = append(a.algorithms, algorithm)
		}
	}
	return a, nil
}

// take removes the Authorization fields from a request's header, so that the
// token goes no further, and returns them.
func (a *chatAuth) take(header http.Header) []string {
	if a == nil {
		return nil
	}
	fields := header["Authorization"]
	delete(header, "Authorization")
	return fields
}

// authenticate finds out who the user of a dialogue webhook's chat is.
func (h *Handler) authenticate(r *http.Request, e *event, authorization []string) *Error {
	if h.chatAuth == nil || !e.dialogue {
		return nil
	}
	customer, bad := h.chatAuth.check(authorization, e.chatID, time.Now())
	switch bad {
	case nil:
		e.verified = customer
		h.observer.ChatToken("ok", "")
		return nil
	case errNoToken:
		h.observer.ChatToken("missing", "")
	default:
		h.observer.ChatToken("bad", bad.reason)
	}
	if h.chatAuth.required {
		return refuse(http.StatusUnauthorized, reasonChatAuth, bad)
	}
	if bad == errNoToken {
		return nil // as of every user who is not logged in
	}
	if more, ok := h.complaints.allow(reason("chat_token_"+bad.reason), time.Now()); ok {
		h.log.Warn("user token not accepted: the ticket goes out unverified",
			zap.String("webhook", h.name),
			zap.String("remote_addr", r.RemoteAddr),
			zap.String("reason", bad.reason),
			zap.NamedError("error", bad),
			zap.Int("not_logged", more))
	}
	return nil
}

// check returns whom a request's Authorization fields prove to be the user of
// a chat.
func (a *chatAuth) check(authorization []string, chatID string, now time.Time) (*Customer, *tokenError) {
	token, bad := bearerToken(authorization)
	if bad != nil {
		return nil, bad
	}
	parsed, err := jwt.ParseSigned(token, a.algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, errTokenAlgorithm
	}
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errTokenMalformed
	}
	c, bad := a.verify(parsed)
	if bad != nil {
		return nil, bad
	}
	if bad := c.validate(chatID, now); bad != nil {
		return nil, bad
	}
	return c.customer(), nil
}

func bearerToken(authorization []string) (string, *tokenError) {
	if len(authorization) == 0 {
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	switch {
	case len(authorization) > 1 || !strings.EqualFold(scheme, "Bearer"):
		return "", errTokenHeader
	case len(token) > maxToken:
		return "", errTokenSize
	case strings.ContainsAny(token, "\r\n"): // which base64 would pass over
		return "", errTokenMalformed
	default:
		return strings.Trim(token, " "), nil
	}
}

// verify returns the claims of a token that one of the keys has signed.
func (a *chatAuth) verify(token *jwt.JSONWebToken) (*tokenClaims, *tokenError) {
	header := token.Headers[0]
	bad := errTokenKey
	for _, key := range a.keys {
		if header.Algorithm != string(key.algorithm) || header.KeyID != "" && key.ID != "" && header.KeyID != key.ID {
			continue
		}
		c := new(tokenClaims)
		switch err := token.Claims(key.Key, c); {
		case err == nil:
			return c, nil
		case !errors.Is(err, jose.ErrCryptoFailure):
			return nil, errTokenClaims
		}
		bad = errTokenSignature
	}
	return nil, bad
}

// tokenClaims are the claims that Kindly documents, as far as they count here.
// What proves something is read strictly, what describes somebody is not.
type tokenClaims struct {
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Chat      struct {
		ID string `json:"id"`
	} `json:"chat"`

	Subject       json.RawMessage `json:"sub"`
	Name          json.RawMessage `json:"name"`
	Email         json.RawMessage `json:"email"`
	EmailVerified json.RawMessage `json:"email_verified"`
	Phone         json.RawMessage `json:"phone_number"`
	PhoneVerified json.RawMessage `json:"phone_number_verified"`
}

// validate checks a signed token's time and chat.
func (c *tokenClaims) validate(chatID string, now time.Time) *tokenError {
	if c.Expiry == nil || c.Chat.ID == "" {
		return errTokenClaims
	}
	times := jwt.Claims{Expiry: c.Expiry, NotBefore: c.NotBefore}
	switch err := times.ValidateWithLeeway(jwt.Expected{Time: now}, tokenLeeway); {
	case errors.Is(err, jwt.ErrNotValidYet):
		return errTokenEarly
	case err != nil:
		return errTokenExpired
	case c.Chat.ID != chatID:
		return errTokenChat
	default:
		return nil
	}
}

// customer returns whom the claims describe. An address or a number that the
// signer says not to have verified is left out.
func (c *tokenClaims) customer() *Customer {
	id, name, email, phone := claimText(c.Subject), oneLine(claimText(c.Name), maxName), claimText(c.Email), oneLine(claimText(c.Phone), maxName)
	if !isAddress(email) || claimText(c.EmailVerified) == "false" {
		email = ""
	}
	if claimText(c.PhoneVerified) == "false" {
		phone = ""
	}
	return &Customer{ID: nonEmpty(&id), Name: nonEmpty(&name), Email: nonEmpty(&email), Phone: nonEmpty(&phone), Verified: true}
}

func claimText(raw json.RawMessage) string {
	return strings.TrimSpace(loose.Text(gjson.ParseBytes(raw)))
}

// errCustomer means that the store gave back something else than it was given.
var errCustomer = errors.New("the stored customer is unreadable")

// encodeCustomer returns what is kept of a customer with a delivery, nil if
// nothing was proven.
func encodeCustomer(c *Customer) ([]byte, error) {
	if c == nil {
		return nil, nil
	}
	return json.Marshal(c)
}

// decodeCustomer reads what a delivery has kept.
func decodeCustomer(kept []byte) (*Customer, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	c := new(Customer)
	if json.Unmarshal(kept, c) != nil || !c.Verified {
		return nil, errCustomer
	}
	return c, nil
}
