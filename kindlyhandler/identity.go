package kindlyhandler

import (
	"cmp"
	"net/mail"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// Customer is the person in the chat: whom the user token proves it to be, and
// nothing else, if that is Verified; otherwise whom the visitor claims to be.
type Customer struct {
	ID       *string `json:"id"`
	Name     *string `json:"name"`
	Email    *string `json:"email"`
	Phone    *string `json:"phone"`
	Verified bool    `json:"verified"`
}

// identify returns the customer whom the token proves, else who is in the
// webhook's context, and what is not there from the transcript's. What a visitor
// typed never completes what is proven: it would pass for proven, too.
func identify(e *event, t *transcript) Customer {
	if e.verified != nil {
		return *e.verified
	}
	var c claims
	c.complete(e.context)
	if t != nil {
		c.complete(t.context)
	}
	name, phone := oneLine(c.name, maxName), oneLine(c.phone, maxName)
	return Customer{ID: nonEmpty(&e.userID), Name: nonEmpty(&name), Email: nonEmpty(&c.email), Phone: nonEmpty(&phone)}
}

// claims are what a chat says about its user.
type claims struct{ name, email, phone string }

// complete takes from a chat's context what is not known yet. An e-mail
// address only counts if it is one: the visitor typed it.
func (c *claims) complete(context gjson.Result) {
	if !context.IsObject() {
		return
	}
	var name, email, takeover, phone string
	context.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "name":
			name = claimed(v)
		case "email":
			email = claimed(v)
		case "takeover_email":
			takeover = claimed(v)
		case "phone":
			phone = claimed(v)
		}
		return true
	})
	c.name, c.phone = cmp.Or(c.name, name), cmp.Or(c.phone, phone)
	for _, address := range [...]string{email, takeover} {
		if c.email == "" && isAddress(address) {
			c.email = address
		}
	}
}

func claimed(v gjson.Result) string { return strings.TrimSpace(loose.Text(v)) }

// isAddress tells whether s is a bare e-mail address.
func isAddress(s string) bool {
	if s == "" || len(s) > 254 { // RFC 5321, by erratum 1690 to RFC 3696
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s && !strings.ContainsFunc(s, isMisleading)
}

// nonEmpty returns nil for an empty string.
func nonEmpty(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
