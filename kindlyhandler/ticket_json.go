package kindlyhandler

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// TicketJSON returns the [Ticket] that a webhook becomes, as JSON, without
// receiving it: to try out a mapping, say. The transcript is the answer of the
// Chat Transcript API, nil if there is none.
func TicketJSON(id uuid.UUID, received time.Time, webhook, transcript []byte) ([]byte, error) {
	e, err := parseEvent(webhook)
	if err != nil {
		return nil, fmt.Errorf("the webhook: %w", err)
	}
	if transcript == nil {
		return newTicket(id, received, e, nil, "").encode()
	}
	chat, err := parseTranscript(transcript)
	if err != nil {
		return nil, fmt.Errorf("the transcript: %w", err)
	}
	return newTicket(id, received, e, chat, "").encode()
}
