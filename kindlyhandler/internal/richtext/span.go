package richtext

// span is a part of a line that is written in one way.
type span struct {
	start, end int // in document.text
	style      style
	link       int
}

// appendSpan appends a span, or joins it to the last one if it is alike.
func appendSpan(spans []span, s span) []span {
	if s.start == s.end {
		return spans
	}
	if n := len(spans); n > 0 && spans[n-1].style == s.style && spans[n-1].link == s.link {
		spans[n-1].end = s.end
		return spans
	}
	return append(spans, s)
}
