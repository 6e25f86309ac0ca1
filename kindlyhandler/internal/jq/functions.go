package jq

import (
	"crypto/sha256"
	"strings"
	"unicode"

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
	gojq.WithFunction("_kindly_equal", 2, 2, comparison(func(order int) bool { return order == 0 })),
	gojq.WithFunction("_kindly_unequal", 2, 2, comparison(func(order int) bool { return order != 0 })),
	gojq.WithFunction("_kindly_less", 2, 2, comparison(func(order int) bool { return order < 0 })),
	gojq.WithFunction("_kindly_at_most", 2, 2, comparison(func(order int) bool { return order <= 0 })),
	gojq.WithFunction("_kindly_greater", 2, 2, comparison(func(order int) bool { return order > 0 })),
	gojq.WithFunction("_kindly_at_least", 2, 2, comparison(func(order int) bool { return order >= 0 })),
	textFunction("html_text", func(s string) any { return richtext.Render(s).Text }),
	textFunction("html_markdown", func(s string) any { return richtext.Render(s).Markdown }),
	textFunction("html_safe", func(s string) any { return richtext.Render(s).HTML }),
	textFunction("mrkdwn", func(s string) any { return mrkdwn.Replace(s) }),
	textFunction("tag", func(s string) any { return tag(s) }),
	textFunction("uuid4", func(s string) any { return uuid4(s).String() }),
	textFunction("_kindly_adf", func(s string) any { return richtext.ADF(s) }),
	limitFunction("truncate", limitText("truncate", truncate)),
	limitFunction("truncate_html", limitText("truncate_html", truncateHTML)),
	gojq.WithFunction("without_nulls", 0, 0, withoutNulls),
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

// limitFunction defines a function with a number of characters, or of bytes, as
// its argument: truncate(60000; "bytes").
func limitFunction(name string, f func(v any, n int, u unit) any) gojq.CompilerOption {
	return gojq.WithFunction(name, 1, 2, func(v any, args []any) any {
		n, err := limit(name, args[0])
		if err != nil {
			return err
		}
		if len(args) == 2 && args[1] != "bytes" {
			return &limitError{"it failed: " + name + " counts characters, or bytes: write " + name + "(60000; \"bytes\")"}
		}
		return f(v, n, unit{bytes: len(args) == 2})
	})
}

// limitText makes one of what limits a text. Null stays null.
func limitText(name string, f func(s string, n int, u unit) string) func(v any, n int, u unit) any {
	return func(v any, n int, u unit) any {
		switch v := v.(type) {
		case nil:
			return nil
		case string:
			return f(v, n, u)
		default:
			return wrongType(name, v)
		}
	}
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

// withoutNulls returns an object without those fields that are null: many
// systems take no null where nothing is meant.
func withoutNulls(v any, _ []any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return &limitError{"it failed: without_nulls cannot be applied to " + gojq.TypeOf(v) + ", only to an object"}
	}
	kept := make(map[string]any, len(object))
	for key, value := range object {
		if value != nil {
			kept[key] = value
		}
	}
	return kept
}

// tag returns a label as systems take one that know no white space in it, and
// separate several by commas.
func tag(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) || unicode.IsControl(r) }), "_")
}

// uuid4 returns a UUID that is the same for the same text, and has the form of
// a random one (RFC 9562, version 4), for systems that accept no others.
func uuid4(s string) uuid.UUID {
	hash := sha256.Sum256([]byte("caddy-kindly uuid4 " + s))
	id := uuid.UUID(hash[:16])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}
