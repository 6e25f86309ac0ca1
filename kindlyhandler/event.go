package kindlyhandler

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// DialogueEvent is the name of the event that a dialogue webhook is. Ticket
// webhooks name their own: ticket.created, ticket.updated, …
const DialogueEvent = "dialogue"

var errUnknownEvent = errors.New("no known event: a dialogue webhook has a chat_id, a ticket webhook _meta.event and ticket")

// eventName is what a ticket webhook's event may be called. The set of events
// is open, but its names end up in logs and metrics.
var eventName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// event is a webhook, read. Text that it lacks is empty; raw JSON is an empty
// list then.
type event struct {
	name     string
	raw      []byte
	sum      delivery.Key // of what came in
	dialogue bool

	chatID         string
	userID         string
	organizationID *int64
	botID          string
	botNumber      *int64
	botName        string
	language       string
	message        string
	source         string
	page           page
	labels         []string
	created        string
	updated        string
	context        gjson.Result // an object, or nothing
	attachments    string       // JSON array

	// verified is whom a user token proves the customer to be, nil without one.
	verified *Customer

	// Of ticket webhooks.
	ticket   gjson.Result
	messages []message
}

// parseEvent reads a webhook's body. It fails if that is not JSON, or no
// event; everything else that is odd in it is left out.
func parseEvent(body []byte) (*event, error) {
	root, err := loose.Object(body)
	if err != nil {
		return nil, err
	}
	e := &event{raw: body, attachments: "[]"}
	var meta, chat gjson.Result
	root.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "organization_id":
			e.organizationID = loose.Integer(v)
		case "bot_id":
			e.botID, e.botNumber = loose.Text(v), loose.Integer(v)
		case "chat_id":
			e.chatID = loose.Text(v)
		case "chat_labels":
			e.labels = labels(v)
		case "exchange":
			e.language = textOf(v, "language_code")
		case "message":
			e.message = loose.Text(v)
		case "attachments":
			e.attachments = loose.List(v)
		case "_meta":
			meta = v
		case "ticket":
			e.ticket = v
		case "bot":
			id := loose.Field(v, "id")
			e.botID, e.botNumber = loose.Text(id), loose.Integer(id)
			e.botName = textOf(v, "name")
		case "chat":
			chat = v
		default:
			e.readOrigin(key.Str, v)
		}
		return true
	})

	name := loose.Field(meta, "event")
	if name.Type == gjson.String && eventName.MatchString(name.Str) && e.ticket.IsObject() {
		e.name = name.Str
		e.readChat(chat)
		return e, nil
	}
	if e.chatID == "" {
		return nil, errUnknownEvent
	}
	e.name, e.dialogue = DialogueEvent, true
	return e, nil
}

// readOrigin reads one of the fields that a dialogue webhook has at its top,
// and a ticket webhook in its chat.
func (e *event) readOrigin(key string, v gjson.Result) {
	switch key {
	case "user_id":
		e.userID = loose.Text(v)
	case "context":
		e.context = v
	case "source":
		e.source = loose.Text(v)
	case "web_url":
		e.page.url = loose.Text(v)
	case "web_host":
		e.page.host = loose.Text(v)
	case "web_path":
		e.page.path = loose.Text(v)
	}
}

// readChat reads the chat that a ticket webhook carries.
func (e *event) readChat(chat gjson.Result) {
	chat.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "id":
			e.chatID = loose.Text(v)
		case "language_code":
			e.language = loose.Text(v)
		case "created":
			e.created, _ = timestamp(v)
		case "updated":
			e.updated, _ = timestamp(v)
		case "labels":
			e.labels = labels(v)
		case "messages":
			e.messages = parseMessages(v)
		default:
			e.readOrigin(key.Str, v)
		}
		return true
	})
	for i := range e.messages {
		if m := &e.messages[i]; m.sender == SenderUser {
			e.message = m.render().Text
			break
		}
	}
}

// page is where a chat was opened, as the visitor's browser says.
type page struct{ url, host, path string }

// address returns the page's address, empty if there is no sensible one.
func (p page) address() string {
	if address := webPage(p.url); address != "" || p.host == "" {
		return address
	}
	if !strings.HasPrefix(p.path, "/") {
		return webPage("https://" + p.host)
	}
	return webPage("https://" + p.host + p.path)
}

// labels reads a list of labels, each a string or an object with a name. What
// is no list is nil.
func labels(v gjson.Result) []string {
	if !v.IsArray() {
		return nil
	}
	names := make([]string, 0, 4)
	v.ForEach(func(_, label gjson.Result) bool {
		name := loose.Text(label)
		if label.IsObject() {
			name = textOf(label, "name")
		}
		if strings.TrimSpace(name) != "" {
			names = append(names, name)
		}
		return true
	})
	return names
}

// webPage returns an address as it came if it is one of a web page, else
// nothing: a visitor's browser sends it, and agents click on it.
func webPage(address string) string {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.ContainsFunc(address, isMisleading) {
		return ""
	}
	return address
}

// inboxURL is the chat's address in Kindly's inbox, empty if no URL can carry
// its ids.
func (e *event) inboxURL() string {
	bot, chat := pathSegment(e.botID), pathSegment(e.chatID)
	if bot == "" || chat == "" {
		return ""
	}
	return "https://app.kindly.ai/workspace/" + bot + "/inbox/chat/" + chat
}

// maxSegment is how long an id may be, escaped, to be put into a URL.
const maxSegment = 2048

// pathSegment escapes a stranger's id, so that it leads nowhere else in a
// URL's path. It is empty if no URL can carry the id.
func pathSegment(id string) string {
	escaped := url.PathEscape(id)
	if id == "." || id == ".." || len(escaped) > maxSegment {
		return ""
	}
	return escaped
}

// carriesMessages tells whether the event needs no transcript.
func (e *event) carriesMessages() bool { return !e.dialogue }

// eventPatterns says which events become tickets; none means all of them.
type eventPatterns []string

// checkPattern tells whether a pattern can be matched against event names.
func checkPattern(pattern string) error {
	_, err := path.Match(pattern, "")
	return err
}

func (p eventPatterns) match(name string) bool {
	for _, pattern := range p {
		if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return len(p) == 0
}
