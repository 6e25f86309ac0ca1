package kindly

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// Redaction is what is taken out of webhooks and transcripts before they are
// stored or sent, and what stands in its place. Every string and every number
// is redacted by itself. Names of fields, the ids and times that Kindly sets,
// the chat's addresses, and what a user token proves of the customer stay.
//
// Those with a name are redacted first, in one go, then expressions in their
// order.
type Redaction struct {
	// `card`, `iban`, `email`, `norwegian_id`, `swedish_id`, `danish_id`,
	// `finnish_id`, `national_id` for all four of these, or a regular expression
	// in [Go's syntax](https://pkg.go.dev/regexp/syntax) that does not match
	// where there is nothing. Required.
	Pattern string `json:"pattern,omitempty"`

	// What stands in place of each match, at most 256 bytes. In that of an
	// expression, `$1` and `${name}` are what its groups have matched, `$$` is a
	// dollar sign. Default: the name in brackets, such as `[card]`; `[redacted]`
	// for expressions.
	Replacement *string `json:"replacement,omitempty"`
}

func (h *Handler) unmarshalRedact(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 || args[0] == "" {
		return wrongArgs(d, "redact", "<name|regexp> [<replacement>]")
	}
	r := &Redaction{Pattern: args[0]}
	if len(args) == 2 {
		r.Replacement = &args[1]
	}
	h.Redact = append(h.Redact, r)
	return nil
}

// redactions returns the core's.
func (h *Handler) redactions() []kindlyhandler.Redaction {
	redactions := make([]kindlyhandler.Redaction, 0, len(h.Redact))
	for _, r := range h.Redact {
		if r == nil {
			r = new(Redaction) // is refused for its pattern
		}
		redactions = append(redactions, kindlyhandler.Redaction(*r))
	}
	return redactions
}
