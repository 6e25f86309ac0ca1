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
	raw      []byte // the whole answer
	botName  string
	language string
	created  string
	updated  string
	labels   []string
	context  gjson.Result // an object, or nothing
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

	markup   *richtext.Budget  // of the chat's messages
	rendered richtext.Rendered // see [message.render]
	done     bool
}

// parseTranscript reads the answer of the Chat Transcript API, in either of
// its dialects: the older one says from_bot, the newer one sender; the
// messages are in the chat or beside it.
func parseTranscript(b []byte) (*transcript, error) {
	root, err := loose.Object(b)
	if err != nil {
		return nil, err
	}
	t := &transcript{raw: b}
	var chat, inside, beside gjson.Result
	root.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "chat":
			chat = v
		case "messages":
			beside = v
		}
		return true
	})
	chat.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "bot_name":
			t.botName = loose.Text(v)
		case "language_code":
			t.language = loose.Text(v)
		case "created":
			t.created, _ = timestamp(v)
		case "updated":
			t.updated, _ = timestamp(v)
		case "labels":
			t.labels = labels(v)
		case "context":
			t.context = v
		case "messages":
			inside = v
		}
		return true
	})
	if !inside.IsArray() && !beside.IsArray() {
		return nil, errNoMessages
	}
	if t.messages = parseMessages(inside); len(t.messages) == 0 {
		t.messages = parseMessages(beside)
	}
	return t, nil
}

const (
	// usualMessage is the length of most messages as JSON.
	usualMessage = 240
	// maxMarkup is how much of a chat is read as HTML, in bytes: thousands of
	// messages as Kindly's bots write them, and, as a hostile visitor can write
	// it, less than half a second of CPU. Beyond it, tags are shown as text.
	maxMarkup = 1 << 20
)

func parseMessages(v gjson.Result) []message {
	if !v.IsArray() {
		return nil
	}
	messages := make([]message, 0, 1+len(v.Raw)/usualMessage)
	markup := richtext.NewBudget(maxMarkup)
	v.ForEach(func(_, m gjson.Result) bool {
		if m.IsObject() {
			messages = append(messages, parseMessage(m))
			messages[len(messages)-1].markup = markup
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

// render returns the message's text in the three forms of a ticket.
func (m *message) render() *richtext.Rendered {
	if !m.done {
		m.rendered, m.done = m.markup.Render(m.body), true
	}
	return &m.rendered
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

func textOf(object gjson.Result, field string) string {
	return loose.Text(loose.Field(object, field))
}
