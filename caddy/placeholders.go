package kindly

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// globalPlaceholders begin those placeholders of Caddy that mean something
// outside a request.
var globalPlaceholders = []string{"env.", "file.", "system.", "time."}

func isGlobal(name string) bool {
	return slices.ContainsFunc(globalPlaceholders, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// lookup resolves Caddy's global placeholders.
func lookup() kindlyhandler.Lookup {
	replacer := caddy.NewReplacer()
	return func(name string) (string, bool) {
		if !isGlobal(name) {
			return "", false
		}
		return replacer.GetString(name)
	}
}

var placeholder = regexp.MustCompile(`\{(?:env|file|system|time)\.[^{}]+\}`)

// resolve replaces global placeholders, all of which must have a value. Its
// errors name placeholders, but nothing else of the value: it may be a secret.
func resolve(field, value string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err == nil {
		return resolved, nil
	}
	replacer := caddy.NewReplacer()
	for _, p := range placeholder.FindAllString(value, -1) {
		if v, _ := replacer.GetString(p[1 : len(p)-1]); v == "" {
			return "", fmt.Errorf("%s: placeholder %s has no value: set it before Caddy starts", field, p)
		}
	}
	return "", fmt.Errorf("%s has braces that are no placeholder: write a literal brace as \\{", field)
}
