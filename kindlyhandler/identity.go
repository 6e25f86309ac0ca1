package kindlyhandler

import (
	"net/mail"
	"strings"

	"github.com/tidwall/gjson"
)

// Customer is the person in the chat, as far as the chat tells. Unless
// Verified, it is what the visitor claims to be.
type Customer struct {
	ID       *string `json:"id"`
	Name     *string `json:"name"`
	Email    *string `json:"email"`
	Phone    *string `json:"phone"`
	Verified bool    `json:"verified"`
}

// identify reads the customer from the webhook's context, and what is not
// there from the transcript's. An e-mail address only counts if it is one:
// the visitor typed it.
func identify(e *event, t *transcript) Customer {
	contexts := [2]gjson.Result{e.context}
	if t != nil {
		contexts[1] = t.context
	}
	name := oneLine(first(contexts[:], anything, "name"), maxName)
	email := first(contexts[:], isAddress, "email", "takeover_email")
	phone := oneLine(first(contexts[:], anything, "phone"), maxName)
	return Customer{ID: nonEmpty(&e.userID), Name: nonEmpty(&name), Email: nonEmpty(&email), Phone: nonEmpty(&phone)}
}

// first returns the first acceptable value of any of the keys, in the order
// of contexts, then keys.
func first(contexts []gjson.Result, acceptable func(string) bool, keys ...string) string {
	for _, context := range contexts {
		for _, key := range keys {
			if s := strings.TrimSpace(textOf(context, key)); s != "" && acceptable(s) {
				return s
			}
		}
	}
	return ""
}

func anything(string) bool { return true }

// isAddress tells whether s is a bare e-mail address.
func isAddress(s string) bool {
	if len(s) > 254 { // RFC 5321, by erratum 1690 to RFC 3696
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
