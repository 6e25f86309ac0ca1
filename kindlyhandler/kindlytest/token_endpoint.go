package kindlytest

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// TokenEndpoint is a simulated OAuth 2.0 token endpoint: it gives access tokens
// for client credentials (RFC 6749, section 4.4), by POST to its URL. Requests
// with other credentials are answered 401 with the error invalid_client. With
// [HelpDesk.Tokens], a help desk takes tickets only with one of its tokens.
type TokenEndpoint struct {
	// URL is where tokens are given.
	URL string

	// ClientID and ClientSecret are the credentials; by default the client
	// "kindlytest" has the secret "kindlytest-secret".
	ClientID, ClientSecret string

	// BasicOnly refuses credentials that are parameters of the request.
	BasicOnly bool

	// Lifetime is how long a token is good, and what expires_in says, in whole
	// seconds. 0: until it is revoked, and there is no expires_in.
	Lifetime time.Duration

	faults

	server   *server
	requests journal[TokenRequest]

	mu     sync.Mutex
	issued int
	valid  map[string]time.Time // when they expire, by token; zero: never
}

// TokenRequest is a request for a token as it reached a [TokenEndpoint].
type TokenRequest struct {
	Request
	// Form has the parameters.
	Form url.Values
}

// NewTokenEndpoint starts a simulated token endpoint on a free loopback port.
// The caller has to close it. It panics if there is no port to listen on.
func NewTokenEndpoint() *TokenEndpoint {
	e := &TokenEndpoint{ClientID: "kindlytest", ClientSecret: "kindlytest-secret", valid: make(map[string]time.Time)}
	e.server = listen(http.HandlerFunc(e.serve))
	e.URL = e.server.url + "/oauth2/token"
	return e
}

// Close ends all requests, also hanging ones, and frees the port. What was
// recorded can still be read.
func (e *TokenEndpoint) Close() { e.server.close() }

// Issued returns how many tokens were given.
func (e *TokenEndpoint) Issued() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.issued
}

// Requests returns the requests for a token, also those that failed on purpose,
// in order of arrival.
func (e *TokenEndpoint) Requests() []TokenRequest { return e.requests.list() }

// Revoke makes all tokens worthless that were given so far.
func (e *TokenEndpoint) Revoke() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.valid)
}

// Accepts tells whether an Authorization header has a token that is good.
func (e *TokenEndpoint) Accepts(authorization string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	until, known := e.valid[authorization]
	return known && (until.IsZero() || time.Now().Before(until))
}

func (e *TokenEndpoint) serve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		refusal(http.StatusBadRequest, "invalid_request").write(w)
		return
	}
	e.requests.add(TokenRequest{newRequest(r, ""), r.PostForm})
	e.server.handle(w, r, e.next(), func() answer { return e.answer(r) })
}

func (e *TokenEndpoint) answer(r *http.Request) answer {
	switch {
	case r.Method != http.MethodPost:
		return refusal(http.StatusMethodNotAllowed, "invalid_request")
	case !e.knows(r):
		return refusal(http.StatusUnauthorized, "invalid_client")
	case r.PostForm.Get("grant_type") != "client_credentials":
		return refusal(http.StatusBadRequest, "unsupported_grant_type")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.issued++
	token := "kindlytest-token-" + strconv.Itoa(e.issued)
	body := `{"access_token":"` + token + `","token_type":"Bearer"`
	var until time.Time
	if e.Lifetime > 0 {
		until = time.Now().Add(e.Lifetime)
		body += `,"expires_in":` + strconv.Itoa(int(e.Lifetime/time.Second))
	}
	e.valid["Bearer "+token] = until
	return answer{status: http.StatusOK, contentType: jsonType, header: http.Header{"Cache-Control": {"no-store"}}, body: []byte(body + "}")}
}

// knows tells whether a request has the right credentials, one way or the other.
func (e *TokenEndpoint) knows(r *http.Request) bool {
	if id, secret, ok := r.BasicAuth(); ok {
		// Each is encoded as in a form first: RFC 6749, section 2.3.1.
		id, err := url.QueryUnescape(id)
		decoded, err2 := url.QueryUnescape(secret)
		return err == nil && err2 == nil && id == e.ClientID && decoded == e.ClientSecret
	}
	return !e.BasicOnly && r.PostForm.Get("client_id") == e.ClientID && r.PostForm.Get("client_secret") == e.ClientSecret
}
