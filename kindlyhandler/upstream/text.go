package upstream

import (
	"cmp"
	"html"
	"strconv"
	"strings"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/jq"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

// library has what bodies can use in addition: the whole ticket as one text. It
// begins with facts, among them the delivery's id, by which a ticket that came
// twice can be found.
var library = jq.NewLibrary(textFunctions(func(fragment string, n int) any { return jq.ADF(fragment, n) }))

// presetLibrary is the same for bodies of presets, which do nothing with a
// document but send it.
var presetLibrary = jq.NewLibrary(textFunctions(jq.OpaqueADF))

func textFunctions(adf func(fragment string, n int) any) map[string]jq.Limited {
	return map[string]jq.Limited{
		"ticket_html": func(ticket map[string]any, n int, bytes bool) any {
			return jq.TruncateHTML(ticketHTML(ticket, n), n, bytes)
		},
		"ticket_markdown": func(ticket map[string]any, n int, bytes bool) any {
			return jq.Truncate(factsOf(ticket, n).markdown()+"\n\n"+said(ticket).Markdown, n, bytes)
		},
		"ticket_text": func(ticket map[string]any, n int, bytes bool) any {
			return jq.Truncate(factsOf(ticket, n).text()+"\n\n"+said(ticket).Text, n, bytes)
		},
		"ticket_adf": func(ticket map[string]any, n int, _ bool) any {
			return adf(jq.TruncateHTML(ticketHTML(ticket, n), n, false), n)
		},
		"ticket_facts": func(ticket map[string]any, n int, bytes bool) any {
			return jq.Truncate(factsOf(ticket, n).text(), n, bytes)
		},
		"ticket_said": func(ticket map[string]any, n int, bytes bool) any { return jq.Truncate(said(ticket).Text, n, bytes) },
	}
}

func ticketHTML(ticket map[string]any, n int) string {
	all, said := factsOf(ticket, n), said(ticket).HTML
	size := len(said)
	for _, f := range all {
		size += factOverhead + len(f.label) + len(f.value) + len(f.address)
	}
	var out strings.Builder
	out.Grow(size)
	all.writeHTML(&out)
	out.WriteByte('\n')
	out.WriteString(said)
	return out.String()
}

// factOverhead is at least what a fact has in HTML besides its text, in bytes.
const factOverhead = 80

// said returns the transcript or, where it is missing, what the user wrote.
func said(ticket map[string]any) richtext.Rendered {
	if t, ok := ticket["transcript"].(map[string]any); ok {
		return richtext.Rendered{Text: field(t, "text"), Markdown: field(t, "markdown"), HTML: field(t, "html")}
	}
	r := richtext.Render(field(ticket, "message"))
	r.HTML = "<blockquote>" + r.HTML + "</blockquote>"
	return r
}

// field returns a text of an object, empty if it has none.
func field(object any, names ...string) string {
	for _, name := range names {
		fields, _ := object.(map[string]any)
		object = fields[name]
	}
	s, _ := object.(string)
	return s
}

// How much is shown of what a chat can have in any length, in characters. Some
// systems take no more than 2000 in all, and the delivery's id has to be among
// them, and something of the chat.
const (
	maxShownText    = 100 // a name, an id
	maxShownLabels  = 200
	maxShownAddress = 300 // of a page
)

// fact is something about a chat, on a line of its own.
type fact struct {
	label, value string
	address      string // where it leads, if anywhere
}

type facts []fact

// factsOf returns what is known of a chat, for a text of n characters or bytes:
// attachments have a quarter of them.
func factsOf(ticket map[string]any, n int) facts {
	customer, _ := ticket["customer"].(map[string]any)
	var who []string
	for _, name := range []string{"name", "email", unmailable, "phone"} {
		if value := richtext.Line(field(customer, name)); value != "" {
			who = append(who, value)
		}
	}
	all := make(facts, 0, 8)
	chat, page := shownAddress(field(ticket, "chat", "url")), shownAddress(field(ticket, "chat", "page"))
	for _, f := range []fact{
		{"Customer", strings.Join(who, ", "), ""},
		{"Verified", proven(customer), ""},
		{"Chat", chat, chat},
		{"Page", page, page},
		{"Labels", jq.Truncate(richtext.Line(labelsOf(ticket)), maxShownLabels, false), ""},
		{"Status in Kindly", jq.Truncate(richtext.Line(field(ticket, "kindly_ticket", "status")), maxShownText, false), ""},
		{"No transcript", field(ticket, "transcript_error"), ""},
		{"Delivery", field(ticket, "id"), ""},
	} {
		if f.value = richtext.Line(f.value); f.value != "" {
			all = append(all, f)
		}
	}
	return append(all, attachmentsOf(ticket, n/4)...)
}

// shownAddress returns an address in one line, without its query if it is long,
// and nothing if it is so without that.
func shownAddress(address string) string {
	address = richtext.Line(address)
	if len(address) > maxShownAddress {
		address = address[:max(strings.IndexAny(address, "?#"), 0)]
	}
	if len(address) > maxShownAddress {
		return ""
	}
	return address
}

// maxAttachments is how many of a webhook's attachments are listed.
const maxAttachments = 20

// attachmentsOf returns what came with the webhook, as far as there is room.
// Kindly does not document what one looks like: name and url are those of a
// message's. What has neither is counted.
func attachmentsOf(ticket map[string]any, room int) (all facts) {
	list, _ := ticket["attachments"].([]any)
	for _, a := range list[:min(len(list), maxAttachments)] {
		name, address := jq.Truncate(richtext.Line(field(a, "name")), maxShownText, false), field(a, "url")
		if !isAddress(address) || richtext.Line(address) != address {
			address = ""
		}
		name = cmp.Or(name, address)
		if room -= len(name) + len(address); name != "" && room >= 0 {
			all = append(all, fact{"Attachment", name, address})
		}
	}
	if more := len(list) - len(all); more > 0 {
		all = append(all, fact{"Attachments not listed", strconv.Itoa(more), ""})
	}
	return all
}

// proven says that the customer is known from the user token. It is a fact of
// its own: in the line of the name, a visitor who may choose that could say so.
func proven(customer map[string]any) string {
	if customer["verified"] != true {
		return ""
	}
	if id := field(customer, "id"); id != "" {
		return "logged in as " + jq.Truncate(id, maxShownText, false)
	}
	return "logged in"
}

// labelsOf returns the chat's labels, for the systems that have no tags.
func labelsOf(ticket map[string]any) string {
	chat, _ := ticket["chat"].(map[string]any)
	labels, _ := chat["labels"].([]any)
	texts := make([]string, len(labels))
	for i, label := range labels {
		texts[i], _ = label.(string)
	}
	return strings.Join(texts, ", ")
}

func (all facts) join(separator string, line func(f fact) string) string {
	lines := make([]string, len(all))
	for i, f := range all {
		lines[i] = line(f)
	}
	return strings.Join(lines, separator)
}

func (all facts) text() string {
	return all.join("\n", func(f fact) string {
		if f.address != "" && f.address != f.value {
			return f.label + ": " + f.value + " (" + f.address + ")"
		}
		return f.label + ": " + f.value
	})
}

func (all facts) markdown() string {
	return all.join("\\\n", func(f fact) string {
		line := "**" + f.label + ":** "
		switch value := richtext.EscapeMarkdown(f.value); {
		case f.address != "" && strings.Trim(f.address, plainURL) == "":
			return line + "[" + value + "](" + f.address + ")"
		case f.address != "" && f.address != f.value:
			return line + value + " (" + richtext.EscapeMarkdown(f.address) + ")"
		default:
			return line + value
		}
	})
}

// writeHTML writes a paragraph. All that is in facts is on one line already.
func (all facts) writeHTML(out *strings.Builder) {
	out.WriteString("<p>")
	for i, f := range all {
		if i > 0 {
			out.WriteString("<br>")
		}
		out.WriteString("<b>")
		out.WriteString(f.label)
		out.WriteString(":</b> ")
		if f.address != "" {
			out.WriteString(`<a href="`)
			out.WriteString(html.EscapeString(f.address))
			out.WriteString(`" rel="nofollow noopener noreferrer">`)
		}
		out.WriteString(html.EscapeString(f.value))
		if f.address != "" {
			out.WriteString("</a>")
		}
	}
	out.WriteString("</p>")
}

// plainURL are the characters of an address that mean nothing to Markdown, also
// in the address of a link.
const plainURL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#@!$'+,;=%&"
