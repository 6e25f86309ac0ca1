package kindlyhandler

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Observer counts what a [Handler] does. Its methods are called concurrently,
// on the way of every webhook: they must not wait.
type Observer interface {
	// Webhook is called once for every request, just before it is answered,
	// with how long that took.
	Webhook(result Result, took time.Duration)
	// Signature is called for every valid signature with the position of the
	// secret that made it.
	Signature(position int)
	// ChatToken is called once for every dialogue webhook that becomes a ticket
	// or is refused for its token, if user tokens are checked. The result is
	// "ok", "missing" or "bad", and only the last has a reason: "header",
	// "too_large", "malformed", "algorithm", "key", "signature", "claims",
	// "expired", "not_yet_valid" or "chat".
	ChatToken(result, reason string)
	// TranscriptMissing is called for every ticket that goes out without its
	// transcript.
	TranscriptMissing()
	// Upstream returns who is told of the attempts of one of the handler's
	// upstreams, nil if nobody is. It is called once for each by [New].
	Upstream(name string) delivery.Observer
}

// Result is what became of a request. Nothing in it was written by a stranger.
type Result struct {
	// Delivery is the id of the webhook's delivery, of the first one if it has
	// several; zero if it has none.
	Delivery uuid.UUID
	// Event is the webhook's, "other" if that is one that neither this package
	// nor the configuration names, and empty where there was none to speak of.
	Event string
	// Outcome is one of "delivered", "pending" and "dead" (in the answer; a
	// pending delivery goes on), "duplicate", "ignored", "not_stored" (a
	// dialogue whose chat was told so), "handshake", "passed_on" (to a next
	// handler), and "refused_" with a reason.
	Outcome string
}

// Refused tells whether the request was answered with an error.
func (r Result) Refused() bool { return strings.HasPrefix(r.Outcome, refusedPrefix) }

// Outcomes that are neither a delivery's state nor a refusal.
const (
	outcomeDuplicate = "duplicate"
	outcomeIgnored   = "ignored"
	outcomeNotStored = "not_stored"
	outcomeHandshake = "handshake"
	outcomePassedOn  = "passed_on"
)

// otherEvent stands for events whose names are only the sender's.
const otherEvent = "other"

// knownEvents are those that Kindly documents.
var knownEvents = []string{DialogueEvent, "ticket.created", "ticket.updated"}

// result is a webhook's, without a delivery.
func (h *Handler) result(e *event, outcome string) Result {
	name := otherEvent
	if i := slices.Index(knownEvents, e.name); i >= 0 {
		name = knownEvents[i]
	} else if i := slices.Index(h.events, e.name); i >= 0 {
		name = h.events[i]
	}
	return Result{Event: name, Outcome: outcome}
}

type nobody struct{}

func (nobody) Webhook(Result, time.Duration)     {}
func (nobody) Signature(int)                     {}
func (nobody) ChatToken(string, string)          {}
func (nobody) TranscriptMissing()                {}
func (nobody) Upstream(string) delivery.Observer { return nil }
