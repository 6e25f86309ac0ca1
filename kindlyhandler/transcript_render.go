package kindlyhandler

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

// Transcript is a chat, ready to paste into a ticket: who said what, and when,
// in local time ([time.Local]) with the zone's name.
// Messages are indented or quoted, so that nobody can write one that looks
// like somebody else's.
type Transcript struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
	// HTML is sanitised: no scripts, no styles, no images.
	HTML string `json:"html"`
}

// renderTranscript writes the chat in all three forms, with the times of a zone.
// The user goes by the name of the customer, if that is known: in the chat it is
// "You".
func renderTranscript(messages []message, customer string, zone *time.Location) *Transcript {
	w := transcriptWriter{zone: zone}
	w.grow(messages)
	for i := range messages {
		w.message(&messages[i], customer)
	}
	return &Transcript{Text: w.text.String(), Markdown: w.markdown.String(), HTML: w.html.String()}
}

type transcriptWriter struct {
	zone                 *time.Location
	text, markdown, html strings.Builder
}

func (w *transcriptWriter) grow(messages []message) {
	n := 0
	for i := range messages {
		n += len(messages[i].body) + 64
	}
	w.text.Grow(n)
	w.markdown.Grow(n + n/4)
	w.html.Grow(n + n/2)
}

func (w *transcriptWriter) message(m *message, customer string) {
	if w.text.Len() > 0 {
		w.text.WriteByte('\n')
		w.markdown.WriteByte('\n')
	}
	w.heading(m.at, m.who(customer))
	w.html.WriteString("<blockquote>")
	r := m.render()
	writeLines(&w.text, r.Text, "  ")
	writeLines(&w.markdown, r.Markdown, "> ")
	w.html.WriteString(r.HTML)
	w.buttons(m.buttons)
	w.attachments(m.attachments)
	w.html.WriteString("</blockquote>\n")
}

func (w *transcriptWriter) heading(at time.Time, who string) {
	var buffer [40]byte
	when := buffer[:0]
	if !at.IsZero() {
		when = at.In(w.zone).AppendFormat(when, "2006-01-02 15:04:05 MST – ")
	}
	w.text.Write(when)
	w.text.WriteString(who)
	w.text.WriteString(":\n")
	w.markdown.WriteString("**")
	w.markdown.Write(when)
	w.markdown.WriteString(richtext.EscapeMarkdown(who))
	w.markdown.WriteString(":**\n\n")
	w.html.WriteString("<p><b>")
	w.html.Write(when)
	w.html.WriteString(richtext.EscapeHTML(who))
	w.html.WriteString(":</b></p>\n")
}

// buttons adds what the user could choose from.
func (w *transcriptWriter) buttons(list string) {
	if list == "[]" {
		return
	}
	gjson.Parse(list).ForEach(func(_, b gjson.Result) bool {
		if label := oneLine(textOf(b, "label"), maxName); label != "" {
			w.item("[" + linked(label, textOf(b, "value")) + "]")
		}
		return true
	})
}

// attachments adds the names and addresses of what was uploaded.
func (w *transcriptWriter) attachments(list string) {
	if list == "[]" {
		return
	}
	gjson.Parse(list).ForEach(func(_, a gjson.Result) bool {
		name, address := oneLine(textOf(a, "name"), maxName), webPage(textOf(a, "url"))
		if name == "" {
			name = address
		}
		if name != "" {
			w.item("Attachment: " + linked(name, address))
		}
		return true
	})
}

// item adds a line of HTML to a message.
func (w *transcriptWriter) item(html string) {
	r := richtext.Render(html)
	writeLines(&w.text, r.Text, "  ")
	w.markdown.WriteString(">\n")
	writeLines(&w.markdown, r.Markdown, "> ")
	w.html.WriteString("<p>" + r.HTML + "</p>")
}

// linked returns a label as HTML, with a link if the address is a web page's.
func linked(label, address string) string {
	label = richtext.EscapeHTML(label)
	if address = webPage(address); address == "" {
		return label
	}
	return `<a href="` + richtext.EscapeHTML(address) + `">` + label + "</a>"
}

// writeLines writes each line of s, if there are any, after a prefix.
func writeLines(b *strings.Builder, s, prefix string) {
	for more := s != ""; more; {
		var line string
		line, s, more = strings.Cut(s, "\n")
		if line == "" {
			b.WriteString(strings.TrimRight(prefix, " "))
		} else {
			b.WriteString(prefix)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
}

const maxName = 80

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
