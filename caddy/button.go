package kindly

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// Button is shown with the reply when a ticket was delivered. It is left out of
// an answer if its label or value is empty then or names a ticket's id or
// address that the upstream has not told, or if its value is not of its type:
// a link that an upstream gives is only shown if it is an http or https
// address.
type Button struct {
	// What pressing the button does: `link` opens an address, `phone` calls,
	// `email` writes, `quick_reply` says something in the chat. Required.
	Type string `json:"type,omitempty"`

	// What the button says, in chats of all languages. It can have placeholders.
	// Required.
	Label string `json:"label,omitempty"`

	// The http or https address, telephone number, e-mail address or text. It can
	// have placeholders, such as `{kindly.ticket.url}`. Required.
	Value string `json:"value,omitempty"`
}

func (h *Handler) unmarshalButton(d *caddyfile.Dispenser) error {
	b := new(Button)
	if !d.AllArgs(&b.Type, &b.Label, &b.Value) {
		return wrongArgs(d, "button", `<type> "<label>" <value>`)
	}
	if err := kindlyhandler.CheckButtonType(b.Type); err != nil {
		return d.Errf("button: %v", err)
	}
	h.Buttons = append(h.Buttons, b)
	return nil
}

// buttons returns the core's.
func (h *Handler) buttons() []kindlyhandler.Button {
	buttons := make([]kindlyhandler.Button, 0, len(h.Buttons))
	for _, b := range h.Buttons {
		if b == nil {
			b = new(Button) // is refused for its type
		}
		buttons = append(buttons, kindlyhandler.Button(*b))
	}
	return buttons
}
