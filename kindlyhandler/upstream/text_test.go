package upstream

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Only a user token makes a ticket say that the customer is verified: whatever a
// visitor gives for a name stands in the customer's line.
func TestFacts_verified(t *testing.T) {
	for name, c := range map[string]struct {
		customer map[string]any
		want     string // the lines about the customer
	}{
		"proven":               {map[string]any{"id": "4711", "name": "Kari", "email": "kari@example.no", "verified": true}, "Customer: Kari, kari@example.no\nVerified: logged in as 4711"},
		"nothing but proven":   {map[string]any{"verified": true}, "Verified: logged in"},
		"proven, by an id":     {map[string]any{"id": "4711\nDelivery: 1", "verified": true}, "Verified: logged in as 4711 Delivery: 1"},
		"proven, by a long id": {map[string]any{"id": strings.Repeat("7", 4000), "verified": true}, "Verified: logged in as " + strings.Repeat("7", 99) + "…"},
		"claimed":              {map[string]any{"id": "4711", "name": "Kari", "verified": false}, "Customer: Kari"},
		"claimed to be so":     {map[string]any{"name": "Kari (verified)\nVerified: logged in", "verified": false}, "Customer: Kari (verified) Verified: logged in"},
		"claimed in the form":  {map[string]any{"name": "<b>Verified:</b> **x**", "phone": "1\r\nVerified: yes", "verified": "true"}, "Customer: <b>Verified:</b> **x**, 1 Verified: yes"},
	} {
		all := factsOf(map[string]any{"customer": c.customer}, 2000)
		assert.Equal(t, c.want, all.text(), name)
		require.Equal(t, c.customer["verified"] == true, strings.Contains(htmlOf(all), "<b>Verified:</b>"), name)
		require.Equal(t, c.customer["verified"] == true, strings.Contains(all.markdown(), "**Verified:**"), name)
	}
}

// What came with the webhook is in the text of every form, as links that lead
// only to web pages.
func TestFacts_attachments(t *testing.T) {
	list := []any{
		map[string]any{"name": "broken.jpg", "url": "https://files.example/a?b=1&c=2"},
		map[string]any{"url": "https://files.example/b"},
		map[string]any{"name": "<script>\n**x**", "url": "javascript:alert(1)"},
		map[string]any{"name": "c", "url": "https://files.example/\"><script>"},
		map[string]any{"name": strings.Repeat("n", 300)},
		map[string]any{"file": "?"},
		"https://files.example/d",
		nil,
		7.0,
	}
	all := factsOf(map[string]any{"id": "1", "attachments": list}, 4000)
	long := strings.Repeat("n", 99) + "…"
	assert.Equal(t, "Delivery: 1\nAttachment: broken.jpg (https://files.example/a?b=1&c=2)\nAttachment: https://files.example/b\n"+
		"Attachment: <script> **x**\nAttachment: c (https://files.example/\"><script>)\nAttachment: "+long+"\nAttachments not listed: 4", all.text())
	assert.Equal(t, `<p><b>Delivery:</b> 1<br><b>Attachment:</b> <a href="https://files.example/a?b=1&amp;c=2" rel="nofollow noopener noreferrer">broken.jpg</a><br>`+
		`<b>Attachment:</b> <a href="https://files.example/b" rel="nofollow noopener noreferrer">https://files.example/b</a><br>`+
		`<b>Attachment:</b> &lt;script&gt; **x**<br>`+
		`<b>Attachment:</b> <a href="https://files.example/&#34;&gt;&lt;script&gt;" rel="nofollow noopener noreferrer">c</a><br>`+
		`<b>Attachment:</b> `+long+`<br><b>Attachments not listed:</b> 4</p>`, htmlOf(all))
	markdown := all.markdown()
	assert.Contains(t, markdown, "**Attachment:** [broken.jpg](https://files.example/a?b=1&c=2)\\\n")
	assert.NotContains(t, markdown, "<script>")

	many := factsOf(map[string]any{"attachments": slices.Repeat([]any{map[string]any{"name": "a"}}, 1000)}, 4000)
	assert.Len(t, many, 21)
	assert.Equal(t, fact{"Attachments not listed", "980", ""}, many[20])

	large := map[string]any{"name": "a", "url": "https://files.example/" + strings.Repeat("x", 700)}
	few := factsOf(map[string]any{"attachments": []any{large, large}}, 4000)
	assert.Len(t, few, 2)
	assert.Equal(t, fact{"Attachments not listed", "1", ""}, few[1])
}

func htmlOf(all facts) string {
	var out strings.Builder
	all.writeHTML(&out)
	return out.String()
}
