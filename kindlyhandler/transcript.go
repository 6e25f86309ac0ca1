package kindlyhandler

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

// Who sent a message of a chat.
const (
	SenderUser   = "user"
	SenderBot    = "bot"
	SenderAgent  = "agent"
	SenderSystem = "system"
)

// transcript is a chat as Kindly's Chat Transcript API tells it.
type transcript struct {
	chat     gjson.Result
	raw      string // the whole answer
	messages []message
}

// message is one message of a chat. What is in it was written by strangers.
type message struct {
	id          string
	time        string // RFC 3339
	at          time.Time
	sender      string
	name        string
	body        string // often HTML
	buttons     string // JSON array
	attachments string // JSON array
	cache       *richtext.Rendered
}

// parseTranscript reads the answer of the Chat Transcript API, in either of
// its dialects: the older one says from_bot, the newer one sender; the
// messages are in the chat or beside it.
func parseTranscript(b []byte) (*transcript, error) {
	root, err := loose.Object(b)
	if err != nil {
		return nil, err
	}
	t := &transcript{raw: root.Raw, chat: root.Get("chat")}
	messages := t.chat.Get("messages")
	if beside := root.Get("messages"); beside.IsArray() && len(messages.Array()) == 0 {
		messages = beside
	}
	if !messages.IsArray() {
		return nil, errNoMessages
	}
	t.messages = parseMessages(messages)
	return t, nil
}

func parseMessages(v gjson.Result) []message {
	if !v.IsArray() {
		return nil
	}
	var messages []message
	v.ForEach(func(_, m gjson.Result) bool {
		if m.IsObject() {
			messages = append(messages, parseMessage(m))
		}
		return true
	})
	return messages
}

func parseMessage(v gjson.Result) message {
	m := message{buttons: "[]", attachments: "[]"}
	var sender string
	var fromBot gjson.Result
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "id":
			m.id = loose.Text(v)
		case "created":
			m.time, m.at = timestamp(v)
		case "sender":
			sender = loose.Text(v)
		case "from_bot":
			fromBot = v
		case "name":
			m.name = loose.Text(v)
		case "message":
			m.body = loose.Text(v)
		case "buttons":
			m.buttons = loose.List(v)
		case "attachments":
			m.attachments = loose.List(v)
		}
		return true
	})
	m.sender = senderOf(sender, fromBot)
	return m
}

func senderOf(sender string, fromBot gjson.Result) string {
	switch {
	case strings.EqualFold(sender, SenderUser):
		return SenderUser
	case strings.EqualFold(sender, SenderBot):
		return SenderBot
	case strings.EqualFold(sender, SenderAgent):
		return SenderAgent
	case sender != "":
		return SenderSystem
	case fromBot.Type == gjson.True:
		return SenderBot
	case fromBot.Type == gjson.False:
		return SenderUser
	default:
		return SenderSystem
	}
}

// rendered returns the message's text in the three forms of a ticket.
func (m *message) rendered() *richtext.Rendered {
	if m.cache == nil {
		r := richtext.Render(m.body)
		m.cache = &r
	}
	return m.cache
}

// timestamp reads an ISO 8601 time; what is none is absent. The API writes
// microseconds and UTC.
func timestamp(v gjson.Result) (string, time.Time) {
	s := loose.Text(v)
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return "", time.Time{}
	}
	return s, at
}

// Transcript is a chat, ready to paste into a ticket: who said what, and when.
type Transcript struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
	// HTML is sanitised: no scripts, no styles, no images.
	HTML string `json:"html"`
}

// render writes the chat in all three forms. The user goes by the name of the
// customer, if that is known: in the chat it is "You".
func renderTranscript(messages []message, customer string) *Transcript {
	var text, markdown, html strings.Builder
	grow := 0
	for i := range messages {
		grow += len(messages[i].body) + 64
	}
	text.Grow(grow)
	markdown.Grow(grow + grow/4)
	html.Grow(grow + grow/2)
	for i := range messages {
		m := &messages[i]
		r := m.rendered()
		who, when := m.who(customer), clock(m.at)

		if i > 0 {
			text.WriteByte('\n')
			markdown.WriteByte('\n')
		}
		writeHeading(&text, "", when, who, ":\n", plain)
		writeHeading(&markdown, "**", when, who, ":**\n\n", richtext.EscapeMarkdown)
		writeHeading(&html, "<p><b>", when, who, ":</b></p>\n<blockquote>", richtext.EscapeHTML)

		text.WriteString(r.Text)
		markdown.WriteString(r.Markdown)
		html.WriteString(r.HTML)
		m.writeButtons(&text, &markdown, &html)
		m.writeAttachments(&text, &markdown, &html)
		text.WriteByte('\n')
		markdown.WriteByte('\n')
		html.WriteString("</blockquote>\n")
	}
	return &Transcript{Text: text.String(), Markdown: markdown.String(), HTML: html.String()}
}

func plain(s string) string { return s }

func writeHeading(b *strings.Builder, open, when, who, end string, escape func(string) string) {
	b.WriteString(open)
	if when != "" {
		b.WriteString(when)
		b.WriteString(" – ")
	}
	b.WriteString(escape(who))
	b.WriteString(end)
}

// who returns the name that a message goes under.
func (m *message) who(customer string) string {
	switch {
	case m.sender == SenderUser && customer != "" && (m.name == "" || m.name == "You"):
		return customer
	case m.name != "" && m.name != "You":
		return oneLine(m.name, maxName)
	}
	switch m.sender {
	case SenderUser:
		return "User"
	case SenderBot:
		return "Bot"
	case SenderAgent:
		return "Agent"
	default:
		return "System"
	}
}

const maxName = 80

// writeButtons adds what the user could choose from.
func (m *message) writeButtons(text, markdown, html *strings.Builder) {
	if m.buttons == "[]" {
		return
	}
	gjson.Parse(m.buttons).ForEach(func(_, b gjson.Result) bool {
		label := oneLine(textOf(b, "label"), maxName)
		if label != "" {
			writeItem(text, markdown, html, "["+label+"]", webPage(textOf(b, "value")))
		}
		return true
	})
}

// writeAttachments adds the names and addresses of what was uploaded.
func (m *message) writeAttachments(text, markdown, html *strings.Builder) {
	if m.attachments == "[]" {
		return
	}
	gjson.Parse(m.attachments).ForEach(func(_, a gjson.Result) bool {
		name := oneLine(textOf(a, "name"), maxName)
		address := webPage(textOf(a, "url"))
		if name == "" && address == "" {
			return true
		}
		if name == "" {
			name = "attachment"
		}
		writeItem(text, markdown, html, "Attachment: "+name, address)
		return true
	})
}

func textOf(v gjson.Result, key string) string {
	if !v.IsObject() {
		return ""
	}
	return loose.Text(v.Get(key))
}

// writeItem adds a line for a button or an attachment.
func writeItem(text, markdown, html *strings.Builder, label, address string) {
	text.WriteString("\n" + label)
	markdown.WriteString("\n\n" + richtext.EscapeMarkdown(label))
	html.WriteString("<br>" + richtext.EscapeHTML(label))
	if address != "" {
		text.WriteString(" " + address)
		markdown.WriteString(" " + richtext.EscapeMarkdown(address))
		html.WriteString(" " + richtext.EscapeHTML(address))
	}
}

// clock writes a message's time for people, in UTC.
func clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC")
}
