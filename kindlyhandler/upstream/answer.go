package upstream

import (
	"strings"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// Where a JSON answer usually has the ticket's id and address, in this order.
var (
	idFields  = []string{"id", "number", "key"}
	urlFields = []string{"url", "html_url", "web_url", "link"}
)

const (
	maxTicketID  = 256
	maxTicketURL = 2048
)

// findTicket reads the ticket's id and address from an answer, at the top
// level or in the first object in it that has either.
func findTicket(answer []byte) delivery.Ticket {
	top, err := loose.Object(answer)
	if err != nil {
		return delivery.Ticket{}
	}
	found := ticketIn(top)
	if found == (delivery.Ticket{}) {
		top.ForEach(func(_, v gjson.Result) bool {
			if v.IsObject() {
				found = ticketIn(v)
			}
			return found == delivery.Ticket{}
		})
	}
	return found
}

func ticketIn(object gjson.Result) delivery.Ticket {
	fields := make(map[string]string, 2)
	object.ForEach(func(key, v gjson.Result) bool {
		switch v.Type {
		case gjson.String:
			fields[key.Str] = v.Str
		case gjson.Number:
			fields[key.Str] = v.Raw
		default: // no id, no address
		}
		return true
	})
	return delivery.Ticket{ // clones: a part of the answer would keep all of it
		ID:  strings.Clone(firstField(fields, idFields, isID)),
		URL: strings.Clone(firstField(fields, urlFields, isAddress)),
	}
}

func firstField(fields map[string]string, names []string, valid func(string) bool) string {
	for _, name := range names {
		if v, ok := fields[name]; ok && valid(v) {
			return v
		}
	}
	return ""
}

func isID(s string) bool {
	return s != "" && len(s) <= maxTicketID && !strings.ContainsFunc(s, unicode.IsControl)
}

func isAddress(s string) bool {
	_, err := ParseURL(s)
	return err == nil && len(s) <= maxTicketURL
}
