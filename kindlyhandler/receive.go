package kindlyhandler

import (
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

const (
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = 10 * time.Second
	// maxChallenge is the longest challenge of a handshake that is answered.
	maxChallenge = 1 << 10
)

// unreadBodies bounds what strangers can make this process hold before it
// knows whether they are Kindly.
var unreadBodies = outbound.NewBudget(maxUnread)

const maxUnread = 64 << 20

var (
	errMethod     = errors.New("method is not allowed")
	errToken      = errors.New("verify_token is missing, repeated or wrong")
	errChallenge  = errors.New("challenge is missing, repeated or too long")
	errLength     = errors.New("body is larger than max_body")
	errSlow       = errors.New("body took too long")
	errCut        = errors.New("body ended early")
	errUnreadable = errors.New("body cannot be read")
)

// receive reads a request's body, and returns it if it is signed.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) ([]byte, *Error) {
	// The time holds for refused bodies, too: the server reads on a bit after
	// them. Writers that know no deadlines leave the server's own in force.
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Now().Add(bodyTimeout))
	if r.Method != http.MethodPost {
		return nil, refuse(http.StatusMethodNotAllowed, reasonMethod, errMethod)
	}
	if r.ContentLength > h.maxBody {
		return nil, refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, errLength)
	}
	signature, err := parseSignature(r.Header)
	if err != nil {
		return nil, refuse(http.StatusUnauthorized, reasonSignature, err)
	}
	memory := unreadBodies.Lease()
	defer memory.Release()
	body, err := outbound.Read(r.Body, r.ContentLength, h.maxBody, memory)
	if err != nil {
		return nil, unread(err)
	}
	position, err := h.verifier.verify(body, signature)
	if err != nil {
		return nil, refuse(http.StatusUnauthorized, reasonSignature, err)
	}
	_ = deadlines.SetReadDeadline(time.Time{})
	h.observer.Signature(position)
	return body, nil
}

// unread is the refusal of a body that could not be read.
func unread(err error) *Error {
	var tooLarge *http.MaxBytesError // of a server with a limit of its own
	switch {
	case errors.Is(err, outbound.ErrTooLarge), errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, errLength)
	case errors.Is(err, outbound.ErrNoMemory):
		return refuse(http.StatusServiceUnavailable, reasonBusy, err)
	case outbound.IsTimeout(err):
		return refuse(http.StatusRequestTimeout, reasonIncomplete, errSlow)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, reasonIncomplete, errCut)
	default:
		return refuse(http.StatusBadRequest, reasonIncomplete, errUnreadable)
	}
}

// handshake answers the GET by which Kindly checks, when a ticket webhook is
// set up, that its address is ours.
func (h *Handler) handshake(w http.ResponseWriter, r *http.Request, started time.Time) (result Result, refusal *Error) {
	query := r.URL.Query()
	token, challenge := query["verify_token"], query["challenge"]
	if len(token) != 1 || subtle.ConstantTimeCompare([]byte(token[0]), []byte(h.verifyToken)) != 1 {
		return result, refuse(http.StatusUnauthorized, reasonToken, errToken)
	}
	if len(challenge) != 1 || challenge[0] == "" || len(challenge[0]) > maxChallenge {
		return result, refuse(http.StatusBadRequest, reasonChallenge, errChallenge)
	}
	result = Result{Outcome: outcomeHandshake}
	h.observer.Webhook(result, time.Since(started))
	h.log.Info("handshake answered", zap.String("webhook", h.name))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, challenge[0]) //nolint:gosec // as plain text, to who knows the token
	return result, nil
}
