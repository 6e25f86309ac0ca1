package kindlyhandler

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/redact"
)

// Redaction says what is taken out of webhooks and transcripts before they are
// stored or sent, so that stores, tickets, answers and {kindly.*} never have it.
//
// All strings and numbers are redacted, each by itself and without its escapes;
// a number becomes a string then. Names of fields stay, and so do the ids and
// times that Kindly sets, and the chat's addresses. What a token proves of the
// customer is not redacted.
type Redaction struct {
	// Pattern is "card", "iban", "email", "norwegian_id", "swedish_id",
	// "danish_id", "finnish_id", "national_id" for all four of these, or a
	// regular expression in Go's syntax. Required.
	Pattern string
	// Replacement of each match. In that of an expression, $1 and ${name} are
	// what its groups have matched, $$ is a dollar sign. Default the name in
	// brackets, such as "[card]"; "[redacted]" for expressions.
	Replacement *string
}

func newRedactor(redactions []Redaction) (*redact.Redactor, error) {
	rules := make([]redact.Rule, len(redactions))
	for i, r := range redactions {
		rules[i] = redact.Rule(r)
	}
	redactor, err := redact.New(rules)
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	return redactor, nil
}

// kept are the fields that are never redacted, in webhooks and transcripts of
// all dialects: what finds a chat again and orders its messages, and what the
// bot's makers wrote. Whatever a visitor can type, or a site set, is redacted:
// a user_id is an e-mail address sometimes.
var kept = redact.NewShape(redact.Fields{
	"organization_id": nil, "bot_id": nil, "bot": nil, "chat_id": nil, "exchange": nil, "source": nil,
	"_links": nil, "chatlog_api_url": nil, "chat_transcript_api_url": nil,
	"_meta":    nil,
	"ticket":   {"id": nil, "status": nil},
	"messages": keptOfMessage,
	"chat": {
		"id": nil, "bot_id": nil, "bot_name": nil, "language_code": nil, "created": nil, "updated": nil, "source": nil, "_links": nil,
		"labels":   {"id": nil},
		"messages": keptOfMessage,
	},
})

var keptOfMessage = redact.Fields{"id": nil, "created": nil, "sender": nil, "from_bot": nil, "exchange_id": nil, "exchange_type": nil}

// read reads a webhook that is signed. Of what it was before it was redacted,
// only the sum is left, for its key.
func (h *Handler) read(body []byte) (*event, *Error) {
	sum := h.sum(body)
	e, err := parseEvent(h.redactor.JSON(body, kept))
	if errors.Is(err, errUnknownEvent) {
		return nil, refuse(http.StatusBadRequest, reasonEvent, err)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, reasonEncoding, err)
	}
	e.sum = sum
	return e, nil
}
