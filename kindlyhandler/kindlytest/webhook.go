package kindlytest

import (
	"bytes"
	"context"
	_ "embed" // for the payloads
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// The example payloads. The dialogue webhook has the fields that Kindly
// documents ("Webhooks reference"), the ticket webhook those of "Ticket
// webhooks (BETA)", the transcript is that of "Example: Chat transcript
// webhook".
var (
	//go:embed testdata/dialogue-webhook.json
	dialogueWebhook string
	//go:embed testdata/ticket-webhook.json
	ticketWebhook string
	//go:embed testdata/transcript.json
	transcript string
)

// What is replaced in them to get others.
const (
	dialogueChatID = "5a3a38dfd923ba4238c70ca0" // in the transcript, too
	ticketChatID   = "637c8362ed96928c0ad3dcee"
	ticketEvent    = "ticket.updated"
)

// The payloads, cut where something is filled in.
var (
	dialogueForm   = strings.Split(dialogueWebhook, dialogueChatID)
	transcriptForm = strings.Split(transcript, dialogueChatID)
	ticketForm     = cut(ticketWebhook, ticketEvent, ticketChatID)
)

// DialogueWebhook returns the body of a dialogue webhook: what Kindly sends
// when somebody in a chat reaches a dialogue that has a webhook. It is the
// same on every call.
func DialogueWebhook() []byte {
	return []byte(dialogueWebhook)
}

// DialogueWebhookFor is [DialogueWebhook] in another chat. Invalid UTF-8 in
// the id becomes U+FFFD, as JSON has no other place for it.
func DialogueWebhookFor(chatID string) []byte {
	return fill(dialogueForm, escape(chatID), url.PathEscape(chatID))
}

// TicketWebhook returns the body of a ticket webhook: the event
// "ticket.updated" of a ticket in Kindly's own inbox, with the chat and its
// messages. It is the same on every call.
func TicketWebhook() []byte {
	return []byte(ticketWebhook)
}

// TicketWebhookFor is [TicketWebhook] with another event, say
// "ticket.created", in another chat.
func TicketWebhookFor(event, chatID string) []byte {
	return fill(ticketForm, escape(event), escape(chatID))
}

// TranscriptFor returns the built-in transcript under the given chat id: what
// [Kindly] serves for chats that it has no other transcript of.
func TranscriptFor(chatID string) []byte {
	return fill(transcriptForm, escape(chatID))
}

// NewWebhookRequest returns the POST by which Kindly delivers body to url,
// signed with secret in the headers Kindly-HMAC and Kindly-HMAC-algorithm
// ("Checking webhook signatures (HMACs)"). An empty secret leaves the request
// unsigned. The request can be sent by any client, or given to a handler.
func NewWebhookRequest(url, secret string, body []byte) (*http.Request, error) {
	return newWebhookRequest(context.Background(), url, secret, body)
}

func newWebhookRequest(ctx context.Context, url, secret string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the webhook request: %w", err)
	}
	req.Header.Set("Content-Type", jsonType)
	if secret != "" {
		req.Header.Set(kindlyhandler.SignatureHeader, kindlyhandler.Sign(secret, body))
		req.Header.Set(kindlyhandler.AlgorithmHeader, kindlyhandler.Algorithm)
	}
	return req, nil
}

// cut splits text at the first occurrence of each separator, in their order.
func cut(text string, separators ...string) []string {
	var form []string
	for _, separator := range separators {
		before, after, found := strings.Cut(text, separator)
		if !found {
			panic("kindlytest: the payload lacks " + separator)
		}
		form, text = append(form, before), after
	}
	return append(form, text)
}

// fill puts one value between each two parts of a form.
func fill(form []string, values ...string) []byte {
	size := 0
	for i, part := range form {
		size += len(part)
		if i < len(values) {
			size += len(values[i])
		}
	}
	text := make([]byte, 0, size)
	for i, part := range form {
		text = append(text, part...)
		if i < len(values) {
			text = append(text, values[i]...)
		}
	}
	return text
}

// quote returns s as a JSON string.
func quote(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // no string fails to marshal
	}
	return string(quoted)
}

// escape returns s as it stands between the quotes of a JSON string.
func escape(s string) string {
	quoted := quote(s)
	return quoted[1 : len(quoted)-1]
}
