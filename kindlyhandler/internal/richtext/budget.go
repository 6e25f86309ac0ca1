package richtext

import "strings"

// Budget bounds the markup that is read in the messages of one chat: strangers
// write it, and a megabyte of it can cost a third of a second. Once the budget
// is used up, tags are text like everything else; nothing is left out. A nil
// Budget is never used up.
type Budget struct{ left int }

// NewBudget returns a budget for messages with tags of so many bytes in all.
func NewBudget(bytes int) *Budget { return &Budget{left: bytes} }

// markupOverhead is what a message with tags costs beside its length, as if it
// were bytes of the message.
const markupOverhead = 32

// Render is like [Render] as long as the budget has room for the message.
func (b *Budget) Render(message string) Rendered {
	if b != nil && strings.IndexByte(message, '<') >= 0 {
		cost := len(message) + markupOverhead
		if cost > b.left {
			return renderPlain(valid(message))
		}
		b.left -= cost
	}
	return Render(message)
}
