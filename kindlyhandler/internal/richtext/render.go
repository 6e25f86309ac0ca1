package richtext

import "strings"

// Rendered is one message in three forms that say the same.
type Rendered struct {
	// Text is plain text: paragraphs, line breaks and list items on lines of
	// their own, at most one blank line in a row, links as "label (URL)".
	Text string

	// Markdown is CommonMark in which the stranger's text is inert.
	Markdown string

	// HTML is a balanced fragment of a few elements without images, styles
	// and classes.
	HTML string
}

// Render renders one chat message. It never fails: whatever the message is,
// something safe comes out.
func Render(message string) Rendered {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if strings.IndexByte(message, '<') < 0 || !hasMarkup(message) {
		return renderPlain(message)
	}
	doc := parse(message)
	return Rendered{
		Text:     writeText(doc),
		Markdown: writeMarkdown(doc),
		HTML:     policy.Sanitize(writeHTML(doc)),
	}
}

// renderPlain renders a message without markup. A message that is already
// clean and has no special characters is its own rendering, thrice.
func renderPlain(message string) Rendered {
	text := cleanLines(decodeEntities(message))
	return Rendered{
		Text:     text,
		Markdown: markdownLines(text),
		HTML:     htmlLines(text),
	}
}
