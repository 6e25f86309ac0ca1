package richtext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBudget(t *testing.T) {
	const message = "<b>x &amp; y</b>"
	b := NewBudget(2 * (len(message) + markupOverhead))
	for range 2 {
		require.Equal(t, Render(message), b.Render(message))
		require.Equal(t, Render("x &amp; y"), b.Render("x &amp; y"), "what has no tags is free")
	}
	for range 2 {
		r := b.Render(message)
		require.Equal(t, "<b>x & y</b>", r.Text)
		require.Equal(t, "&lt;b&gt;x &amp; y&lt;/b&gt;", r.HTML)
		require.Equal(t, "&lt;b&gt;x &amp; y&lt;/b&gt;", r.Markdown)
		require.Equal(t, Render("x &amp; y"), b.Render("x &amp; y"))
	}
}

// A message that is too large leaves the budget to those after it.
func TestBudget_tooLarge(t *testing.T) {
	b := NewBudget(100)
	large := strings.Repeat("<b>", 100)
	require.Equal(t, large, b.Render(large).Text)
	require.Equal(t, "x", b.Render("<b>x").Text)
}

func TestBudget_plainIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := messages.Draw(t, "message")
		r := NewBudget(0).Render(message)
		for _, form := range []string{r.Text, r.Markdown, r.HTML} {
			checkCharacters(t, form)
		}
		checkText(t, r.Text)
		checkHTML(t, r)
		checkMarkdown(t, r)
		checkSizes(t, message, r)
	})
}
