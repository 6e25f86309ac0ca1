package kindlyhandler

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// errRefused is all that a refused caller, or an error page, learns.
var errRefused = errors.New("webhook refused")

// Error is why a request was refused. Its text is the same for all of them;
// the reason is in the log.
type Error struct {
	// Status is the HTTP status.
	Status int
	reason reason
	err    error
}

func (e *Error) Error() string { return errRefused.Error() }

// reason is why a request was refused, as metrics call it. Logs, where that is
// clear from the line, leave the prefix out.
type reason string

const refusedPrefix = "refused_"

const (
	reasonMethod     reason = refusedPrefix + "method"
	reasonToken      reason = refusedPrefix + "verify_token"
	reasonChallenge  reason = refusedPrefix + "challenge"
	reasonSignature  reason = refusedPrefix + "signature"
	reasonChatAuth   reason = refusedPrefix + "chat_auth"
	reasonTooLarge   reason = refusedPrefix + "too_large"
	reasonIncomplete reason = refusedPrefix + "incomplete"
	reasonEncoding   reason = refusedPrefix + "encoding"
	reasonEvent      reason = refusedPrefix + "event"
	reasonBusy       reason = refusedPrefix + "busy"
	reasonStore      reason = refusedPrefix + "store"
)

// retryAfterSeconds is what a caller is told to wait when there is no room.
const retryAfterSeconds = 10

func refuse(status int, why reason, err error) *Error {
	return &Error{Status: status, reason: why, err: err}
}

// refused logs and counts a refusal, and sets the headers that belong to it.
func (h *Handler) refused(w http.ResponseWriter, r *http.Request, e *Error, started time.Time) (Result, error) {
	switch e.Status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", h.allow)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	}
	result := Result{Outcome: string(e.reason)}
	h.observer.Webhook(result, time.Since(started))
	if more, ok := h.complaints.allow(e.reason, time.Now()); ok {
		h.log.Warn("webhook refused",
			zap.String("webhook", h.name),
			zap.String("remote_addr", r.RemoteAddr),
			zap.String("reason", strings.TrimPrefix(string(e.reason), refusedPrefix)),
			zap.Int("status", e.Status),
			zap.NamedError("error", e.err),
			zap.Int("not_logged", more))
	}
	return result, e
}

// complaintsPerSecond bounds the lines that strangers can cause, per reason.
const complaintsPerSecond = 10

// complaints keeps count of what is not logged.
type complaints struct {
	mu      sync.Mutex
	reasons map[reason]*complaint
}

type complaint struct {
	second    int64
	logged    int
	notLogged int
}

// reasonPending is no refusal, but as many as there are of these while an
// upstream is down.
const reasonPending reason = "pending"

// allow tells whether a refusal is logged, and how many were not since the
// last one that was.
func (c *complaints) allow(why reason, now time.Time) (notLogged int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reasons == nil {
		c.reasons = make(map[reason]*complaint)
	}
	one := c.reasons[why]
	if one == nil {
		one = &complaint{}
		c.reasons[why] = one
	}
	if second := now.Unix(); second != one.second {
		one.second, one.logged = second, 0
	}
	if one.logged >= complaintsPerSecond {
		one.notLogged++
		return 0, false
	}
	one.logged++
	notLogged, one.notLogged = one.notLogged, 0
	return notLogged, true
}
