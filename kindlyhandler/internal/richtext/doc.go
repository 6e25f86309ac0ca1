// Package richtext renders one chat message, as Kindly delivers it, into the
// forms that help desks take: plain text, Markdown and HTML.
//
// A message is often HTML, often plain text, and written by strangers. It is
// read once, with a tokenizer instead of a tree parser, into a flat and
// balanced list of nodes (parse.go, builder.go, document.go); each form has
// its own writer (text.go, markdown.go, html.go). So the three forms say the
// same, no form contains markup that the message did not mean, and no message
// can make the reader recurse.
//
// Jira's document format is a fourth form, which only few tickets need (adf.go).
//
// What makes up a transcript (who wrote, when, in which order) and what a
// help desk's API wants to be sent does not belong here.
//
// # Reading
//
//   - A message is HTML if it contains a tag or a comment; then white space
//     collapses as in a browser. Otherwise it is plain text, and its newlines
//     stay.
//   - What only looks like a tag is text, since losing a customer's words is
//     worse than showing an odd character: "<kari@example.no>",
//     "<https://example.no>", "</3", a tag or comment that never ends.
//   - Entities are decoded if they end with a semicolon. Browsers also decode
//     some that do not, which would turn "?a=1&copy=2" into "?a=1©=2".
//   - Content that a browser would not show as text (script, style, template,
//     noscript, iframe, svg, math, object, audio, video and their like) is
//     dropped, and so is the address of an image that is not on the web.
//   - Links go to http, https, mailto or tel; other links are only their
//     label. A link ends with its line.
//   - Lists and quotes nest up to [maxDepth] levels; deeper ones are part of
//     the level above.
//
// # Cleaning
//
// Control characters other than newline are removed, because terminals and
// help desks act on them. The bidirectional embeddings, overrides and isolates
// (U+202A to U+202E, U+2066 to U+2069) are removed, because they show text in
// another order than it has: a URL or a name can be made to read as another
// one, and one that is left open reorders what follows the message. Text
// that runs from right to left is shown so without them. Invalid UTF-8 becomes
// U+FFFD.
//
// # Bounds
//
// Reading and writing take time linear in the message's length. For a message
// of n bytes, no form has more than [MaxExpansion]*n + 64 bytes.
package richtext
