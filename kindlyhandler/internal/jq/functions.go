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
	textFunction("html_text", func(s string) any { return richtext.Render(s).Text }),
	textFunction("html_markdown", func(s string) any { return richtext.Render(s).Markdown }),
	textFunction("html_safe", func(s string) any { return richtext.Render(s).HTML }),
	textFunction("mrkdwn", func(s string) any { return mrkdwn.Replace(s) }),
	textFunction("uuid4", func(s string) any { return uuid4(s).String() }),
	textFunction("_kindly_adf", func(s string) any { return richtext.ADF(s) }),
	limitFunction("truncate", truncate),
	limitFunction("truncate_html", truncateHTML),
	gojq.WithFunction("truncate_adf", 1, 1, truncateADF),
}

// textFunction defines a function of a text. Null stays null.
func textFunction(name string, f func(s string) any) gojq.CompilerOption {
	return gojq.WithFunction(name, 0, 0, func(v any, _ []any) any {
		switch v := v.(type) {
		case nil:
			return nil
		case string:
			return f(v)
		default:
			return wrongType(name, v)
		}
	})
}

// limitFunction defines a function that limits a text to a number of
// characters, or of bytes: truncate(60000; "bytes"). Null stays null.
func limitFunction(name string, f func(s string, n int, u unit) any) gojq.CompilerOption {
	return gojq.WithFunction(name, 1, 2, func(v any, args []any) any {
		n, err := limit(name, args[0])
		if err != nil {
			return err
		}
		u := characters
		if len(args) == 2 {
			if args[1] != "bytes" {
				return &limitError{"it failed: " + name + " counts characters, or bytes: write " + name + "(60000; \"bytes\")"}
			}
			u = inBytes
		}
		switch v := v.(type) {
		case nil:
			return nil
		case string:
			return f(v, n, u)
		default:
			return wrongType(name, v)
		}
	})
}

func limit(name string, arg any) (int, error) {
	n, ok := gojq.ToInt(arg)
	if !ok || n < 0 {
		return 0, &limitError{"it failed: " + name + " needs a number of characters, such as " + name + "(60000)"}
	}
	return n, nil
}

func wrongType(name string, v any) error {
	return &limitError{"it failed: " + name + " cannot be applied to " + gojq.TypeOf(v) + ", only to a string or null"}
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
