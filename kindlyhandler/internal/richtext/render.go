package richtext

import "strings"

// MaxExpansion bounds how many times as long as the message a form can be,
// see the package's comment. What comes nearest to it is preformatted text in
// nested lists with thousands of items; usual messages hardly grow.
const MaxExpansion = 32

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
	message = valid(message)
	if strings.IndexByte(message, '<') < 0 {
		return renderPlain(message)
	}
	doc, markup := parse(message)
	if !markup {
		return renderPlain(message)
	}
	return Rendered{
		Text:     writeText(doc),
		Markdown: writeMarkdown(doc),
		HTML:     sanitize(writeHTML(doc)),
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
