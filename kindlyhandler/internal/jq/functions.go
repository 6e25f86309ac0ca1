package jq

import (
	"crypto/sha256"
	"strings"

	"github.com/google/uuid"
	"github.com/itchyny/gojq"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

// functions are what expressions have beside jq's own, and what replaces some of
// these.
var functions = []gojq.CompilerOption{
	gojq.WithFunction("_kindly_add", 2, 2, add),
	gojq.WithFunction("_kindly_multiply", 2, 2, multiply),
	gojq.WithFunction("_kindly_fits", 0, 1, fitting),
	textFunction("truncate", 1, truncate),
	textFunction("truncate_html", 1, truncateHTML),
	textFunction("html_text", 0, func(s string, _ int) any { return richtext.Render(s).Text }),
	textFunction("html_markdown", 0, func(s string, _ int) any { return richtext.Render(s).Markdown }),
	textFunction("mrkdwn", 0, func(s string, _ int) any { return mrkdwn.Replace(s) }),
	textFunction("uuid4", 0, func(s string, _ int) any { return uuid4(s).String() }),
	textFunction("_kindly_adf", 0, func(s string, _ int) any { return richtext.ADF(s) }),
}

// textFunction defines a function of a text, with a number of characters as its
// argument or without one. Null stays null.
func textFunction(name string, arity int, f func(s string, n int) any) gojq.CompilerOption {
	return gojq.WithFunction(name, arity, arity, func(v any, args []any) any {
		n := 0
		if arity == 1 {
			var ok bool
			if n, ok = gojq.ToInt(args[0]); !ok || n < 0 {
				return &limitError{"it failed: " + name + " needs a number of characters, such as " + name + "(60000)"}
			}
		}
		switch v := v.(type) {
		case nil:
			return nil
		case string:
			return f(v, n)
		default:
			return &limitError{"it failed: " + name + " cannot be applied to " + gojq.TypeOf(v) + ", only to a string or null"}
		}
	})
}

// mrkdwn escapes text for Slack's mark-up, in which it would otherwise notify
// people (<!channel>) or make links: the three characters that Slack's
// documentation names, and no others, since it decodes no others.
var mrkdwn = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// uuid4 returns a UUID that is the same for the same text, and has the form of
// a random one (RFC 9562, version 4), for systems that accept no others.
func uuid4(s string) uuid.UUID {
	hash := sha256.Sum256([]byte("caddy-kindly uuid4 " + s))
	id := uuid.UUID(hash[:16])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}
