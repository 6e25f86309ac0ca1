package upstream

import (
	"maps"
	"strings"
)

// withMailable returns a ticket as presets see it: an address that help desks
// refuse, and the whole ticket with it, is no customer's. It is in the text of
// the ticket all the same.
func withMailable(ticket map[string]any) map[string]any {
	customer, _ := ticket["customer"].(map[string]any)
	email := field(customer, "email")
	if email == "" || isMailable(email) {
		return ticket
	}
	customer = maps.Clone(customer)
	customer["email"], customer[unmailable] = nil, email
	ticket = maps.Clone(ticket)
	ticket["customer"] = customer
	return ticket
}

// unmailable is the customer's field with such an address.
const unmailable = "unmailable"

// isMailable tells whether a customer's address, which is one by RFC 5322, is
// also what forms in the web take for one: ASCII, without quotes, in a domain
// of several labels.
func isMailable(address string) bool {
	local, domain, _ := strings.Cut(address, "@")
	if strings.Trim(address, mailable) != "" || len(local) > 64 || !strings.Contains(domain, ".") || strings.Trim(domain, domainBytes) != "" {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	return len(last) > 1 && strings.Trim(last, "0123456789") != ""
}

// What such addresses, and the domains of them, consist of.
const (
	domainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
	mailable    = domainBytes + "@_+!#$%&'*/=?^`{|}~"
)
