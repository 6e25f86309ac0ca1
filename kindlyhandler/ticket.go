package kindlyhandler

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

// TicketVersion is the version of the [Ticket] document. Fields may be added
// within a version; a field that changes its meaning makes a new one.
const TicketVersion = 1

const (
	// maxSubject is the length of a subject, in runes.
	maxSubject = 120
	// subjectSource is the length of what a subject is taken from, in bytes.
	subjectSource = 16 << 10
)

// Ticket is what an upstream gets as JSON: the webhook and the chat's
// transcript as one document, the same whatever dialect Kindly spoke. No field
// is ever left out: what is not known is null, or empty. What visitors wrote
// in it is as hostile as they are; only HTML fields are safe to show as HTML.
type Ticket struct {
	Version int `json:"version"`
	// ID is the delivery's id, a UUIDv7, and the Idempotency-Key of every
	// attempt to deliver this ticket.
	ID uuid.UUID `json:"id"`
	// Event is "dialogue", or the name of a ticket webhook's event.
	Event string `json:"event"`
	// ReceivedAt is when the webhook came in, in UTC and with milliseconds.
	ReceivedAt string `json:"received_at"`
	// Subject is one line of at most 120 runes.
	Subject string `json:"subject"`
	// Message is what the user wrote to reach the dialogue; for a ticket
	// webhook, the user's first message.
	Message        string   `json:"message"`
	Language       string   `json:"language"`
	Customer       Customer `json:"customer"`
	OrganizationID *int64   `json:"organization_id"`
	Bot            Bot      `json:"bot"`
	Chat           Chat     `json:"chat"`
	// Context is the chat's memory, a JSON object.
	Context json.RawMessage `json:"context"`
	// Attachments is a JSON array as Kindly sent it.
	Attachments json.RawMessage `json:"attachments"`
	Messages    []Message       `json:"messages"`
	// Transcript is null without a transcript; TranscriptError says why then,
	// unless transcripts are turned off.
	Transcript      *Transcript   `json:"transcript"`
	TranscriptError *string       `json:"transcript_error"`
	KindlyTicket    *KindlyTicket `json:"kindly_ticket"`
	// Source is the last field; encode relies on it.
	Source Source `json:"source"`
}

// Bot is the bot that the chat is with.
type Bot struct {
	ID   *int64  `json:"id"`
	Name *string `json:"name"`
}

// Chat says where the chat is, and where it took place.
type Chat struct {
	ID string `json:"id"`
	// URL is the chat in Kindly's inbox.
	URL *string `json:"url"`
	// Source is "web", "facebook", "slack", "app", "test", or a newer name.
	Source *string `json:"source"`
	// Page is the address of the page that the chat was opened on.
	Page    *string  `json:"page"`
	Labels  []string `json:"labels"`
	Created *string  `json:"created"`
	Updated *string  `json:"updated"`
}

// Message is one message of the chat.
type Message struct {
	ID   *string `json:"id"`
	Time *string `json:"time"`
	// Sender is one of the Sender constants.
	Sender string  `json:"sender"`
	Name   *string `json:"name"`
	// Text is plain; HTML is sanitised.
	Text string `json:"text"`
	HTML string `json:"html"`
	// Buttons and Attachments are JSON arrays as Kindly sent them.
	Buttons     json.RawMessage `json:"buttons"`
	Attachments json.RawMessage `json:"attachments"`
}

// KindlyTicket is the ticket of Kindly's own inbox that a ticket webhook is
// about.
type KindlyTicket struct {
	ID            *string         `json:"id"`
	Status        *string         `json:"status"`
	AssignedAgent json.RawMessage `json:"assigned_agent"`
}

// Source is what Kindly sent, untouched but for what is redacted: the webhook's
// body, and the answer of the Chat Transcript API, null where there was none.
type Source struct {
	Webhook json.RawMessage `json:"webhook"`
	Chat    json.RawMessage `json:"chat"`
}

// newTicket puts together what an event and a transcript, which may be nil,
// tell.
func newTicket(id uuid.UUID, received time.Time, e *event, t *transcript, transcriptError string) *Ticket {
	inbox, page := e.inboxURL(), e.page.address()
	ticket := &Ticket{
		Version:         TicketVersion,
		ID:              id,
		Event:           e.name,
		ReceivedAt:      received.UTC().Format("2006-01-02T15:04:05.000Z"),
		Message:         e.message,
		Language:        e.language,
		Customer:        identify(e, t),
		OrganizationID:  e.organizationID,
		Bot:             Bot{ID: e.botNumber, Name: nonEmpty(&e.botName)},
		Context:         rawJSON(loose.Map(e.context)),
		Attachments:     rawJSON(e.attachments),
		Messages:        []Message{},
		TranscriptError: nonEmpty(&transcriptError),
		Chat: Chat{
			ID:      e.chatID,
			URL:     nonEmpty(&inbox),
			Source:  nonEmpty(&e.source),
			Page:    nonEmpty(&page),
			Labels:  e.labels,
			Created: nonEmpty(&e.created),
			Updated: nonEmpty(&e.updated),
		},
		Source: Source{Webhook: e.raw},
	}
	messages := e.messages
	if t != nil {
		messages = t.messages
		ticket.completeFrom(t)
	}
	if ticket.Chat.Labels == nil {
		ticket.Chat.Labels = []string{}
	}
	if e.carriesMessages() {
		ticket.KindlyTicket = kindlyTicket(e.ticket)
	}
	if t != nil || e.carriesMessages() {
		ticket.Messages = ticketMessages(messages)
		ticket.Transcript = renderTranscript(messages, ticket.customerName(), time.Local)
	}
	ticket.Subject = subject(e, messages)
	return ticket
}

// completeFrom takes from the transcript what the webhook did not say.
func (ticket *Ticket) completeFrom(t *transcript) {
	ticket.Source.Chat = t.raw
	ticket.Chat.Created, ticket.Chat.Updated = nonEmpty(&t.created), nonEmpty(&t.updated)
	if ticket.Chat.Labels == nil {
		ticket.Chat.Labels = t.labels
	}
	if ticket.Bot.Name == nil {
		ticket.Bot.Name = nonEmpty(&t.botName)
	}
	if ticket.Language == "" {
		ticket.Language = t.language
	}
}

func kindlyTicket(v gjson.Result) *KindlyTicket {
	id, status := textOf(v, "id"), textOf(v, "status")
	return &KindlyTicket{
		ID:            nonEmpty(&id),
		Status:        nonEmpty(&status),
		AssignedAgent: rawJSON(loose.Field(v, "assigned_agent").Raw),
	}
}

func ticketMessages(messages []message) []Message {
	out := make([]Message, len(messages))
	for i := range messages {
		m := &messages[i]
		r := m.render()
		out[i] = Message{
			ID:          nonEmpty(&m.id),
			Time:        nonEmpty(&m.time),
			Sender:      m.sender,
			Name:        nonEmpty(&m.name),
			Text:        r.Text,
			HTML:        r.HTML,
			Buttons:     rawJSON(m.buttons),
			Attachments: rawJSON(m.attachments),
		}
	}
	return out
}

// customerName is how the transcript calls the user.
func (ticket *Ticket) customerName() string {
	if ticket.Customer.Name != nil {
		return *ticket.Customer.Name
	}
	return deref(ticket.Customer.Email)
}

// subject is the message, else the user's first one, else the chat's id.
func subject(e *event, messages []message) string {
	if e.dialogue {
		beginning := e.message[:min(len(e.message), subjectSource)]
		if s := oneLine(richtext.Render(beginning).Text, maxSubject); s != "" {
			return s
		}
	}
	for i := range messages {
		if messages[i].sender == SenderUser {
			if s := oneLine(messages[i].render().Text, maxSubject); s != "" {
				return s
			}
		}
	}
	return oneLine("Chat "+e.chatID, maxSubject)
}

// oneLine makes one line of at most limit runes of s: control characters and
// runs of white space become one space, and what is cut off an ellipsis.
func oneLine(s string, limit int) string {
	if isPlainLine(s, limit) {
		return s
	}
	var b strings.Builder
	n, space, cut := 0, false, -1
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = n > 0
			continue
		}
		if isBidi(r) {
			continue
		}
		if space {
			if n++; n == limit {
				cut = b.Len()
			}
			b.WriteByte(' ')
			space = false
		}
		if n++; n == limit {
			cut = b.Len()
		}
		if n > limit {
			return strings.TrimRight(b.String()[:cut], " ") + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isPlainLine tells whether oneLine has nothing to do, as for most names and
// subjects.
func isPlainLine(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < '!' && c != ' ' || c > '~' || c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			return false
		}
	}
	return true
}

// isMisleading tells whether r has no place in an address: it acts on what
// shows it.
func isMisleading(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || isBidi(r)
}

// isBidi tells whether r changes the direction of the text around it, by
// which a name or a subject can be made to read as another one.
func isBidi(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f'
}

// sourceless is how a ticket without its source ends.
const sourceless = `{"webhook":null,"chat":null}}` + "\n"

// encode returns the ticket as JSON. The source goes in as it came: it has
// been checked, and encoding/json would read it all once more.
func (ticket *Ticket) encode() ([]byte, error) {
	var out bytes.Buffer
	out.Grow(ticket.size())
	source := ticket.Source
	ticket.Source = Source{}
	defer func() { ticket.Source = source }()
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(ticket); err != nil {
		return nil, err
	}
	out.Truncate(out.Len() - len(sourceless))
	out.WriteString(`{"webhook":`)
	out.Write(orNull(source.Webhook))
	out.WriteString(`,"chat":`)
	out.Write(orNull(source.Chat))
	out.WriteString(`}}`)
	return out.Bytes(), nil
}

// size estimates the length of the ticket as JSON.
func (ticket *Ticket) size() int {
	n := 1<<10 + len(ticket.Source.Webhook) + len(ticket.Source.Chat)
	if t := ticket.Transcript; t != nil {
		n += len(t.Text) + len(t.Markdown) + len(t.HTML)
	}
	for i := range ticket.Messages {
		m := &ticket.Messages[i]
		n += 200 + len(m.Text) + len(m.HTML) + len(m.Buttons) + len(m.Attachments)
	}
	return n + n/16 // for what has to be escaped
}

// rawJSON returns JSON that was checked before. Most of it is empty.
func rawJSON(s string) json.RawMessage {
	switch s {
	case "":
		return nil
	case "[]":
		return emptyList
	case "{}":
		return emptyObject
	default:
		return json.RawMessage(s)
	}
}

var (
	emptyList   = json.RawMessage("[]")
	emptyObject = json.RawMessage("{}")
)

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}
